"""What a person is told of how far the view can be relied on."""

from datetime import UTC, datetime

import pytest

from services.alerts.shown import Freshness
from services.alerts.view.freshness import Marker, freshness

NOW = 1_778_745_600.0
GOOD = Marker(True, NOW, NOW)
START_SERVE = "Check that `ebbwatch serve alerts` runs and reaches Kafka and Redis."
OUT = "what is shown may be out of date."


@pytest.mark.parametrize(
    "markers, current, complete, reason",
    [
        ([GOOD, GOOD], 2, True, ""),
        ([GOOD, GOOD._replace(written=NOW - 15)], 2, True, ""),
        (
            [GOOD, Marker()],
            1,
            False,
            f"Partition 1 of the view has not been written yet: {OUT} {START_SERVE}",
        ),
        (
            [GOOD._replace(written=NOW - 7_200)] * 2,
            0,
            True,
            f"The view has not been written for 2 hours: {OUT} {START_SERVE}",
        ),
        (
            [GOOD, *[GOOD._replace(written=NOW - 60)] * 2],
            1,
            True,
            "Partitions 1 and 2 of the view have not been written for 1 minute: "
            f"{OUT} {START_SERVE}",
        ),
        (
            [GOOD, *[GOOD._replace(written=NOW - 90_000)] * 4],
            1,
            True,
            f"4 of 5 partitions of the view have not been written for 1 day: {OUT} {START_SERVE}",
        ),
        (
            [GOOD, GOOD._replace(complete=False)],
            2,
            False,
            "1 of 2 parts of the view is being written anew: some cases may be missing for a "
            "moment.",
        ),
        (
            [GOOD._replace(complete=False)],
            1,
            False,
            "All of the view is being written anew: some cases may be missing for a moment.",
        ),
        (
            [GOOD, GOOD._replace(as_of=NOW - 50)],
            2,
            True,
            "Partition 1 of the view has not been read to the end of the log yet: what "
            "happened in the last 50 seconds may be missing.",
        ),
    ],
)
def test_a_person_is_told_what_may_be_missing(
    markers: list[Marker], current: int, complete: bool, reason: str
) -> None:
    known = [one.as_of for one in markers]
    assert freshness(markers, NOW, 15) == Freshness(
        as_of=datetime.fromtimestamp(min(known), UTC) if all(known) else None,
        partitions=len(markers),
        current=current,
        complete=complete,
        stale=bool(reason),
        reason=reason,
    )


def test_a_partition_whose_position_is_not_known_yet_is_no_alarm() -> None:
    found = freshness([GOOD, GOOD._replace(as_of=0.0)], NOW, 15)
    assert (found.as_of, found.stale) == (None, False)
