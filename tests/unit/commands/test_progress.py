from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.cloudevents import Refused
from services.commands.history import summary
from services.commands.progress import line, plain
from services.ingest.history.files import HistoryFile
from services.ingest.history.importer import Progress
from services.ingest.history.reading import Refusal

MAY = datetime(2026, 5, 4, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "progress, elapsed, expected",
    [
        # 900 rows in 3 s are 300 rows a second, so the other 300 need 1 s.
        (
            Progress(total=1200, rows=900, events=1800, at=MAY),
            3.0,
            "900 of 1,200 rows (75%), now at 2026-05-04, 600 events/s, 1 s left",
        ),
        (Progress(total=10), 1.0, "0 of 10 rows (0%), 0 events/s, 10 s left"),
        (Progress(), 1.0, "0 of 0 rows (100%), 0 events/s, 0 s left"),
    ],
)
def test_a_line_says_how_far_how_fast_and_how_long_still(
    progress: Progress, elapsed: float, expected: str
) -> None:
    assert line(progress, elapsed) == expected


def test_plain_progress_is_a_line_every_two_seconds_and_its_rate_begins_with_the_first_batch() -> (
    None
):
    said: list[str] = []
    times = iter([0.0, 10.0, 11.0, 12.0, 12.5])
    show = plain(said.append, lambda: next(times))
    for rows in (100, 200, 300, 400):
        show(Progress(total=500, rows=rows, events=rows))
    # From 100 rows at 10 s to 300 rows at 12 s.
    assert said == ["300 of 500 rows (60%), 100 events/s, 2 s left"]


def test_the_summary_counts_refusals_by_reason_and_shows_the_first() -> None:
    file = HistoryFile(Path("u.csv"), "u", "usage", "csv", (), ",", False)
    example = Refusal(file, "row 2", Refused("invalid", "count", "-1 is refused"), b"")
    progress = Progress(rows=4, events=1, refused=Counter(invalid=2, future=1), examples=[example])
    assert summary(progress) == [
        "imported 1 event from 4 rows; 3 rows refused, see rejects.v1",
        "  invalid: 2",
        "  future: 1",
        "  u.csv row 2, column count: -1 is refused",
        "  ... and 2 more",
    ]
    assert summary(Progress(rows=2, events=2)) == ["imported 2 events from 2 rows"]
