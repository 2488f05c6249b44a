"""What earlier versions wrote, on a broker: today's services go on where those stopped.

`tests/faults/fixtures` holds a log, a snapshot and a day of cases that commit 97cdcd2 wrote. The
oracle does not know all of its rules, so that the log is folded anew by today's code instead: the
one that goes on from the frozen snapshot must come to the same.
"""

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from schemas import topics
from services.alerts.cases.partition import Partition as Cases
from services.detector.partition import Partition
from tests.faults import fixtures
from tests.faults.logs import Log, Message, read, tail
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.scenarios.damage import kit
from tests.faults.tampering import KEEPS_TIMES
from tests.faults.undisturbed import shown_of
from tests.faults.world import World

FROZEN: Final = Path(fixtures.__file__).parent / "state-v1.json.gz"
FOR_EVER: Final = {"retention.ms": "-1"}
JUDGED_AT_ONCE: Final = 250


def frozen() -> dict[str, Any]:
    """Return what the earlier version wrote."""
    found: dict[str, Any] = json.loads(gzip.decompress(FROZEN.read_bytes()))
    return found


async def earlier_snapshot(world: World, _: Random) -> None:
    """Go on from a snapshot of the detector's of an earlier version, and from its log."""
    then, tools = frozen(), kit(world)
    events, number = world.topic(topics.EVENTS), then["partition"]
    await tools.recreate(events, world.partitions, KEEPS_TIMES)
    values = [(b"", base64.b64decode(one["value"])) for one in then["log"]]
    times = [one["appended"] // 1000 for one in then["log"]]
    await tools.write(events, number, values, times)
    await tools.put(world.topic(topics.STATE), number, _records(then["state"]))
    await tools.configure(events, {**topics.EVENTS.config, **FOR_EVER})
    for name in ("ingest-0", "detector-0"):
        world.begin(name)
    await world.ready("ingest-0", "detector-0")
    async with world.feeding(800):
        pass
    await world.settle()
    await _require_same(world, await tools.held(events), then)


def _records(told: Mapping[str, str]) -> dict[str, bytes | None]:
    return {key: base64.b64decode(raw) for key, raw in told.items()}


async def _require_same(world: World, log: Log, then: Mapping[str, Any]) -> None:
    """Compare what was gone on with what the whole log is folded to by today's code."""
    found: list[str] = []
    alerts = await read(world.kafka, world.topic(topics.ALERTS), world.partitions, committed=True)
    async with tail(
        world.kafka, world.topic(topics.STATE), world.partitions, committed=True
    ) as state:
        await state.catch_up()
        for number, messages in log.items():
            gone_on = Partition.restore(
                number, world.partitions, state.newest(number), then["horizon"]
            )
            afresh = Partition.begin(number, world.partitions, then["horizon"])
            written = [*_folded(afresh, messages)]
            found += _apart(f"partition {number}", shown_of(gone_on), shown_of(afresh))
            known = len(then["alerts"]) if number == then["partition"] else 0
            raised = [_told(one.value or b"") for one in alerts[number]]
            found += _apart(f"alerts {number}", raised, written[known:])
    if found:
        raise NotExact(found)


def _folded(partition: Partition, messages: list[Message]) -> Iterator[tuple[Any, ...]]:
    """Fold a log, judging at once what is due; yield the alerts that come of it."""
    for one in messages:
        partition.apply(one.offset, one.appended, one.value)
        while partition.judge(JUDGED_AT_ONCE):
            pass
        for alert in partition.cut().alerts:
            yield _told(msgspec.json.encode(alert))


def _told(raw: bytes) -> tuple[Any, ...]:
    alert = msgspec.json.decode(raw)
    names = ("type", "alert_id", "account", "rule", "day", "fired_at", "severity")
    return tuple(alert[name] for name in names)


def _apart(what: str, found: Any, wanted: Any) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            yield from _apart(f"{what}.{key}", found.get(key), wanted.get(key))
    elif found != wanted:
        yield f"{what} is {found!r}, the log says {wanted!r}"


async def earlier_cases(world: World, _: Random) -> None:
    """Go on from a snapshot of the desk's of an earlier version, and from its alert log."""
    then, tools = frozen()["cases"], kit(world)
    alerts = world.topic(topics.ALERTS)
    await tools.recreate(alerts, world.partitions, KEEPS_TIMES)
    records = [
        Message(one["offset"], one["appended"], base64.b64decode(one["value"]), one["key"].encode())
        for one in then["log"]
    ]
    await tools.write_transactions(alerts, 0, records)
    world.votes_from = records[-1].offset + 1
    await tools.put(world.topic(topics.CASES), 0, _records(then["state"]))
    await tools.configure(alerts, {**topics.ALERTS.config, **FOR_EVER})
    for name in ("ingest-0", "detector-0", "alerts-0"):
        world.begin(name)
    await world.ready("ingest-0", "detector-0", "alerts-0")
    async with world.feeding(800):
        pass
    await world.settle()
    log = await read(world.kafka, alerts, world.partitions, committed=True)
    afresh = Cases.begin(0, world.partitions)
    for one in log[0]:
        afresh.apply(one.offset, one.appended, (one.key or b"").decode(), one.value)
    async with tail(
        world.kafka, world.topic(topics.CASES), world.partitions, committed=True
    ) as state:
        await state.catch_up()
        gone_on = Cases.restore(0, world.partitions, state.newest(0))
    if (gone_on.stamp, gone_on.cases) != (afresh.stamp, afresh.cases):
        names = sorted(gone_on.cases.keys() | afresh.cases.keys())
        wrong = [one for one in names if gone_on.cases.get(one) != afresh.cases.get(one)]
        raise NotExact(
            [f"stamp {gone_on.stamp}, the log ends at {afresh.stamp}"]
            + [f"case {one!r} is {gone_on.cases.get(one)}" for one in wrong]
        )


SCENARIOS = (
    Scenario(
        "earlier-snapshot",
        ("schema evolution: a snapshot and a log of an earlier version",),
        earlier_snapshot,
        random=False,
        recounted=False,
        needs=Needs(partitions=8, starts=(), settings={"EBBWATCH_DETECTOR_ID_HORIZON": "200"}),
    ),
    Scenario(
        "earlier-cases",
        ("schema evolution: cases of an earlier version",),
        earlier_cases,
        random=False,
        recounted=False,
        needs=Needs(partitions=1, starts=()),
    ),
)
