"""Compares what came of a log with the log: assertions A to D of the fault suite.

A: accounts and subjects are what the log says. B: so is every alert. C: the snapshot is folded up
to the log's end. D: every notice was answered for, and came. Before all of them: whatever a
producer was told is taken is in the log.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from schemas import alerts as alert_records
from schemas import cases as case_records
from schemas import topics
from schemas.alerts import AlertRaised
from schemas.cases import NoticeDelivered, NoticeFailed, NoticeIntended
from schemas.rejects import Reject
from services.detector.partition import Partition
from services.detector.showing import shown
from tests.faults import oracle
from tests.faults.logs import Log, Tail, read, tail
from tests.faults.oracle.reading import places
from tests.faults.scenario import NotExact
from tests.faults.settling import stamp

if TYPE_CHECKING:
    from tests.faults.world import World

ENDS = frozenset({0, 70, 75, -9})
"""How a process may end: as asked, to be started again, or killed."""


async def verify(world: "World") -> None:
    """Find every difference between a world and its log.

    Raises:
        NotExact: With the differences.
    """
    kafka, count = world.kafka, world.partitions
    events = await read(kafka, world.topic(topics.EVENTS), count)
    alerts = await read(kafka, world.topic(topics.ALERTS), count, committed=True)
    rejects = await read(kafka, world.topic(topics.REJECTS), count, committed=True)
    async with tail(kafka, world.topic(topics.STATE), count, committed=True) as state:
        await state.catch_up()
        actual = _actual(world, state, alerts, rejects)
    expected = oracle.recount(events)
    world.told = {
        "messages": sum(map(len, events.values())),
        "alerts": sum(map(len, expected.alerts.values())),
        "webhooks": len(world.receiver.arrivals),
    }
    found = [
        *_ends(world),
        *_lost(world, events, rejects),
        *oracle.differences(expected, actual),
        *_due(world, alerts),
        *_notices(world, alerts),
    ]
    if found:
        raise NotExact(found)


def _actual(world: "World", state: Tail, alerts: Log, rejects: Log) -> oracle.Actual:
    accounts: list[dict[str, Any]] = []
    subjects: list[dict[str, Any]] = []
    for number in range(world.partitions):
        partition = Partition.restore(number, world.partitions, state.newest(number))
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


def _is_alert(raw: bytes | None) -> bool:
    return str(msgspec.json.decode(raw or b"{}").get("type", "")).startswith("alert.")


def _ends(world: "World") -> Iterator[str]:
    for one in world.exits:
        if one.code not in ENDS:
            yield f"{one.name} ended with {one.code} after {one.lived:.1f} s"


def _lost(world: "World", events: Log, rejects: Log) -> Iterator[str]:
    """Yield what a producer was told is taken, and is not in the log; and what was not taken."""
    entries = [entry for log in events.values() for _, entry in places(log) if entry is not None]
    ids = {(one.source, one.id) for one in entries}
    for event in world.noted.http:
        if (event["source"], event["id"]) not in ids:
            yield f"ingest acknowledged {event['id']!r}, and it is not in the log"
    for reason, event in world.noted.refused:
        if reason not in world.refused:
            yield f"ingest refused {event} as {reason}"
    origins = {
        (one.origin.partition, one.origin.offset)
        for one in entries
        if one.origin is not None and one.origin.input == world.input
    }
    refused = {
        (one.partition, one.offset)
        for records in rejects.values()
        for raw in records
        if (one := msgspec.json.decode(raw.value or b"", type=Reject)).stage == "ingest"
    }
    if not world.refused and refused:
        yield f"records {sorted(refused, key=str)[:5]} of the input were refused"
    for place, event in world.noted.records.items():
        if place not in origins and place not in refused:
            yield f"record {place} of the input, {event['id']!r}, was never forwarded"


def _due(world: "World", alerts: Log) -> Iterator[str]:
    """Yield accounts that must have one alert, whatever the oracle thinks, and have not."""
    raised = Counter(
        one.account
        for records in alerts.values()
        for record in records
        if _is_alert(record.value)
        and isinstance(one := alert_records.decode(record.value or b""), AlertRaised)
        and one.rule == "payment-failed"
    )
    for account in world.due:
        if raised[account] != 1:
            yield f"{account} failed to pay twice and got {raised[account]} alerts instead of one"


def webhook_id(notice: str) -> str:
    """Return the `webhook-id` of a notice. Source: formats.md, Webhook."""
    return f"msg_{notice.replace('-', '')}"


def _notices(world: "World", alerts: Log) -> Iterator[str]:
    """Yield notices that no outcome has, or that did not come."""
    if not any(name.startswith("alerts-") for name in world.keepers):
        return
    records = [
        case_records.decode(one.value) for log in alerts.values() for one in log if one.value
    ]
    intended = {one.id: one for one in records if isinstance(one, NoticeIntended)}
    ended = {
        (one.id, one.channel)
        for one in records
        if isinstance(one, NoticeDelivered)
        or (isinstance(one, NoticeFailed) and one.retry_at is None)
    }
    delivered = {one.id for one in records if isinstance(one, NoticeDelivered)}
    for notice in intended.values():
        for target in notice.targets:
            if (notice.id, target.channel) not in ended:
                yield f"notice {notice.id} of {notice.case} by {target.channel} has no outcome"
    for id in sorted(one for one in delivered if webhook_id(one) not in world.receiver.received):
        yield f"notice {id} is said to be delivered, and never came"
    told = {notice.case for notice in intended.values()}
    loud = [one for one in records if isinstance(one, AlertRaised)]
    for one in loud:
        if not (one.historic or one.shadow or one.account in told):
            yield f"alert {one.alert_id} of {one.account} led to no notice"
    bodies: dict[str, set[bytes]] = {}
    for arrival in world.receiver.arrivals:
        bodies.setdefault(arrival.id, set()).add(arrival.body)
    for id, different in bodies.items():
        if len(different) > 1:
            yield f"webhook {id} came with {len(different)} different bodies"
