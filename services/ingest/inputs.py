"""What is known of each input and its partitions: whether it can be read, and how far it is."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError

from schemas.config import Input
from services.ingest.expiry import Expiry
from services.ingest.formats import FORMATS
from services.ingest.forwarding import Source
from services.ingest.markers import Marked
from services.ingest.metrics import Lags, Metrics
from services.runtime import Health, get_logger
from services.topic_ids import UNKNOWN

FUTURE_MICROS: Final = 120 * 1_000_000
"""A record's time this far ahead tells nothing of how far its partition is: its clock is wrong."""
REREAD_MILLISECONDS: Final = 2_000

_log = get_logger(__name__)


class Inputs:
    """The inputs of one process.

    Args:
        health: Shows each input as `input:<name>`; a faulty one leaves the service ready.
        metrics: Shows the lag, and what expired unread.
        group: Consumer group, for the metric.
        marked: Returns the partitions that were ever read.
    """

    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        group: str,
        marked: Callable[[], Marked],
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._marked = marked
        self._configured: Mapping[str, Input] = {}
        self._sources: Mapping[str, Source] = {}
        self._faults: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._shown: dict[str, str | None] = {}
        self._hindrance = ""
        self._lags = Lags(metrics, group)
        self._next: dict[TopicPartition, int] = {}
        self._until: dict[TopicPartition, int] = {}
        self._kept: dict[TopicPartition, int] = {}
        self._expiry = Expiry(metrics)

    def configure(self, inputs: Mapping[str, Input], sources: Mapping[str, Source]) -> None:
        """Take the inputs of a rule set; an unchanged one keeps its fault.

        Args:
            inputs: By name.
            sources: By topic, those with a known format.
        """
        for name in self._configured.keys() - inputs.keys():
            self._health.remove(f"input:{name}")
            self._metrics.input_up.remove(name)
        self._faults = {
            name: fault
            for name, fault in self._faults.items()
            if self._configured.get(name) == inputs.get(name)
        }
        self._ids = {
            name: id
            for name, id in self._ids.items()
            if self._configured.get(name) == inputs.get(name)
        }
        self._configured = inputs
        self._sources = sources

    def readable(self, existing: Mapping[str, str]) -> frozenset[str]:
        """Return the topics to read, and show what is wrong with the others.

        Args:
            existing: Id by name of those topics that exist.
        """
        readable = set()
        for name, each in self._configured.items():
            fault = self._faults.get(name) or self._fault(name, each, existing)
            self._show(name, fault)
            if fault is None:
                readable.add(each.topic)
        return frozenset(readable)

    def _fault(self, name: str, each: Input, existing: Mapping[str, str]) -> str | None:
        source = self._sources.get(each.topic)
        if source is None:
            known = ", ".join(each.NAME for each in FORMATS)
            return f"format {each.format!r} is unknown; one of {known}"
        if source.name != name:
            return f"topic {each.topic!r} is read as input {source.name!r} already; remove one"
        if each.topic not in existing:
            return f"topic {each.topic!r} does not exist; create it, or correct inputs.toml"
        return self._replaced(name, each.topic, existing[each.topic])

    def _replaced(self, name: str, topic: str, id: str) -> str | None:
        """Stop an input whose topic bears another id than what was read of it."""
        if id == UNKNOWN:
            return None
        known = set(self._marked().get(topic, {}).values()) - {UNKNOWN}
        # What was merely seen here says nothing where a mark tells what was read.
        if any(part.topic == topic for part in self._next) or (not known and self._read(topic)):
            known.add(self._ids.get(name, UNKNOWN))
        if not known - {id, UNKNOWN}:
            self._ids[name] = id
            return None
        # For good: its offsets say nothing of what was read, also where they look as if.
        self._faults[name] = (
            f"topic {topic!r} was deleted and created anew: `ebbwatch inputs reset {name} "
            "--created-anew` reads it from its beginning"
        )
        return self._faults[name]

    def _read(self, topic: str) -> bool:
        known = self._kept.keys() | self._next.keys()
        return bool(self._marked().get(topic)) or any(part.topic == topic for part in known)

    def _show(self, name: str, fault: str | None) -> None:
        if fault is not None and self._shown.get(name) != fault:
            _log.error("input stopped", input=name, fault=fault)
        self._shown[name] = fault
        what = fault or self._hindrance
        self._health.set(f"input:{name}", not what, what, required=False)
        self._metrics.input_up.labels(name).set(not what)

    def hinder(self, why: str) -> None:
        """Show why no input is carried at present, whatever it is itself; empty: they are again."""
        if why != self._hindrance:
            self._hindrance = why
            for name in self._configured:
                self._show(name, self._shown.get(name))

    async def take(self, consumer: Any, assigned: frozenset[TopicPartition]) -> None:
        """Note from where each new partition is read, and whether that can be.

        Args:
            consumer: Its owner, which begins nowhere by itself but where Kafka keeps an offset.
            assigned: The new partitions.
        """
        if not assigned:
            return
        starts = await consumer.beginning_offsets(assigned)
        ends = await consumer.end_offsets(assigned)
        for partition in assigned:
            committed = await consumer.committed(partition)
            if self._begin(partition, committed, starts[partition], ends[partition]):
                consumer.seek(partition, starts[partition])

    def _begin(
        self, partition: TopicPartition, committed: int | None, start: int, end: int
    ) -> bool:
        """Tell whether a partition is to be read from its oldest record on."""
        self._expiry.begin(self._name(partition), partition)
        if committed is None:
            if partition.partition in self._marked().get(partition.topic, ()):
                self._doubt(partition, "was read before, and Kafka has forgotten up to where")
                return False
            return True
        self._kept[partition] = committed
        if committed > end:
            self._next[partition] = committed
            self._doubt(partition, f"ends at {end}, and was read up to {committed}")
            return False
        return self._overtaken(partition, committed, start)

    def _overtaken(self, partition: TopicPartition, wanted: int, start: int) -> bool:
        """Tell whether what is wanted next is gone: to wait would not bring it back."""
        self._next[partition] = max(wanted, start)
        return self._expiry.note(partition, wanted, start)

    async def go_on(self, consumer: Any, refused: Mapping[TopicPartition, int]) -> bool:
        """Go on at the oldest record left where Kafka no longer has what is wanted next.

        Args:
            consumer: The owner of the partitions.
            refused: Offsets that Kafka refused to read from, at least one.

        Returns:
            False if a partition ends before what is wanted: whoever takes it anew sees why.
        """
        starts = await consumer.beginning_offsets(refused)
        ends = await consumer.end_offsets(refused)
        for partition, wanted in refused.items():
            if await _position(consumer, partition) != wanted:
                # The client repeats an error whose cause is mended, or another owns it.
                continue
            if wanted > ends[partition]:
                return False
            # Of what was never read nothing is lost: it begins where it begins.
            if partition not in self._next or self._overtaken(partition, wanted, starts[partition]):
                consumer.seek(partition, starts[partition])
        return True

    def unmarked(self) -> dict[str, dict[int, str]]:
        """Return partitions with a committed offset whose mark is missing, or has no id yet."""
        marked = self._marked()
        found: dict[str, dict[int, str]] = {}
        for topic, number in self._kept:
            id = self._ids.get(self._name(TopicPartition(topic, number)), UNKNOWN)
            mark = marked.get(topic, {}).get(number)
            if mark is None or (mark == UNKNOWN != id):
                found.setdefault(topic, {})[number] = id
        return found

    async def stop_unreadable(self, consumer: Any) -> bool:
        """Stop the inputs of partitions whose next records the client itself cannot read.

        Args:
            consumer: Their owner; what it reads meanwhile is lost to it.

        Returns:
            Whether there was one.
        """
        found = False
        for partition in consumer.assignment():
            position, end = await _position(consumer, partition), consumer.highwater(partition)
            if position is None or end is None or position >= end:
                continue
            try:
                await consumer.getmany(partition, timeout_ms=REREAD_MILLISECONDS)
            except UnicodeDecodeError:
                self._stop(
                    partition,
                    f"holds, at {position} or soon after, a record with a header whose name is no "
                    "UTF-8: mend its producer, delete the records up to there "
                    "(`kafka-delete-records`), and restart ingest",
                )
                found = True
        return found

    def _doubt(self, partition: TopicPartition, what: str) -> None:
        """Stop an input whose topic does not look like the one that was read."""
        remedy = f"`ebbwatch inputs reset {self._name(partition)}` accepts it as it is"
        self._stop(partition, f"{what}: was the topic created anew? {remedy}")

    def _stop(self, partition: TopicPartition, what: str) -> None:
        name = self._name(partition)
        fault = f"partition {partition.partition} of topic {partition.topic!r} {what}"
        self._faults[name] = fault
        self._show(name, fault)

    def _name(self, partition: TopicPartition) -> str:
        # The topic of an input that a newer rule set has dropped stands for itself.
        source = self._sources.get(partition.topic)
        return partition.topic if source is None else source.name

    def faulty(self, partitions: Iterable[TopicPartition]) -> bool:
        """Tell whether a partition belongs to a stopped input."""
        return any(self._name(each) in self._faults for each in partitions)

    def check(self, partition: TopicPartition, offset: int) -> bool:
        """Tell whether a record may be forwarded; one that jumps back stops its input.

        Args:
            partition: Where it was read.
            offset: Its offset.
        """
        if offset < self._next.get(partition, 0):
            self._doubt(
                partition, f"goes on at {offset}, and was read up to {self._next[partition]}"
            )
        return not self.faulty((partition,))

    def source(self, partition: TopicPartition) -> Source:
        """Return the input of a partition."""
        return self._sources[partition.topic]

    def reached(
        self, consumer: Any, partition: TopicPartition, offset: int, time: int, now: int
    ) -> int:
        """Return up to when a partition is complete, once records of it are forwarded.

        Args:
            consumer: Its owner.
            partition: The partition.
            offset: The offset after the last of them.
            time: The time of the last of them, microseconds, negative for none.
            now: The wall clock, microseconds.

        Returns:
            When the partition was polled, if nothing more waited then; else the record's time; 0
            if that says nothing.
        """
        if partition in consumer.assignment():
            end, polled_ms = consumer.highwater(partition), consumer.last_poll_timestamp(partition)
            if end is not None and polled_ms is not None and offset >= end:
                return int(polled_ms * 1000)
        return max(0, min(time, now)) if time <= now + FUTURE_MICROS else 0

    def forwarded(self, ahead: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Note how far partitions are forwarded: the next offset, and up to when each `reached`."""
        for partition, (offset, time) in ahead.items():
            self._next[partition] = offset
            self._until[partition] = max(time, self._until.get(partition, 0))

    def committed(self, ahead: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Note that Kafka keeps what was `forwarded`, so that partitions may be marked."""
        for partition, (offset, _) in ahead.items():
            self._kept[partition] = offset
            self._expiry.tell(self._name(partition), partition, offset)

    def release(self, revoked: Iterable[TopicPartition]) -> None:
        """Forget partitions; all of them if none is named."""
        every = self._next.keys() | self._until.keys() | self._lags.shown()
        for partition in tuple(revoked) or tuple(every):
            self._kept.pop(partition, None)
            self._next.pop(partition, None)
            self._until.pop(partition, None)
            self._lags.forget(partition)

    def progress(self) -> dict[str, int]:
        """Return up to when each owned `input/partition` is forwarded, microseconds."""
        # A topic that is being given up has no input's name any more, or another's.
        return {
            f"{self._name(each)}/{each.partition}": until
            for each, until in self._until.items()
            if each.topic in self._sources
        }

    async def measure(
        self, consumer: Any, ahead: Iterable[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, int]]:
        """Show the lag, and note partitions on which nothing waits as complete until now.

        Args:
            consumer: Their owner.
            ahead: Partitions with records in flight, which are not complete.

        Returns:
            What counts as `forwarded` although there was nothing to forward between what Kafka
            keeps and what is read next: markers of transactions, or what expired. It has to be
            committed; the next owner would take it for records that expired unread.
        """
        busy, passed = frozenset(ahead), {}
        for partition in consumer.assignment():
            # No tick is silent about it: a day would be judged as if it had no data to wait for.
            self._until.setdefault(partition, 0)
            end, polled_ms = consumer.highwater(partition), consumer.last_poll_timestamp(partition)
            if end is None or polled_ms is None:
                continue
            position = await _position(consumer, partition)
            if position is None or partition not in consumer.assignment():
                continue
            # Records of a stopped input were polled as well, and not forwarded.
            if partition not in busy and not self.faulty((partition,)):
                if position >= end:
                    self._until[partition] = max(polled_ms * 1000, self._until.get(partition, 0))
                if position > self._kept.get(partition, position):
                    passed[partition] = position, 0
            age = (polled_ms * 1000 - (self._until.get(partition) or polled_ms * 1000)) / 1e6
            self._lags.show(self._name(partition), partition, max(0, end - position), max(0.0, age))
        return passed


async def _position(consumer: Any, partition: TopicPartition) -> int | None:
    """Return where a partition is read next, or None while nobody knows, or another owns it."""
    try:
        async with asyncio.timeout(0.2):
            return int(await consumer.position(partition))
    except (TimeoutError, IllegalStateError):
        return None
