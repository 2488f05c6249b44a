"""As much of Kafka as the alerts service meets: its log, its snapshots, and a consumer of both."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import msgspec
from aiokafka import TopicPartition

from schemas import cases
from schemas.accounts import AccountSummary
from schemas.cases import LogRecord
from services.alerts.store import Names
from tests.unit.alerts.builders import Message, case_of
from tests.unit.alerts.simulation.clock import Clock

NAMES = Names.of("ebbwatch.")
LOG = TopicPartition(NAMES.alerts, 0)
ACCOUNTS = TopicPartition(NAMES.accounts, 0)

End = Literal["committed", "aborted", "open"]


class Read(NamedTuple):
    """A record as a consumer of aiokafka gives it."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes | None


class Topic:
    """One partition, read committed: transactions leave markers, and gaps where they fail.

    Args:
        clock: Gives append times, which Kafka keeps in milliseconds.
        told: Called whenever there may be more to read.
    """

    def __init__(self, clock: Clock, told: Callable[[], None]) -> None:
        self.messages: list[Message] = []
        self.end = 0
        self._open: int | None = None
        self._clock = clock
        self._told = told

    @property
    def stable(self) -> int:
        """The end of what is committed."""
        return self.end if self._open is None else self._open

    @property
    def committed(self) -> list[Message]:
        """What a reader sees."""
        return [one for one in self.messages if one.offset < self.stable]

    def write(self, key: str, value: bytes | None) -> None:
        """Append anything at all, outside transactions."""
        appended = self._clock.micros // 1000 * 1000
        self.messages.append(Message(self.end, appended, key, value))
        self.end += 1
        self._told()

    def transact(self, records: Iterable[LogRecord], end: End) -> None:
        """Append records in one transaction, as the detector does; `open` ends it later."""
        self.settle("committed")
        self._open = self.end
        for record in records:
            self.write(case_of(record), cases.encode(record))
        if end != "open":
            self.settle(end)

    def settle(self, end: End) -> None:
        """End the open transaction, if there is one, with its marker."""
        if self._open is None:
            return
        if end == "aborted":
            self.messages = [one for one in self.messages if one.offset < self._open]
        self._open = None
        self.end += 1
        self._told()

    def put(self, summary: AccountSummary) -> None:
        """Append an account's summary."""
        self.write(summary.account, msgspec.json.encode(summary))


class Fencing(Exception):
    """A producer was used that somebody had fenced."""


class Snapshots:
    """A compacted partition with one writer at a time: who begins later fences who was before."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.epoch = 0

    def begin(self) -> int:
        """Return the epoch of a new writer."""
        self.epoch += 1
        return self.epoch

    def commit(self, epoch: int, records: Iterable[tuple[str, bytes | None]]) -> None:
        """Write all records, or none if the writer is fenced."""
        if epoch != self.epoch:
            raise Fencing
        for key, value in records:
            if value is None:
                self.kept.pop(key, None)
            else:
                self.kept[key] = value


class Reader:
    """A consumer of aiokafka, without a group: whoever assigns partitions calls the listener.

    Args:
        topics: What there is to read.
        clock: For when the broker answered last.
        away: Whether the broker answers nothing just now.
    """

    def __init__(
        self, topics: dict[TopicPartition, Topic], clock: Clock, away: Callable[[], bool]
    ) -> None:
        self.news = asyncio.Event()
        # When it last saw that there was nothing more to read in the log, monotonic seconds.
        self.at_end_at = float("-inf")
        self._topics = topics
        self._clock = clock
        self._away = away
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._highwater: dict[TopicPartition, int] = {}
        self._polled: dict[TopicPartition, int] = {}

    def subscribe(self, topics: Iterable[str], listener: Any) -> None:
        pass

    async def start(self) -> None:
        pass

    def assign(self, parts: Iterable[TopicPartition]) -> None:
        """Hold these partitions, of which nothing is known yet, and no others."""
        self._positions = dict.fromkeys(parts, 0)
        self._paused, self._highwater, self._polled = set(), {}, {}

    def assignment(self) -> set[TopicPartition]:
        return set(self._positions)

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Read]]:
        found = self._fetch(max_records)
        if not found:
            self.news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.news.wait(), timeout_ms / 1000)
            found = self._fetch(max_records)
        return found

    def _fetch(self, limit: int) -> dict[TopicPartition, list[Read]]:
        found: dict[TopicPartition, list[Read]] = {}
        for part in () if self._away() else self._positions.keys() - self._paused:
            topic, position = self._topics[part], self._positions[part]
            waiting = [one for one in topic.committed if one.offset >= position]
            taken = waiting[:limit]
            self._polled[part], self._highwater[part] = self._clock.micros // 1000, topic.end
            # Behind the last record the position passes markers too.
            whole = len(taken) == len(waiting)
            self._positions[part] = topic.stable if whole else taken[-1].offset + 1
            if part == LOG and self._positions[part] == topic.end:
                self.at_end_at = self._clock.monotonic()
            if taken:
                found[part] = [
                    Read(one.offset, one.appended // 1000, one.key.encode(), one.value)
                    for one in taken
                ]
        return found

    def seek(self, part: TopicPartition, offset: int) -> None:
        self._positions[part] = offset

    def go_back(self, records: int) -> None:
        """Read some of the log once more, as when a position is lost."""
        if LOG in self._positions:
            self._positions[LOG] = max(0, self._positions[LOG] - records)

    def pause(self, *parts: TopicPartition) -> None:
        self._paused |= {*parts}

    def resume(self, *parts: TopicPartition) -> None:
        self._paused -= {*parts}

    async def position(self, part: TopicPartition) -> int:
        return self._positions[part]

    def highwater(self, part: TopicPartition) -> int | None:
        return self._highwater.get(part)

    def last_poll_timestamp(self, part: TopicPartition) -> int | None:
        return self._polled.get(part)

    async def committed(self, part: TopicPartition) -> int | None:
        return None

    async def beginning_offsets(self, parts: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(parts, 0)

    async def commit(self, offsets: object) -> None:
        pass
