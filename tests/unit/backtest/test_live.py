"""The live path, fed day by day, says what a backtest over files says (design §5, a to c)."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from schemas.alerts import Alert
from schemas.config import RuleSetContent
from schemas.envelope import Entry, account, encode
from schemas.events import ClockTicked, RulesApplied, UsageRecorded
from services.backtest import run
from services.company import shipped
from services.detector.partition import Partition
from services.ingest.history.play import DAY, HOUR
from tests import builders as a
from tests import playing
from tests.unit.backtest import histories as h

DAYS = 230
SOURCE = "import/usage"

Row = tuple[int, str, int]
"""Day, account, count."""


def counts(seed: int) -> list[Row]:
    """Return the usage of accounts of which one falls, one stops and one falls silent."""
    rng = random.Random(seed)
    rows: list[Row] = []
    for day in range(1, DAYS):
        for number, level in enumerate((40, 60, 30, 3, 200)):
            falls = number == 0 and day > 150
            stops = number == 1 and day > 170
            rare = number == 3 and (day % 7 or day > 100)
            if not stops and not rare:
                lower = 0.4 if falls else 1.0
                rows.append((day, f"acct_{number}", round(level * lower * rng.uniform(0.8, 1.2))))
    return rows


def from_files(folder: Path, rows: Sequence[Row], content: RuleSetContent) -> list[Alert]:
    path = folder / "usage.csv"
    lines = [f"{who},{a.on(day)},{count}" for day, who, count in rows]
    path.write_text("\n".join(["account_id,date,count", *lines]))
    return h.played(run.look_at({"usage": [path]}), content)[1]


def live(rows: Sequence[Row], content: RuleSetContent, rng: random.Random) -> list[Alert]:
    """Feed the rows as single events, out of order within their day, many of them twice.

    The process is restarted every thirty days or so, from its snapshot.
    """
    partition, records = Partition.begin(0, 1), dict[str, bytes]()
    told = msgspec.json.encode(content).decode()
    alerts: list[Alert] = []
    messages = [(a.at(1, 0), [system(RulesApplied(n=1, content=told), a.at(1, 0))])]
    for day in range(1, DAYS + 1):
        messages += of_day(day, [row for row in rows if row[0] == day], rng)
    for offset, (appended, entries) in enumerate(messages):
        partition.apply(offset, appended, encode(entries))
        partition.judge(rng.choice((1, 1_000)))
        if rng.random() < 0.01:
            cut = partition.cut()
            records = playing.store(records, cut)
            alerts += cut.alerts
            partition = Partition.restore(0, 1, records)
    return [*alerts, *playing.settle(partition).cut().alerts]


def of_day(day: int, rows: Sequence[Row], rng: random.Random) -> list[tuple[int, list[Entry]]]:
    begins = a.at(day, 0)
    events = [
        Entry(f"e{day}-{n}", SOURCE, begins + rng.randrange(DAY), (account(who),), usage(count))
        for n, (_, who, count) in enumerate(rows)
    ]
    again = [one for one in events if rng.random() < 0.3]
    delivered = sorted(events + again, key=lambda _: rng.random())
    seen = {SOURCE: [begins // HOUR]}
    return [
        (begins + hour * HOUR, [system(ClockTicked(at=begins + hour * HOUR, mode="live", seen={}))])
        for hour in (1, 3, 9)
    ] + [
        (
            begins + DAY - 1,
            [system(ClockTicked(at=begins + DAY - 1, mode="live", seen=seen)), *delivered],
        )
    ]


def usage(count: int) -> UsageRecorded:
    return UsageRecorded(metric="usage", quantity=count)


def system(event: Any, time: int = 0) -> Entry:
    return Entry(f"s{getattr(event, 'at', 0)}", "ebbwatch", time, (), event)


def plain(alerts: Sequence[Alert]) -> list[tuple[Any, ...]]:
    """Return alerts as they must be the same, whether of the present or of history."""
    return h.same([msgspec.structs.replace(one, historic=False) for one in alerts])


def test_the_live_path_fed_day_by_day_raises_what_a_backtest_raises(
    tmp_path: Path, seed: int
) -> None:
    content, rows = shipped().content, counts(seed)
    found = plain(from_files(tmp_path, rows, content))
    assert plain(live(rows, content, random.Random(seed))) == found
    assert {"acct_0", "acct_1", "acct_3"} <= {
        one.account for one in from_files(tmp_path, rows, content)
    }


def test_the_order_of_the_rows_of_a_file_says_nothing(tmp_path: Path, seed: int) -> None:
    content, rows = shipped().content, counts(seed)
    (tmp_path / "shuffled").mkdir()
    shuffled = random.Random(seed).sample(rows, len(rows))
    expected = h.same(from_files(tmp_path, rows, content), peers=True)
    assert h.same(from_files(tmp_path / "shuffled", shuffled, content), peers=True) == expected
