"""How each input stands: what Kafka holds of its topic, and how far it was read."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec
from aiokafka import TopicPartition

from schemas.config import Input, RuleSetContent
from services.commands.config import newest_rules
from services.commands.kafka_facts import Asking, Range
from services.ingest.formats import FORMATS, find
from services.ingest.markers import PREFIX as MARKS
from services.ingest.markers import Marker
from services.topic_ids import UNKNOWN

TAIL: Final = 4
"""The newest offset may be a transaction's marker; so far back a record is looked for."""


class PartState(NamedTuple):
    """One partition of an input topic.

    Attributes:
        start: First offset that is kept.
        end: Offset of the next record.
        committed: Offset up to which it was read, or None where Kafka knows of none.
        marked: Whether it was ever read.
        last_ms: When its newest record was written, milliseconds; None if it has none.
    """

    start: int
    end: int
    committed: int | None = None
    marked: bool = False
    last_ms: int | None = None

    @property
    def lag(self) -> int:
        """How many records wait."""
        return self.end - min(max(self.committed or 0, self.start), self.end)

    @property
    def expired(self) -> int:
        """How many records expired unread."""
        return max(0, self.start - self.committed) if self.committed is not None else 0

    @property
    def fault(self) -> str:
        """Why it is not read on, if that is so."""
        if self.committed is None:
            return "was read before, and Kafka has forgotten up to where" if self.marked else ""
        if self.committed > self.end:
            return f"ends at {self.end}, and was read up to {self.committed}"
        return ""


class InputState(NamedTuple):
    """One input.

    Attributes:
        name: The name under which it is counted.
        input: What the rule set says of it.
        parts: Its partitions, by number; none where its topic does not exist.
        another: Its topic bears another id than what was read of it.
        fault: Why it is not read; empty if it is.
        remedy: What to do about that.
    """

    name: str
    input: Input
    parts: Mapping[int, PartState]
    another: bool = False
    fault: str = ""
    remedy: str = ""

    @property
    def lag(self) -> int:
        """How many records wait."""
        return sum(part.lag for part in self.parts.values())

    @property
    def last(self) -> datetime | None:
        """When its newest record was written, aware UTC."""
        known = [part.last_ms for part in self.parts.values() if part.last_ms is not None]
        return datetime.fromtimestamp(max(known) / 1000, UTC) if known else None

    @property
    def expired(self) -> int:
        """How many records expired unread."""
        return sum(part.expired for part in self.parts.values())


def configured(found: Mapping[str, bytes]) -> Mapping[str, Input]:
    """Return the inputs of the newest rule set, by name.

    Args:
        found: The newest value of every key of `config.v1`.
    """
    rules = newest_rules(found)
    if rules is None:
        return {}
    return msgspec.json.decode(rules.content, type=RuleSetContent).inputs


async def states(
    kafka: Asking, found: Mapping[str, bytes], prefix: str, names: Iterable[str] | None = None
) -> list[InputState]:
    """Return how the inputs of the newest rule set stand, by name.

    Args:
        kafka: The connection.
        found: The newest value of every key of `config.v1`.
        prefix: The deployment's prefix.
        names: Only these; None for all.
    """
    inputs = {
        name: each
        for name, each in sorted(configured(found).items())
        if names is None or name in names
    }
    if not inputs:
        return []
    existing = await kafka.topics()
    ids = await kafka.topic_ids({each.topic for each in inputs.values()} & existing.keys())
    parts = [
        TopicPartition(each.topic, number)
        for each in inputs.values()
        for number in existing.get(each.topic, ())
    ]
    # Before the ends: ingest reads on meanwhile, and would seem to have read past them.
    committed = await kafka.committed(f"{prefix}ingest")
    offsets = await kafka.offsets(parts)
    last = await _last(kafka, offsets)
    return [
        judge(
            name,
            each,
            {
                part.partition: PartState(
                    *offsets[part],
                    committed.get(part),
                    f"{MARKS}{each.topic}/{part.partition}" in found,
                    last.get(part),
                )
                for part in parts
                if part.topic == each.topic
            },
            _is_another(found, each.topic, ids.get(each.topic, UNKNOWN)),
        )
        for name, each in inputs.items()
    ]


def _is_another(found: Mapping[str, bytes], topic: str, id: str) -> bool:
    """Tell whether a topic's marks name another id than it has."""
    marks = (value for key, value in found.items() if key.startswith(f"{MARKS}{topic}/"))
    known = {msgspec.json.decode(mark, type=Marker).id for mark in marks}
    return id != UNKNOWN and bool(known - {id, UNKNOWN})


def judge(
    name: str, input: Input, parts: Mapping[int, PartState], another: bool = False
) -> InputState:
    """Return how an input stands, with what stops it.

    Args:
        name: The name under which it is counted.
        input: What the rule set says of it.
        parts: Its partitions, by number.
        another: Its topic bears another id than what was read of it.
    """
    wrong = ((number, part.fault) for number, part in sorted(parts.items()) if part.fault)
    number, what = next(wrong, (0, ""))
    if find(input.format) is None:
        known = ", ".join(each.NAME for each in FORMATS)
        fault, remedy = f"format {input.format!r} is unknown", f"take one of {known}"
    elif not parts:
        fault = f"topic {input.topic!r} does not exist"
        remedy = "create it, or correct inputs.toml"
    elif another:
        fault = f"topic {input.topic!r} was deleted and created anew"
        remedy = f"`ebbwatch inputs reset {name}` reads it from its beginning"
    elif what:
        fault = f"partition {number} {what}"
        remedy = f"was the topic created anew? `ebbwatch inputs reset {name}` accepts it as it is"
    else:
        fault = remedy = ""
    return InputState(name, input, parts, another, fault, remedy)


async def _last(
    kafka: Asking, offsets: Mapping[TopicPartition, Range]
) -> dict[TopicPartition, int]:
    ends = {part: each.end for part, each in offsets.items()}
    begins = {part: max(each.start, each.end - TAIL) for part, each in offsets.items()}
    return {part: record.timestamp async for part, record in kafka.read(begins, ends)}
