"""What many customers share is told alike by a backtest and by the live path, over partitions."""

import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import count, islice
from pathlib import Path

import msgspec
import pytest

from schemas.alerts import Alert, AlertCleared, AlertRaised
from schemas.cloudevents import Refused
from schemas.config import RuleSetContent
from schemas.envelope import COMPANY, Entry, decode_entry
from schemas.events import ClockTicked, RulesApplied
from services.backtest import run
from services.company import shipped
from services.detector.partition import Partition
from services.ingest.history.files import HistoryFile
from services.ingest.history.play import Play
from services.ingest.history.reading import Refusal, Rows
from services.ingest.history.staging import Staging
from services.partitioning import home_of
from tests import builders as a
from tests import playing
from tests.unit.backtest import histories as h

ACCOUNTS, DAYS, PARTITIONS = 60, 205, 3
FALL, BACK = 152, 176
ZONES = ("UTC", "Asia/Tokyo", "America/Los_Angeles", "Pacific/Kiritimati")
"""The last of them begins its day first of all: what it is judged by must have been said."""

Rows_ = Sequence[tuple[int, Sequence[tuple[int, bytes]]]]


def write(
    folder: Path, seed: int, ids: Sequence[str], left: float = 0.45, back: int = BACK
) -> list[HistoryFile]:
    """Write usage of accounts of which more than half fall to a half for a month.

    Some have stopped a few days before, and one of the others stops in the middle of it.
    """
    rng = random.Random(seed)
    usage, known = ["account_id,date,count"], ["account_id,segment,timezone,start"]
    for n, id in enumerate(ids):
        known.append(f"{id},s{n % 2},{ZONES[n % 4]},{h.START}")
        for day in range(DAYS):
            level = 40 * (left if n % 5 < 3 and FALL <= day < back else 1.0)
            if (n in (3, 4, 5, 6) and day >= FALL - 8) or (n == 8 and day >= FALL + 12):
                level = 0
            if used := round(level * rng.uniform(0.8, 1.2)):
                usage.append(f"{id},{h.START + timedelta(days=day)},{used}")
    for name, lines in (("usage.csv", usage), ("accounts.csv", known)):
        (folder / name).write_text("\n".join(lines))
    return run.look_at({kind: [folder / f"{kind}.csv"] for kind in ("usage", "accounts")})


def entries(files: Sequence[HistoryFile]) -> Rows_:
    """Return what the rows of files become in the log: when, and in which partition what."""
    found, rows = [], Rows(files, h.MICROS)
    play = Play(PARTITIONS, 1, h.MICROS, ticking=False)
    with Staging(files) as staging:
        staging.load(h.MICROS)
        for row in staging.rows():
            read = rows.read(row)
            assert not isinstance(read, Refusal), str(read)
            for incoming in read:
                outcome = play.event(incoming)
                assert not isinstance(outcome, Refused)
                found.append((row.at, list(outcome)))
    return found


def live(told: Rows_, content: RuleSetContent, rng: random.Random) -> list[Alert]:
    """Feed rows by the hour; what goes to other partitions is there within the next."""
    partitions = [Partition.begin(n, PARTITIONS) for n in range(PARTITIONS)]
    stores: list[dict[str, bytes]] = [{} for _ in partitions]
    rules = RulesApplied(n=1, content=msgspec.json.encode(content).decode())
    waiting = [[Entry("rules", "ebbwatch", 0, (), rules)] for _ in partitions]
    alerts: list[Alert] = []
    for hour, mine in _hours(told):
        for number, raw in mine:
            waiting[number].append(decode_entry(raw))
        heard, waiting = waiting, [[] for _ in partitions]
        for number, log in enumerate(heard):
            partition = partitions[number]
            tick = ClockTicked(at=hour, mode="live", seen={"usage": [hour // a.HOUR_US - 1]})
            log.append(Entry(f"tick-{hour}", "ebbwatch", hour, (), tick))
            partition.take(partition.stamp + 1, hour, log)
            partition.judge(rng.choice((50, 1_000)))
            for subject, raw in partition.forwards():
                homes = [home_of(subject, PARTITIONS)] if subject else range(PARTITIONS)
                for home in homes:
                    waiting[home].append(decode_entry(raw))
            if rng.random() < 0.01:
                cut = partition.cut()
                stores[number] = playing.store(stores[number], cut)
                alerts += cut.alerts
                partitions[number] = Partition.restore(number, PARTITIONS, stores[number])
    return alerts + [
        one for partition in partitions for one in playing.settle(partition).cut().alerts
    ]


def _hours(told: Rows_) -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
    """Yield hours from the first row to two days after the last, each with what came in it."""
    hour = told[0][0] - told[0][0] % a.HOUR_US
    place, end = 0, told[-1][0] + 2 * 24 * a.HOUR_US
    while hour < end:
        hour += a.HOUR_US
        mine: list[tuple[int, bytes]] = []
        while place < len(told) and told[place][0] < hour:
            mine += told[place][1]
            place += 1
        yield hour, mine


def same(alerts: Sequence[Alert], until: int) -> list[tuple[object, ...]]:
    """Return alerts as they must be the same, whether of the present or of history."""
    return h.same(
        [
            msgspec.structs.replace(one, historic=False)
            for one in alerts
            if (one.day - h.START).days < until
        ],
        peers=True,
    )


def test_a_fall_that_many_share_is_one_incident_in_a_backtest_and_live(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"acct_{n}" for n in range(ACCOUNTS)]
    files, content = write(tmp_path, seed, ids), shipped().content
    _, alone = h.played(files, content)
    monkeypatch.setattr(run, "FEW_BYTES", 0)
    _, together = h.played(files, content, workers=2)
    present = live(entries(files), content, random.Random(seed))
    assert same(together, DAYS) == same(alone, DAYS)
    assert same(present, DAYS) == same(alone, DAYS)
    incidents = [one for one in alone if one.account == COMPANY]
    assert [type(one).__name__ for one in incidents] == ["AlertRaised", "AlertCleared"]
    joined = [one for one in alone if "incident" in one.because]
    assert joined
    assert all(isinstance(one, AlertCleared) for one in joined)
    assert {one.because["incident"]["alert_id"] for one in joined} == {incidents[0].alert_id}
    assert any("peer_ratio" in one.because for one in alone)


def test_a_company_whose_partition_has_no_account_hears_of_a_shared_fall_too(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(COMPANY, 2)
    others = (id for n in count() if home_of(id := f"acct_{n}", 2) != home)
    files, content = write(tmp_path, seed, list(islice(others, ACCOUNTS))), shipped().content
    _, alone = h.played(files, content)
    monkeypatch.setattr(run, "FEW_BYTES", 0)
    _, together = h.played(files, content, workers=2)
    assert same(together, DAYS) == same(alone, DAYS)
    assert any(one.account == COMPANY for one in alone)


def test_who_falls_silent_with_many_others_is_told_by_the_incident_alone(
    tmp_path: Path, seed: int
) -> None:
    ids = [f"acct_{n}" for n in range(ACCOUNTS)]
    _, alerts = h.played(write(tmp_path, seed, ids, left=0.0, back=DAYS), shipped().content)
    told = [one for one in alerts if isinstance(one, AlertRaised) and not one.shadow]
    assert sorted((one.account, one.rule) for one in told) == [
        *((f"acct_{n}", rule) for n in (3, 4, 5, 6) for rule in ("gone-silent", "usage-stopped")),
        (COMPANY, "common-fall"),
    ]
