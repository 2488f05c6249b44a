"""Reads `rejects.v1`: which refusals there are, since when, and of what kind."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas import topics
from schemas.config import RULES_PREFIX, RuleSetContent, RuleSetRecord
from schemas.envelope import Entry
from schemas.rejects import Reject
from services.commands.input_lives import base
from services.kafka_clients import close
from services.topic_admin import partition_counts

DEADLINE_SECONDS: Final = 20.0
"""How long a broker may say nothing before it counts as away."""

_POLL_MS: Final = 200
_SPAN = re.compile(r"(\d{1,6})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Outcome = TypeVar("Outcome")

_decode = msgspec.json.Decoder(Reject).decode
_entry = msgspec.json.Decoder(Entry)


class Refusal(NamedTuple):
    """One record of `rejects.v1`.

    Attributes:
        partition: Its partition of `rejects.v1`.
        offset: Its offset there.
        at_ms: When it was refused, milliseconds since 1970-01-01 UTC.
        reject: What it says.
    """

    partition: int
    offset: int
    at_ms: int
    reject: Reject

    @property
    def at(self) -> datetime:
        """When it was refused, aware UTC."""
        return datetime.fromtimestamp(self.at_ms / 1000, UTC)

    @property
    def origin(self) -> str:
        """Where the refused bytes came from, for a person, such as `usage/3@1234 #2`."""
        reject = self.reject
        place = "" if reject.index is None else f" #{reject.index}"
        if reject.topic:
            return f"{reject.topic}/{reject.partition}@{reject.offset}{place}"
        return f"HTTP{place}" if place else "a file"


class Wanted(NamedTuple):
    """Which refusals are meant; what is left empty means any.

    Attributes:
        since: The oldest, aware UTC.
        stage: Who refused.
        reasons: Codes.
        source: The event's source, the name of an input, or its topic.
        topics: What the input of that name reads, and has read; see `topics_of`.
        inputs: Under which names it is, and was, counted; see `names_of`.
    """

    since: datetime
    stage: str = ""
    reasons: frozenset[str] = frozenset()
    source: str = ""
    topics: frozenset[str] = frozenset()
    inputs: frozenset[str] = frozenset()

    def __contains__(self, found: object) -> bool:
        """Tell whether a refusal is meant."""
        return (
            isinstance(found, Refusal)
            and found.at >= self.since
            and self.stage in ("", found.reject.stage)
            and (not self.reasons or found.reject.reason in self.reasons)
            and (self.source in ("", found.reject.source) or self._of_input(found.reject))
        )

    def _of_input(self, reject: Reject) -> bool:
        # The detector's name events.v1 as their topic, which is no input; its entries name theirs.
        if reject.stage == "detector":
            return bool(self.inputs) and input_of(reject) in self.inputs
        known = reject.stage == "ingest" and reject.topic != ""
        return known and (reject.topic == self.source or reject.topic in self.topics)


def input_of(reject: Reject) -> str:
    """Return the input that brought an entry which the detector refused; empty where it is unknown.

    It is of what came over HTTP, was forwarded from a person or replayed, or is cut.
    """
    try:
        origin = _entry.decode(reject.raw).origin
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return "" if origin is None else origin.input


def topics_of(found: Mapping[str, bytes], name: str) -> frozenset[str]:
    """Return the topics that an input reads, and has read; none if no rule set names it.

    Args:
        found: The newest value of every key of `config.v1`.
        name: As in `inputs.toml`, or as it is counted, such as `usage~2`.
    """
    return frozenset(topic for full, topic in _lives(found) if name in (full, base(full)))


def names_of(found: Mapping[str, bytes], name: str) -> frozenset[str]:
    """Return the names under which an input is, and was, counted; none if no rule set names it.

    Args:
        found: The newest value of every key of `config.v1`.
        name: As in `inputs.toml`, or as it is counted, such as `usage~2`; or a topic.
    """
    return frozenset(full for full, topic in _lives(found) if name in (full, base(full), topic))


def _lives(found: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Yield each input that any rule set names, as it is counted, with its topic."""
    for key, value in found.items():
        if key.startswith(RULES_PREFIX):
            record = msgspec.json.decode(value, type=RuleSetRecord)
            content = msgspec.json.decode(record.content, type=RuleSetContent)
            yield from ((full, input.topic) for full, input in content.inputs.items())


class RejectsAway(Exception):
    """`rejects.v1` cannot be read; the message says why and what to do."""


def beginning(since: str, begin: str | None, now: datetime) -> datetime | str:
    """Return from when on refusals are meant, or what is wrong with how that was said.

    Args:
        since: A span back from now, such as `90s`, `30m`, `2h`, `14d`.
        begin: An instant, ISO 8601 with an offset, or a date, which begins at midnight UTC; it
            goes before the span.
        now: Aware UTC.

    >>> beginning("2h", None, datetime(2026, 5, 14, 12, tzinfo=UTC)).isoformat()
    '2026-05-14T10:00:00+00:00'
    """
    if begin is None:
        span = _SPAN.fullmatch(since)
        if span is None:
            return f"--since {since!r} must be a number with s, m, h or d, such as 2h"
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        found = datetime.fromisoformat(begin)
    except ValueError:
        return f"--from {begin!r} must be a date or an instant, such as 2026-05-14T09:00Z"
    if len(begin) == len("2026-05-14"):
        return found.replace(tzinfo=UTC)
    if found.tzinfo is None:
        return f"--from {begin!r} has no offset; write {begin}Z for UTC"
    return found.astimezone(UTC)


class Rejects:
    """Refusals of a deployment from some instant on; get one from `opened`.

    Attributes:
        starts: First offset that is kept, by partition.
        begins: Offset from which on it is read, by partition.
        ends: Offset of the next record, by partition.
    """

    def __init__(self, consumer: AIOKafkaConsumer, topic: str, partitions: int) -> None:
        self._consumer = consumer
        self._topic = topic
        self._partitions = partitions
        self.starts: dict[int, int] = {}
        self.begins: dict[int, int] = {}
        self.ends: dict[int, int] = {}

    async def seek(self, instant: datetime) -> None:
        """Go to an instant, aware UTC."""
        parts = [TopicPartition(self._topic, number) for number in range(self._partitions)]
        self._consumer.assign(parts)
        starts = await self._consumer.beginning_offsets(parts)
        ends = await self._consumer.end_offsets(parts)
        at = max(0, round(instant.timestamp() * 1000))
        found = await self._consumer.offsets_for_times(dict.fromkeys(parts, at))
        for part in parts:
            begin = ends[part] if found.get(part) is None else found[part].offset
            self.starts[part.partition] = starts[part]
            self.begins[part.partition] = begin
            self.ends[part.partition] = ends[part]
            self._consumer.seek(part, begin)

    async def read(self) -> AsyncIterator[Refusal]:
        """Yield all of them up to the end that the topic had, per partition in order.

        What cannot be read as a refusal is left out.

        Raises:
            RejectsAway: Kafka does not answer any more.
        """
        loop = asyncio.get_running_loop()
        left = {
            TopicPartition(self._topic, number)
            for number, end in self.ends.items()
            if self.begins[number] < end
        }
        silent_at = loop.time() + DEADLINE_SECONDS
        while left:
            polled = await _within(self._consumer.getmany(*left, timeout_ms=_POLL_MS))
            if polled:
                silent_at = loop.time() + DEADLINE_SECONDS
            elif loop.time() > silent_at:
                raise RejectsAway(f"Kafka stopped answering before the end of {self._topic}")
            for refusal in _refusals(polled, self.ends):
                yield refusal
            # The position passes transaction markers by itself, so that it does reach the end.
            for part in list(left):
                if await self._consumer.position(part) >= self.ends[part.partition]:
                    left.discard(part)


@contextlib.asynccontextmanager
async def opened(kafka: str, prefix: str, since: datetime) -> AsyncIterator[Rejects]:
    """Open the refusals of a deployment, without joining a group.

    Args:
        kafka: Bootstrap servers, `host:port[,host:port]`.
        prefix: The deployment's topic prefix.
        since: From when on, aware UTC.

    Raises:
        RejectsAway: Kafka does not answer, or there is no such topic.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        group_id=None,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=100,
    )
    topic = topics.full_name(topics.REJECTS, prefix)
    try:
        partitions = (await _within(partition_counts(kafka), kafka)).get(topic)
        if partitions is None:
            raise RejectsAway(f"topic {topic} does not exist; run `ebbwatch topics apply`")
        rejects = Rejects(consumer, topic, partitions)
        await _within(consumer.start(), kafka)
        await _within(rejects.seek(since), kafka)
        yield rejects
    finally:
        await close(consumer.stop)


async def _within(work: Awaitable[Outcome], kafka: str = "") -> Outcome:
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await work
    except (KafkaError, TimeoutError, OSError) as error:
        where = f" at {kafka}" if kafka else ""
        raise RejectsAway(
            f"Kafka{where} does not answer within {DEADLINE_SECONDS:g} s "
            f"({type(error).__name__}); is it running? `ebbwatch local up` starts a local one, "
            "EBBWATCH_KAFKA names another"
        ) from error


def _refusals(
    polled: Mapping[TopicPartition, Sequence[Any]], ends: Mapping[int, int]
) -> Iterator[Refusal]:
    for part, records in polled.items():
        for record in records:
            if record.offset < ends[part.partition] and record.value is not None:
                with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                    reject = _decode(record.value)
                    yield Refusal(part.partition, record.offset, record.timestamp, reject)
