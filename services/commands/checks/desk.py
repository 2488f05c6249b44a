"""The alerts service: who works, what waits in the alert log, how the channels do."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec
from aiokafka import TopicPartition

from schemas import topics
from services.alerts import directory
from services.alerts.cases import ledger as cases_ledger
from services.alerts.directory import DirectorySnapshot
from services.commands import channels
from services.commands.checks.finding import Finding, fail, ok, some, span, warn
from services.commands.kafka_facts import Asking, Group, Range
from services.commands.ledgers import Unreadable, newest
from services.sealing import Sealer
from services.settings import ServiceSettings

BEHIND_SECONDS: Final = 90.0
STUCK_SECONDS: Final = 600.0
COUNTED: Final = 10_000
"""So many waiting records are told one from another; more are `more than`."""


class Desk(NamedTuple):
    """What is known of the alerts service.

    Attributes:
        group: Its consumer group.
        waiting: How many records of the alert log are not folded, at most `COUNTED`.
        oldest: When the oldest of them was written, milliseconds; None if there is none.
        known: People, routing and channels.
    """

    group: Group
    waiting: int
    oldest: int | None
    known: DirectorySnapshot


async def look(
    kafka: Asking, settings: ServiceSettings, config: Mapping[str, bytes]
) -> Desk | None:
    """Ask Kafka about the alerts service; None where its topics are missing.

    Args:
        kafka: The connection.
        settings: Which deployment.
        config: The newest value of every key of `config.v1`.

    Raises:
        Unreadable: A ledger is broken.
    """
    alerts, cases = (
        topics.full_name(one, settings.prefix) for one in (topics.ALERTS, topics.CASES)
    )
    existing = await kafka.topics()
    if alerts not in existing or cases not in existing:
        return None
    logs = [TopicPartition(alerts, number) for number in existing[alerts]]
    snapshots = [TopicPartition(cases, number) for number in existing[cases]]
    offsets = await kafka.offsets([*logs, *snapshots])
    reached = await _reached(kafka, snapshots, offsets)
    begins = {log: max(offsets[log].start, reached.get(log.partition, 0)) for log in logs}
    waiting, oldest = 0, None
    async for _, record in kafka.read(begins, {log: offsets[log].end for log in logs}):
        waiting += 1
        oldest = record.timestamp if oldest is None else min(oldest, record.timestamp)
        if waiting >= COUNTED:
            break
    name, key = f"{settings.prefix}alerts", settings.secret_key
    group = (await kafka.groups([name])).get(name, Group("Dead", 0))
    known = directory.read(None if key is None else Sealer(key.get_secret_value()), config)
    return Desk(group, waiting, oldest, known)


def judge(desk: Desk, now: float) -> list[Finding]:
    """Return what is to be said of the alerts service.

    Args:
        desk: What is known.
        now: Seconds since 1970-01-01 UTC.
    """
    return [_workers(desk), _lag(desk, now), *_channels(desk.known)]


def _workers(desk: Desk) -> Finding:
    state, members = desk.group
    if not members:
        return fail("alerts", "no alerts service is running", "start one: `ebbwatch serve alerts`")
    if state != "Stable":
        return warn("alerts", f"the partitions are being shared out ({state})", "ask again")
    return ok("alerts", "1 replica" if members == 1 else f"{members} replicas")


def _lag(desk: Desk, now: float) -> Finding:
    if desk.oldest is None:
        return ok("alert log", "everything is folded")
    age = now - desk.oldest / 1e3
    many = f"{desk.waiting:,}" if desk.waiting < COUNTED else f"more than {COUNTED:,}"
    text = f"{many} records since the last snapshots, the oldest {span(age)} old"
    if age <= BEHIND_SECONDS:
        return ok("alert log", text)
    remedy = "look at the log and /readyz of the alerts service"
    return (fail if age > STUCK_SECONDS else warn)("alert log", text, remedy)


def _channels(known: DirectorySnapshot) -> Iterator[Finding]:
    wrong = False
    for name, channel in sorted(known.channels.items()):
        state = channels.state(channel)
        if state != "in use":
            wrong = True
            what, _, remedy = state.partition("; ")
            broken = channel.fault or channel.health.disabled_at is not None
            remedy = remedy or f"`ebbwatch channels test {name}` tries it out"
            yield (fail if broken else warn)("channels", f"{name} {what}", remedy)
    if not known.channels:
        remedy = "name one in channels.toml, then `ebbwatch config apply`"
        yield warn("channels", "there is none: alerts stand in the console only", remedy)
    elif not wrong:
        yield ok("channels", f"in use: {some(sorted(known.channels))}")


async def _reached(
    kafka: Asking, snapshots: list[TopicPartition], offsets: Mapping[TopicPartition, Range]
) -> dict[int, int]:
    """Return the offset before which nothing is left to fold, by partition."""
    found = {}
    for number, raw in (await newest(kafka, snapshots, offsets, cases_ledger.KEY)).items():
        try:
            ledger = cases_ledger.restore({cases_ledger.KEY: raw})
        except (ValueError, msgspec.MsgspecError) as error:
            where = f"{topics.CASES.name} partition {number}"
            raise Unreadable(f"the ledger of {where} cannot be read: {error}") from error
        found[number] = max(ledger.stamp + 1, ledger.reached)
    return found
