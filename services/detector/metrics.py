"""The detector's metrics, read off the owned partitions when somebody asks (operations.md)."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from schemas.topics import EVENTS, STATE
from services.detector.partition import Partition
from services.detector.persons import WAITING_BYTES
from services.detector.recent import GENERATIONS, ID_BYTES
from services.detector.sending import Outgoing
from services.detector.store import Store
from services.log_sizes import LogSizes
from services.process_metrics import Counted, counters

TOPIC: Final = {"topic": EVENTS.name}
STAGE: Final = {"stage": "detector"}

_COUNTERS: Final[Mapping[str, Counted]] = {
    "folded": Counted(
        "ebbwatch_detector_events", "Events folded, by outcome.", TOPIC, ("outcome",)
    ),
    "duplicate": Counted("ebbwatch_duplicates", "Entries dropped as repeated.", {}, ("reason",)),
    "rejected": Counted("ebbwatch_dead_letters", "Refusals, by reason.", STAGE, ("reason",)),
    "alert": Counted("ebbwatch_alerts_emitted", "Alert records.", {}, ("type", "rule", "severity")),
    "suppressed": Counted("ebbwatch_alerts_suppressed", "Conditions held back.", {}, ("reason",)),
    "rule_failed": Counted(
        "ebbwatch_rule_failures", "Rules that raised and are off.", {}, ("rule",)
    ),
    "quarantined": Counted("ebbwatch_quarantined", "Subjects set aside.", {}, ("reason",)),
    "held": Counted("ebbwatch_held_entries", "Entries that wait for a repair.", {}, ("reason",)),
    "repaired": Counted("ebbwatch_repairs", "Subjects repaired.", {}, ("reason",)),
    "forwarded": Counted("ebbwatch_forwards", "Entries sent on to another account.", {}, ("kind",)),
    "dropped": Counted("ebbwatch_dropped", "Entries about what was erased.", {}, ("reason",)),
    "erased": Counted("ebbwatch_erasures", "Accounts and people erased.", {}, ("kind",)),
    "caught_up": Counted(
        "ebbwatch_caught_up_messages", "Messages beyond the snapshot at take-overs.", TOPIC, ()
    ),
    "replayed": Counted("ebbwatch_replayed", "Messages at or before the stamp.", {}, ("reason",)),
}
"""By what is counted: name, text, fixed labels, and the labels of the count."""

ALERT_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


SUBJECT_BYTES: Final = 64 * 1024
"""Of state for one subject, on average over a partition: sixteen times what an account with 210
days of four metrics takes (tests/unit/detector/test_metrics.py)."""
PERSON_BYTES: Final = 1024
"""Of state for one person and the account that they joined: some six times what they take where
ids are UUIDs."""
LEDGER_BYTES: Final = 8 * 1024 * 1024
"""Of state for the rest of a ledger: rule sets, sightings, closings."""


class Held(Protocol):
    """An owned partition."""

    @property
    def partition(self) -> Partition:
        """Its state in memory."""

    @property
    def store(self) -> Store:
        """Where it is written."""

    @property
    def outgoing(self) -> Outgoing:
        """Its forwards that are on their way."""


class Holdings(Protocol):
    """What one worker owns."""

    @property
    def owned(self) -> Mapping[int, Held]:
        """The owned partitions by number."""

    @property
    def counted(self) -> Mapping[tuple[str, ...], int]:
        """What partitions counted that are owned no longer."""

    @property
    def rebalances(self) -> int:
        """How often partitions were assigned."""

    @property
    def remaining(self) -> Mapping[int, int]:
        """Records still to be read, of partitions that are being loaded."""


class PartitionCollector(Collector):
    """Turns owned partitions into metrics.

    Args:
        holdings: What the worker owns.
        lag: Returns how many messages wait, by partition and stamp; None while unknown.
        sizes: What `state.v1` takes on the brokers.
        clock: Returns the time, seconds since 1970-01-01 UTC.
        group: Name of the consumer group, a label.
    """

    def __init__(
        self,
        holdings: Holdings,
        lag: Callable[[int, int], int | None],
        sizes: LogSizes,
        clock: Callable[[], float],
        group: str,
    ) -> None:
        self._holdings = holdings
        self._lag = lag
        self._sizes = sizes
        self._clock = clock
        self._group = group
        # When each partition was first asked for here; the age of a clock that never ticked.
        self._since: dict[int, float] = {}

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        held = [one for _, one in sorted(self._holdings.owned.items())]
        partitions = [one.partition for one in held]
        yield from self._counters(partitions)
        yield from self._progress(partitions)
        yield from self._contents(partitions)
        yield from self._horizons(partitions)
        yield from self._state(held)
        yield self._outgoing(held)
        yield from self._loading()

    def _counters(self, partitions: list[Partition]) -> Iterator[Metric]:
        total: Counter[tuple[str, ...]] = Counter(self._holdings.counted)
        for partition in partitions:
            total.update(partition.counts)
        yield from counters(_COUNTERS, [total])
        late = CounterMetricFamily("ebbwatch_late_events", "Late events.", labels=["topic"])
        late.add_metric([EVENTS.name], total["folded", "late"] + total["rejected", "too_late"])
        yield late

    def _progress(self, partitions: list[Partition]) -> Iterator[Metric]:
        lag = _gauge("kafka_consumergroup_lag", "Messages that wait.", "consumergroup")
        watermark = _gauge(
            "ebbwatch_watermark_lag_seconds",
            "How old the partition's clock is, or how long it has had none.",
        )
        mode = _gauge("ebbwatch_mode_info", "Mode of the partition's clock.", "mode")
        stamp = _gauge("ebbwatch_stamp", "Offset folded last.")
        now = self._clock()
        self._since = {one.number: self._since.get(one.number, now) for one in partitions}
        for partition in partitions:
            at, record = _at(partition), partition.ledger.record
            waiting = self._lag(partition.number, partition.stamp)
            if waiting is not None:
                lag.add_metric([self._group, *at], waiting)
            began = record.clock / 1e6 if record.clock else self._since[partition.number]
            watermark.add_metric(at, now - began)
            mode.add_metric([record.mode, *at], 1)
            stamp.add_metric(at, partition.stamp)
        yield from (lag, watermark, mode, stamp)

    def _contents(self, partitions: list[Partition]) -> Iterator[Metric]:
        accounts = _gauge("ebbwatch_accounts_tracked", "Accounts.")
        held = _gauge("ebbwatch_quarantined_subjects", "Subjects that wait for a repair.")
        off = _gauge("ebbwatch_rules_off", "Accounts for which a rule raised, and is off.", "rule")
        rules = _gauge("ebbwatch_rules_info", "Number of the rule set in force.", "n")
        closings = _gauge("ebbwatch_open_closings", "Days being judged.")
        waiting = _gauge(
            "ebbwatch_waiting_events", "Events that wait for the account of their person."
        )
        days = _gauge(
            "ebbwatch_days_waiting", "Days that are due, of a time zone, and wait for it.", "input"
        )
        for partition in partitions:
            for name, count in partition.days_waiting.items():
                days.add_metric([name, *_at(partition)], count)
            at, record = _at(partition), partition.ledger.record
            accounts.add_metric(at, len(partition.accounts))
            quarantined, silenced = _troubled(partition)
            held.add_metric(at, quarantined)
            for rule, count in sorted(silenced.items()):
                off.add_metric([rule, *at], count)
            closings.add_metric(at, len(record.closings))
            waiting.add_metric(at, partition.waiting)
            rules.add_metric([str(record.rules), *at], 1)
        yield from (accounts, held, off, rules, closings, waiting, days)

    def _horizons(self, partitions: list[Partition]) -> Iterator[Metric]:
        ids = _gauge("ebbwatch_duplicate_horizon_ids", "Ids remembered.", "channel")
        horizon = _gauge(
            "ebbwatch_duplicate_horizon_seconds",
            "How far back a repeated id is known for certain.",
            "channel",
        )
        for partition in partitions:
            for channel, recent in partition.ledger.ids.items():
                ids.add_metric([channel, *_at(partition)], len(recent))
                began = partition.ledger.horizon_began(channel)
                if began:
                    horizon.add_metric([channel, *_at(partition)], self._clock() - began / 1e6)
        yield from (ids, horizon)

    def _state(self, held: list[Held]) -> Iterator[Metric]:
        records = _gauge("ebbwatch_state_records", "Records of the snapshot, one a key.")
        size = _gauge("ebbwatch_state_bytes", "Bytes of the snapshot, one record a key.")
        bound = _gauge(
            "ebbwatch_state_bound_bytes", "What the snapshot may take with so many subjects."
        )
        log = _gauge("ebbwatch_state_log_bytes", "Bytes of the snapshot's log on the brokers.")
        log_bound = _gauge(
            "ebbwatch_state_log_bound_bytes", "What that may take if it is compacted."
        )
        for one in held:
            at = [STATE.name, str(one.partition.number)]
            records.add_metric(at, one.store.footprint.records)
            size.add_metric(at, one.store.footprint.bytes)
            bound.add_metric(at, _bound(one.partition))
            taken = self._sizes.bytes.get(one.partition.number)
            if taken is not None:
                log.add_metric(at, taken)
                # Half of a log may be superseded before it is compacted, and of its newest
                # segment and one that was just closed all of it.
                allowed = 3 * one.store.footprint.bytes + 2 * self._sizes.segment
                log_bound.add_metric(at, allowed)
        yield from (records, size, bound, log, log_bound)

    def _outgoing(self, held: list[Held]) -> Metric:
        waiting = _gauge(
            "ebbwatch_forwards_waiting_bytes",
            "Bytes of forwards that Kafka has not acknowledged; beyond 8 MiB folding waits.",
        )
        for one in held:
            waiting.add_metric(_at(one.partition), one.outgoing.waiting)
        return waiting

    def _loading(self) -> Iterator[Metric]:
        remaining = _gauge(
            "ebbwatch_recovery_remaining_records", "Records of snapshots still to be read."
        )
        for number, count in sorted(self._holdings.remaining.items()):
            remaining.add_metric([STATE.name, str(number)], count)
        rebalances = CounterMetricFamily("ebbwatch_rebalances", "Assignments taken over.")
        rebalances.add_metric([], self._holdings.rebalances)
        yield from (remaining, rebalances)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=[*labels, "topic", "partition"])


def _at(partition: Partition) -> list[str]:
    return [EVENTS.name, str(partition.number)]


def _troubled(partition: Partition) -> tuple[int, Counter[str]]:
    """Return how many accounts are quarantined, and for how many each rule is off."""
    quarantined, silenced = 0, Counter[str]()
    for account in partition.accounts.values():
        quarantined += account.quarantine is not None
        for rule, n in account.off.items():
            silenced[rule] += n == partition.ledger.record.rules
    return quarantined, silenced


def _bound(partition: Partition) -> int:
    ids = sum(one.size * (GENERATIONS + 1) for one in partition.ledger.ids.values())
    subjects = len(partition.accounts) + partition.ours
    return (
        LEDGER_BYTES
        + ID_BYTES * ids
        + SUBJECT_BYTES * subjects
        + PERSON_BYTES * partition.persons
        + WAITING_BYTES
    )


def event_to_alert(registry: CollectorRegistry) -> Histogram:
    """Return the histogram from the append of an event, or of the tick, to its durable alert."""
    return Histogram(
        "ebbwatch_event_to_alert_seconds",
        "From the message that caused an alert to its record in alerts.v1.",
        registry=registry,
        buckets=ALERT_SECONDS,
    )
