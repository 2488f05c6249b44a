"""What becomes of one record of an input topic: entries, refusals, and when its source was seen."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from schemas.cloudevents import Incoming, Refused
from schemas.envelope import Origin
from schemas.rejects import Reject
from services.ingest.entries import admit
from services.ingest.formats import Batch, Format
from services.ingest.rejects import reject
from services.ingest.seen import HOUR_MICROS


class Record(Protocol):
    """What is used of a consumed record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


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
        self.items: list[tuple[int, bytes]] = []
        self.rejects: list[Reject] = []
        self.seen: set[tuple[str, int]] = set()
        self.accepted: dict[str, int] = {}

    def add(self, record: Record, source: Source, now: int) -> None:
        """Take in one record.

        Args:
            record: From the input's topic.
            source: The input.
            now: The wall clock, microseconds since 1970-01-01 UTC.
        """
        batch = _read(record, source)
        stamp = record.timestamp * 1000
        for place, outcome in enumerate(batch.outcomes):
            if isinstance(outcome, Incoming):
                origin = Origin(source.name, record.partition, record.offset, place)
                admitted = admit(outcome, source.partitions, max(now, stamp), origin, stamp)
                if isinstance(admitted, list):
                    self._accept(outcome, admitted, stamp)
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


def _read(record: Record, source: Source) -> Batch:
    headers = {name.lower(): value.decode(errors="replace") for name, value in record.headers or ()}
    body = record.value or b""
    try:
        return source.format.read(headers, body, source.limit)
    except Exception as error:
        # A format that raises has a bug, yet its one record must not stop the stream for ever.
        detail = f"format {source.format.NAME} failed: {error!r}; please report it"
        return Batch((body,), [Refused("format_failed", "", detail)])
