"""What the log says of deliveries beside what their endpoint saw: the schedule, the reasons."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from schemas import cases, topics
from schemas.alerts import AlertRaised
from schemas.cases import NoticeDelivered, NoticeFailed, NoticeIntended
from tests.faults import oracle
from tests.faults.company import HOOK
from tests.faults.logs import read
from tests.faults.manners import MANNERS, Visit
from tests.faults.world import World

HOUR = 3600.0
WAITS = (0, 5, 300, HOUR / 2, *(hours * HOUR for hours in (2, 5, 10, 14, 20, 24)))
"""Seconds before each attempt. Source: formats.md, Webhook retries."""

JITTER = 0.2
CLOSED = "channel_disabled"
"""Why a notice ends whose channel is off for longer than it waits."""

ASKED = frozenset({"status 429", "gone"})
"""Reasons that make a wait longer than the schedule."""

ROUNDING_SECONDS = 0.002
CLOCK_SECONDS = 10.0
"""Between the time that a webhook says and its arrival, on a machine that may be busy."""


@dataclass
class Delivery:
    """What the log says of one notice by one channel."""

    failed: list[NoticeFailed] = field(default_factory=list)
    delivered: list[NoticeDelivered] = field(default_factory=list)


async def deliveries(world: World, channel: str = HOOK) -> dict[str, Delivery]:
    """Return what the log says of a channel's deliveries, by `webhook-id`."""
    topic = world.topic(topics.ALERTS)
    log = await read(world.kafka, topic, world.partitions, committed=True)
    found: defaultdict[str, Delivery] = defaultdict(Delivery)
    for record in _records(message.value for some in log.values() for message in some):
        if isinstance(record, NoticeFailed | NoticeDelivered) and record.channel == channel:
            delivery = found[webhook_id(record.id)]
            if isinstance(record, NoticeFailed):
                delivery.failed.append(record)
            else:
                delivery.delivered.append(record)
    return dict(found)


async def unanswered(world: World) -> int:
    """Return how many notices have no outcome yet by one of their channels."""
    topic = world.topic(topics.ALERTS)
    log = await read(world.kafka, topic, world.partitions, committed=True)
    told = oracle.recount_desk(log).notices.values()
    return sum(1 for one in told if one.targets is None or one.targets.keys() - one.outcomes.keys())


async def latencies(world: World, visits: Sequence[Visit]) -> list[float]:
    """Return how long after its alert each webhook first came, seconds, in the alerts' order.

    Args:
        world: Each of its accounts has one notice.
        visits: What the endpoint saw.
    """
    topic = world.topic(topics.ALERTS)
    log = await read(world.kafka, topic, world.partitions, committed=True)
    first: dict[str, float] = {}
    for visit in reversed(visits):
        first[visit.id] = visit.at
    begun: dict[str, float] = {}
    came: dict[str, float] = {}
    for message in (message for some in log.values() for message in some):
        for record in _records([message.value]):
            if isinstance(record, AlertRaised):
                begun.setdefault(record.account, message.appended / 1e6)
            elif isinstance(record, NoticeIntended):
                came[record.case] = first[webhook_id(record.id)]
    return [came[account] - at for account, at in sorted(begun.items(), key=lambda one: one[1])]


def webhook_id(notice: str) -> str:
    """Return under which id a notice is sent."""
    return f"msg_{notice.replace('-', '')}"


def _records(raw: Iterable[bytes | None]) -> Iterator[cases.LogRecord]:
    for one in raw:
        try:
            yield cases.decode(one or b"")
        except msgspec.MsgspecError:
            continue


def differences(found: dict[str, Delivery], visits: Sequence[Visit], scale: float) -> Iterator[str]:
    """Yield where attempts were other than promised.

    Args:
        found: What the log says of the endpoint's channel.
        visits: What the endpoint saw.
        scale: Factor on the schedule of retries.
    """
    by_id: defaultdict[str, list[Visit]] = defaultdict(list)
    for visit in visits:
        by_id[visit.id].append(visit)
        if visit.fault:
            yield f"{visit.id}: {visit.fault}"
        if abs(visit.timestamp - visit.at) > CLOCK_SECONDS:
            yield f"{visit.id} came at {visit.at:.1f} and says {visit.timestamp}"
    for id, delivery in found.items():
        yield from _stamped_anew(id, by_id[id])
        yield from _reasons(id, delivery, by_id[id])
        for failed in delivery.failed:
            yield from _waited(id, failed, by_id[id], scale)
        for taken in delivery.delivered[:1]:
            later = [one for one in by_id[id] if one.at > taken.at.timestamp()]
            if later:
                yield f"{id} came again {len(later)} times after it was delivered"


def _stamped_anew(id: str, visits: Sequence[Visit]) -> Iterator[str]:
    for one, next_one in pairwise(visits):
        if next_one.at - one.at > 2 * CLOCK_SECONDS and next_one.timestamp <= one.timestamp:
            yield f"{id} came again after {next_one.at - one.at:.0f} s with the same timestamp"


def _reasons(id: str, delivery: Delivery, visits: Sequence[Visit]) -> Iterator[str]:
    """Yield reasons that no visit explains; a visit whose outcome was lost by a kill has none."""
    told = Counter(one.reason for one in delivery.failed if one.reason != CLOSED)
    seen = Counter(MANNERS[one.manner].reason for one in visits)
    for reason, count in told.items():
        if count > seen[reason]:
            yield f"{id} failed {count} times by {reason!r}, its endpoint saw {seen[reason]}"
    attempts = [one.attempt for one in delivery.failed]
    if sorted(attempts) != list(range(1, len(attempts) + 1)):
        yield f"{id} failed at attempts {attempts}"
    if delivery.delivered and not seen[None]:
        yield f"{id} counts as delivered, and its endpoint never took it"


def _waited(id: str, failed: NoticeFailed, visits: Sequence[Visit], scale: float) -> Iterator[str]:
    at, last = failed.at.timestamp(), failed.attempt == len(WAITS)
    if failed.retry_at is None:
        if not last and failed.reason != CLOSED:
            yield f"{id} was given up after attempt {failed.attempt}: {failed.reason}"
        return
    if last:
        yield f"{id} has another attempt after the last one"
        return
    until = failed.retry_at.timestamp()
    least = WAITS[failed.attempt] * scale
    most = least * (1 + JITTER)
    if failed.reason not in ASKED and not (
        least - ROUNDING_SECONDS <= until - at <= most + ROUNDING_SECONDS
    ):
        wanted = f"not {least:g}..{most:g}"
        yield f"{id} waits {until - at:.3f} s after attempt {failed.attempt}, {wanted}"
    if failed.reason == "gone":
        # Switched on again, what has waited is sent at once.
        return
    early = [one for one in visits if at < one.at < until - ROUNDING_SECONDS]
    if early:
        yield f"{id} came {until - early[0].at:.3f} s too early after attempt {failed.attempt}"
