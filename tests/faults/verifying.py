"""Compares what came of a log with the log: assertions A to D of the fault suite.

A: accounts and subjects are what the log says. B: so is every alert. C: the snapshot is folded up
to the log's end. D: every notice was answered for, and came. Before all of them: whatever a
producer was told is taken is in the log, and nothing else; and every fault has struck.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from schemas import alerts as alert_records
from schemas import topics
from schemas.alerts import AlertRaised
from services.detector.partition import Partition
from services.detector.showing import shown
from tests.faults import oracle
from tests.faults.company import HOOK
from tests.faults.logs import Log, Tail, read, tail
from tests.faults.oracle.supply import encoded
from tests.faults.scenario import NotExact
from tests.faults.settling import stamp
from tests.faults.striking import missed, unexpected

if TYPE_CHECKING:
    from tests.faults.world import World


async def verify(world: "World") -> None:
    """Find every difference between a world and its log.

    Raises:
        NotExact: With the differences.
    """
    kafka, count = world.kafka, world.partitions
    events = await read(kafka, world.topic(topics.EVENTS), count)
    alerts = await read(kafka, world.topic(topics.ALERTS), count, committed=True)
    rejects = await read(kafka, world.topic(topics.REJECTS), count, committed=True)
    records = await read(kafka, world.input_topic, world.input_partitions, committed=True)
    async with tail(kafka, world.topic(topics.STATE), count, committed=True) as state:
        await state.catch_up()
        actual = _actual(world, state, alerts, rejects)
    expected = oracle.recount(events, horizon=world.horizon)
    world.told = {
        "messages": sum(map(len, events.values())),
        "alerts": sum(map(len, expected.alerts.values())),
        "webhooks": len(world.receiver.arrivals),
    }
    found = [
        *ends_and_strikes(world),
        *_refused(world),
        *_supply(world, events, records),
        *oracle.differences(expected, actual),
        *_due(world, alerts),
        *_desk(world, alerts, events),
    ]
    if found:
        raise NotExact(found)


def _actual(world: "World", state: Tail, alerts: Log, rejects: Log) -> oracle.Actual:
    accounts: list[dict[str, Any]] = []
    subjects: list[dict[str, Any]] = []
    for number in range(world.partitions):
        partition = _restored(world, number, state)
        accounts += [
            shown(one, number, partition.stamp, partition.judged_to(one))
            for _, one in sorted(partition.accounts.items())
        ]
        subjects += partition.subjects_shown()
    return oracle.Actual(
        accounts=accounts,
        subjects=subjects,
        alerts={
            number: [one.value for one in records if one.value and _is_alert(one.value)]
            for number, records in alerts.items()
        },
        rejects=[one.value for records in rejects.values() for one in records if one.value],
        stamps={number: stamp(state, number) for number in range(world.partitions)},
    )


def _restored(world: "World", number: int, state: Tail) -> Partition:
    try:
        return Partition.restore(number, world.partitions, state.newest(number))
    except ValueError as error:
        raise NotExact(
            [f"the snapshot of partition {number} cannot be restored: {error}"]
        ) from None


def _is_alert(raw: bytes) -> bool:
    """Tell whether a record is one of the detector's; what poisons the log is none."""
    try:
        found = msgspec.json.decode(raw)
    except ValueError:
        return False
    return isinstance(found, dict) and str(found.get("type", "")).startswith("alert.")


def ends_and_strikes(world: "World") -> list[str]:
    """Return what ended a process though it should not have, and what should have and did not."""
    return [*unexpected(world), *missed(world)]


async def require_struck(world: "World") -> None:
    """Find out whether each fault has struck, and nothing else; `verify` does so among the rest.

    Raises:
        NotExact: With what has not, or should not have.
    """
    if found := ends_and_strikes(world):
        raise NotExact(found)


def _refused(world: "World") -> Iterator[str]:
    """Yield what ingest has refused of a good load."""
    for reason, event in world.noted.refused:
        if reason not in world.refused:
            yield f"ingest refused {event} as {reason}"


def _supply(world: "World", events: Log, records: Log) -> list[str]:
    """Return what producers were told is taken and is not in the log, and the other way round."""
    there = {(number, one.offset) for number, found in records.items() for one in found}
    lost = [place for place in world.noted.records if place not in there]
    found = [f"record {place} was acknowledged and is not in the input topic" for place in lost]
    sent = encoded(world.noted.sent) if world.only_fed else None
    http = encoded(world.noted.http)
    return found + oracle.supply_differences(events, http, {world.input: records}, sent)


def _due(world: "World", alerts: Log) -> Iterator[str]:
    """Yield accounts that must have one alert, whatever the oracle thinks, and have not."""
    raised = Counter(
        one.account
        for records in alerts.values()
        for record in records
        if record.value
        and _is_alert(record.value)
        and isinstance(one := alert_records.decode(record.value), AlertRaised)
        and one.rule == "payment-failed"
    )
    for account in world.due:
        if raised[account] != 1:
            yield f"{account} failed to pay twice and got {raised[account]} alerts instead of one"


def _desk(world: "World", alerts: Log, events: Log) -> list[str]:
    """Return where cases, notices, webhooks and feedback are other than the alert log says."""
    if not any(name.startswith("alerts-") for name in world.keepers):
        return []
    arrived = [
        oracle.Arrived(one.id, one.body, 200 <= one.status < 300) for one in world.receiver.arrivals
    ]
    cases = world.cases if world.redis is not None else None
    desk = oracle.recount_desk(alerts)
    found = oracle.desk_differences(desk, cases, arrived, frozenset({HOOK}))
    votes = sum(map(len, desk.votes.values()))
    if votes:
        world.told["votes"] = votes
    return [*found, *oracle.votes(desk.votes, events)]
