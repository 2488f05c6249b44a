"""What becomes of one record of an input topic: entries, refusals, and when its source was seen."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from schemas.cloudevents import Incoming, Refused
from schemas.envelope import Origin
from schemas.rejects import Reject
from services.ingest.entries import admit
from services.ingest.formats import Batch, Format, by_name, failed, read
from services.ingest.rejects import reject
from services.ingest.seen import HOUR_MICROS

SLICE_EVENTS: Final = 5_000
"""As many as ten full envelopes, so that what is in flight stays small."""
SLICE_BYTES: Final = 8 * 1024 * 1024

P = TypeVar("P")


class Record(Protocol):
    """What is used of a consumed record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Source(NamedTuple):
    """An input, as the bridge knows it.

    Attributes:
        name: Its name in `inputs.toml`.
        format: How its records are read.
        source: The key of its refusals.
        partitions: Partition count of `events.v1`.
        limit: Events that one record may hold.
    """

    name: str
    format: Format
    source: str
    partitions: int
    limit: int


class Forwarded:
    """What some records became, in their order."""

    def __init__(self) -> None:
        self.events = 0
        self.size = 0
        self.items: list[tuple[int, bytes]] = []
        self.rejects: list[Reject] = []
        self.seen: set[tuple[str, int]] = set()
        self.fed: set[tuple[str, str]] = set()
        self.accepted: dict[str, int] = {}

    @property
    def full(self) -> bool:
        """True once this is enough to be sent before more is read."""
        return self.events >= SLICE_EVENTS or self.size >= SLICE_BYTES

    def add(self, record: Record, source: Source, now: int) -> None:
        """Take in one record.

        Args:
            record: From the input's topic.
            source: The input.
            now: What times are compared with, microseconds since 1970-01-01 UTC.
        """
        body = record.value or b""
        batch = read(source.format, by_name(record.headers), body, source.limit)
        self.events += len(batch.outcomes)
        self.size += len(body)
        stamp = record.timestamp * 1000
        for place, outcome in enumerate(batch.outcomes):
            if isinstance(outcome, Incoming):
                origin = Origin(source.name, record.partition, record.offset, place)
                try:
                    admitted = admit(outcome, source.partitions, now, origin, stamp)
                except MemoryError:
                    raise
                except Exception as error:
                    # Likewise a bug, as of a format that makes up what cannot be encoded.
                    admitted = failed(source.format, error)
                if isinstance(admitted, list):
                    self._accept(outcome, admitted, stamp)
                    self.fed.add((source.name, outcome.source))
                    continue
                outcome = admitted
            self._refuse(outcome, batch, place, record, source)

    def _accept(self, incoming: Incoming, items: list[tuple[int, bytes]], stamp: int) -> None:
        self.items += items
        self.seen.add((incoming.source, (incoming.time or stamp) // HOUR_MICROS))
        self.accepted[incoming.source] = self.accepted.get(incoming.source, 0) + 1

    def _refuse(
        self, refused: Refused, batch: Batch, place: int, record: Record, source: Source
    ) -> None:
        self.rejects.append(
            reject(
                refused,
                batch.raws[place],
                place,
                source=source.source,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
            )
        )


def slices(
    polled: Iterable[tuple[P, Source, Sequence[Record]]], now: Callable[[], int]
) -> Iterator[tuple[Forwarded, dict[P, Record]]]:
    """Yield what was polled in slices, each read only once it is asked for.

    A record may hold thousands of events: all of a poll at once would take minutes without an
    await, and gigabytes.

    Args:
        polled: Partitions with their input and records, in order, at least one record each.
        now: What times are compared with, microseconds since 1970-01-01 UTC.

    Yields:
        What some records became, and the last of them of each partition. A record is never cut in
        two, so a slice is longer than `SLICE_EVENTS` by less than one record.
    """
    part, last, at = Forwarded(), dict[P, Record](), now()
    for partition, source, records in polled:
        yielded: Record | None = None
        for record in records:
            part.add(record, source, at)
            if part.full:
                last[partition] = yielded = record
                yield part, last
                part, last, at = Forwarded(), {}, now()
        if yielded is not records[-1]:
            last[partition] = records[-1]
    if last:
        yield part, last
