"""The detector: who works, what is folded, whether the log still holds what it needs."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from aiokafka import TopicPartition

from schemas import topics
from services.commands.checks.finding import Finding, fail, ok, some, span, warn
from services.commands.kafka_facts import Asking, Group, Range
from services.commands.ledgers import ledgers
from services.continuity import CannotOwn, check, check_count
from services.detector.ledger import LedgerRecord
from services.settings import ServiceSettings
from services.snapshots import Bounds

BEHIND_SECONDS: Final = 90.0
"""A snapshot may be 30 s old, and a tick a minute; what is older than both waits."""
STUCK_SECONDS: Final = 600.0
CLOCK_SECONDS: Final = 180.0
"""Two ticks may be missing."""
SPARE_SHARE: Final = 0.5
"""Of the retention, that a stopped detector may use up before it is said."""


class Part(NamedTuple):
    """One partition of `events.v1`.

    Attributes:
        held: Its offsets.
        ledger: The newest one, or None if there is none.
        at_stamp: Append time of the message at the stamp, microseconds; None if it is gone.
        waiting: Append time of the first message that is not folded; None if there is none.
    """

    held: Range
    ledger: LedgerRecord | None
    at_stamp: int | None
    waiting: int | None

    @property
    def stamp(self) -> int:
        """Offset up to which the snapshot is folded; -1 for nothing."""
        return -1 if self.ledger is None else self.ledger.stamp

    @property
    def lag(self) -> int:
        """How many messages wait."""
        return max(0, self.held.end - max(self.stamp + 1, self.held.start))


class Detector(NamedTuple):
    """What is known of the detector.

    Attributes:
        group: Its consumer group.
        partitions: What EBBWATCH_PARTITIONS says.
        parts: By partition.
        rules: Number of the newest rule set that was applied; 0 for none.
        live: Whether the deployment is live.
        retention: How long the log is kept, seconds; 0 for ever.
    """

    group: Group
    partitions: int
    parts: Mapping[int, Part]
    rules: int
    live: bool
    retention: float


async def look(
    kafka: Asking, settings: ServiceSettings, rules: int, live: bool, retention: float
) -> Detector | None:
    """Ask Kafka about the detector; None where its topics are missing.

    Args:
        kafka: The connection.
        settings: Which deployment.
        rules: Number of the newest rule set.
        live: Whether the deployment is live.
        retention: How long `events.v1` is kept, seconds.
    """
    events, state = (
        topics.full_name(one, settings.prefix) for one in (topics.EVENTS, topics.STATE)
    )
    existing = await kafka.topics()
    if events not in existing or state not in existing:
        return None
    logs = [TopicPartition(events, number) for number in existing[events]]
    snapshots = [TopicPartition(state, number) for number in existing[state]]
    offsets = await kafka.offsets([*logs, *snapshots])
    known = await ledgers(kafka, snapshots, offsets)
    stamps = {log: known[log.partition].stamp for log in logs if log.partition in known}
    times = await _times(kafka, {log: offsets[log] for log in logs}, stamps)
    parts = {
        log.partition: Part(offsets[log], known.get(log.partition), *times[log]) for log in logs
    }
    name = f"{settings.prefix}detector"
    group = (await kafka.groups([name])).get(name, Group("Dead", 0))
    return Detector(group, settings.partitions, parts, rules, live, retention)


def judge(detector: Detector, now: float) -> list[Finding]:
    """Return what is to be said of the detector.

    Args:
        detector: What is known.
        now: Seconds since 1970-01-01 UTC.
    """
    return [
        _workers(detector),
        _count(detector),
        *_log(detector, now),
        *_rules(detector),
        _lag(detector, now),
        *_clock(detector, now),
    ]


def _workers(detector: Detector) -> Finding:
    state, members = detector.group
    if not members:
        text = "no detector is running, or it hangs: look at its /livez"
        return fail("workers", text, "start one: `ebbwatch serve detector`")
    what = "1 detector" if members == 1 else f"{members} detectors"
    if state != "Stable":
        return warn(
            "workers", f"{what}; the partitions are being shared out ({state})", "ask again"
        )
    return ok("workers", f"{what} on {len(detector.parts)} partitions")


def _count(detector: Detector) -> Finding:
    for part in detector.parts.values():
        if part.ledger is not None:
            try:
                check_count(
                    "events.v1", len(detector.parts), part.ledger.partitions, detector.partitions
                )
            except CannotOwn as error:
                return fail("partitions", *_parted(error))
    return ok("partitions", f"{detector.partitions}, in the topics, the snapshot and the setting")


def _log(detector: Detector, now: float) -> Iterator[Finding]:
    for number, part in sorted(detector.parts.items()):
        bounds = Bounds(*part.held, part.at_stamp, len(detector.parts))
        appended = 0 if part.ledger is None else part.ledger.appended
        try:
            check("events.v1", "state.v1", number, part.stamp, appended, bounds)
        except CannotOwn as error:
            yield fail("log", *_parted(error))
            return
    oldest = min((one.waiting for one in detector.parts.values() if one.waiting), default=None)
    age = 0.0 if oldest is None else now - oldest / 1e6
    if detector.retention and age > SPARE_SHARE * detector.retention:
        left = span(detector.retention - age)
        text = f"the oldest message that is not folded expires in {left}"
        yield warn("log", text, "start the detector before; afterwards nobody may skip the hole")
    else:
        yield ok("log", "holds all that the snapshot has not folded")


def _rules(detector: Detector) -> Iterator[Finding]:
    if not detector.rules:
        yield warn("rules", "no rule set is applied", "run `ebbwatch config apply`")
        return
    late = [
        f"partition {number} has {0 if part.ledger is None else part.ledger.rules}"
        for number, part in sorted(detector.parts.items())
        if part.ledger is None or part.ledger.rules != detector.rules
    ]
    if late and detector.live:
        text = f"rule set {detector.rules} is not in force everywhere: {some(late, 3)}"
        yield warn("rules", text, "it comes through ingest and the detector: are both running?")
    elif not late:
        yield ok("rules", f"rule set {detector.rules} is in force in every partition")


def _lag(detector: Detector, now: float) -> Finding:
    waiting = {number: one for number, one in detector.parts.items() if one.waiting is not None}
    total = sum(one.lag for one in waiting.values())
    if not waiting:
        return ok("lag", "everything is folded")
    oldest = min(waiting, key=lambda number: waiting[number].waiting or 0)
    age = now - (waiting[oldest].waiting or 0) / 1e6
    text = f"{total:,} messages since the last snapshots, the oldest {span(age)} old"
    if age <= BEHIND_SECONDS:
        return ok("lag", text)
    text += f" (partition {oldest})"
    remedy = "look at the detector's log, /readyz and CPU; more workers share the partitions"
    return (fail if age > STUCK_SECONDS else warn)("lag", text, remedy)


def _clock(detector: Detector, now: float) -> Iterator[Finding]:
    clocks = {
        number: 0 if one.ledger is None else one.ledger.clock
        for number, one in detector.parts.items()
    }
    if not clocks or not detector.live:
        return
    slowest = min(clocks, key=lambda number: clocks[number])
    age = now - clocks[slowest] / 1e6
    if age <= CLOCK_SECONDS:
        yield ok("clock", f"the newest tick is {span(age)} old")
        return
    stands = "no tick was ever folded" if not clocks[slowest] else f"stands for {span(age)}"
    waiting = detector.parts[slowest].waiting
    if waiting is not None and now - waiting / 1e6 > BEHIND_SECONDS:
        yield warn("clock", f"{stands}, because the detector is behind", "see lag")
    elif waiting is not None and not clocks[slowest]:
        # The log is as young as its first message.
        text = f"{stands} (partition {slowest}): the first snapshot comes within 30 s of a start"
        yield warn("clock", text, "ask again in a minute")
    else:
        remedy = (
            "ingest writes it: is it running, with the right time, and live? Ask its /readyz; or "
            "the detector that folds it hangs: look at its /livez"
        )
        yield fail("clock", f"{stands} (partition {slowest})", remedy)


def _parted(error: CannotOwn) -> tuple[str, str]:
    """Take the remedy off a text that ends with it."""
    text, _, remedy = str(error).rpartition(". ")
    return (text, remedy) if text else (remedy, "")


async def _times(
    kafka: Asking,
    offsets: Mapping[TopicPartition, Range],
    stamps: Mapping[TopicPartition, int],
) -> dict[TopicPartition, tuple[int | None, int | None]]:
    """Return when the message at the stamp was appended, and the one after it, microseconds."""
    begins = {
        part: max(held.start, min(stamps.get(part, -1), held.end)) for part, held in offsets.items()
    }
    ends = {
        part: min(held.end, max(stamps.get(part, -1) + 2, begins[part] + 1))
        for part, held in offsets.items()
    }
    found: dict[TopicPartition, tuple[int | None, int | None]] = dict.fromkeys(
        offsets, (None, None)
    )
    async for part, record in kafka.read(begins, ends):
        at, waiting = found[part]
        if record.offset == stamps.get(part):
            found[part] = record.timestamp * 1000, waiting
        elif waiting is None:
            found[part] = at, record.timestamp * 1000
    return found
