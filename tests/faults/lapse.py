"""Time-lapse: past days written straight into the log in mode live, so that days close in seconds.

Ingest ticks once a minute of the present, and a silence of two days takes two days. Here the log
gets the same envelopes as ingest would have written then: ticks of their own time, and what came in
between, admitted by ingest's own functions.
"""

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas import cloudevents, envelope
from schemas.cloudevents import Incoming
from schemas.envelope import Origin, encode_entry
from schemas.events import ClockTicked, RulesApplied
from services.ingest.entries import admit
from tests.faults.load import Event, Sent
from tests.platform import eventually

HOUR = 3_600_000_000
TRY_AGAIN_SECONDS = 0.1


class Lapse:
    """Writes past days.

    Args:
        kafka: Bootstrap servers, past any proxy.
        topic: Full name of the events topic.
        partitions: Its partition count.
        rules: Number and content of the rule set in force.
        inputs: Input partitions, as `input/partition`, that are told to be complete.
        noted: Takes every event that is written.
        step: Time between two ticks.

    Attributes:
        inputs: Those input partitions.
        input: The input that events of the way `input` bear as their origin; empty for none.
        until: Returns up to when an input partition is told to be complete, given its name and the
            tick's time, both in microseconds.
        pace: Awaited before each tick, given its time: what a past day must wait for.
    """

    def __init__(
        self,
        kafka: str,
        topic: str,
        partitions: int,
        rules: tuple[int, str],
        inputs: Sequence[str],
        noted: list[Event],
        step: timedelta = timedelta(hours=2),
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._partitions = partitions
        self._rules = rules
        self.inputs = list(inputs)
        self._noted = noted
        self.input = ""
        self._offset = 0
        self.until: Callable[[str, int], int] = lambda _, at: at
        self.pace: Callable[[datetime], Awaitable[None]] = at_once
        self._step = step
        self._ticks = 0
        self._share = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def share(self) -> float:
        """How much of the time has passed, 0..1."""
        return self._share

    @contextlib.asynccontextmanager
    async def writing(
        self, sent: Sequence[Sent], begin: datetime, end: datetime
    ) -> AsyncIterator[None]:
        """Write, as `write` does, while the block runs; afterwards all of it is in the log."""
        self._task = asyncio.create_task(self.write(sent, begin, end))
        try:
            yield
            await self._task
        finally:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def reached(self, share: float, within: float = 90.0) -> None:
        """Wait until so much of the time has passed."""

        def there() -> bool:
            if self._task is not None and self._task.done():
                self._task.result()
            return self._share >= share

        await eventually(there, within=within, what=f"{share:.0%} of the time to pass")

    async def write(self, sent: Sequence[Sent], begin: datetime, end: datetime) -> None:
        """Write events and ticks from one moment to another.

        Args:
            sent: Events in their order; each goes out before the first tick at or after its time,
                or the time of one before it.
            begin: Time of the first tick.
            end: Time of the last tick.
        """
        span = end - begin
        # The last step may be a shorter one: what comes in it is a part of the load.
        steps = max(1, -(-span // self._step))
        waiting = deque(in_order(sent))
        await self._append(self._opening())
        for number in range(steps + 1):
            at = min(begin + number * self._step, end)
            batch = []
            while waiting and waiting[0][0] <= at:
                batch.append(waiting.popleft()[1])
            await self.pace(at)
            await self._append(self._messages(batch, at))
            self._share = (number + 1) / (steps + 1)
        assert not waiting, f"{len(waiting)} events are later than {end}, when time ends"
        await self._close()

    def _opening(self) -> Mapping[int, list[bytes]]:
        n, content = self._rules
        event = RulesApplied(n=n, content=content)
        entry = encode_entry(envelope.Entry("rules-lapse", "ebbwatch", 0, (), event))
        return {number: [entry] for number in range(self._partitions)}

    def _messages(self, sent: Sequence[Sent], at: datetime) -> Mapping[int, list[bytes]]:
        """Return one envelope for every partition: what came, then the tick."""
        micros = round(at.timestamp() * 1_000_000)
        found: defaultdict[int, list[bytes]] = defaultdict(list)
        seen: defaultdict[str, set[int]] = defaultdict(set)
        for one in sent:
            incoming = cloudevents.decode(msgspec.json.encode(one.event))
            assert isinstance(incoming, Incoming), incoming
            admitted = admit(incoming, self._partitions, micros, self._origin(one))
            assert isinstance(admitted, list), admitted
            for number, entry in admitted:
                found[number].append(entry)
            self._noted.append(one.event)
            seen[incoming.source].add((incoming.time or micros) // HOUR)
        self._ticks += 1
        tick = ClockTicked(
            at=micros,
            mode="live",
            complete_until={one: self.until(one, micros) for one in self.inputs},
            seen={source: sorted(hours) for source, hours in seen.items()},
        )
        entry = encode_entry(
            envelope.Entry(f"tick-lapse-{self._ticks}", "ebbwatch", micros, (), tick)
        )
        return {number: [*found[number], entry] for number in range(self._partitions)}

    def _origin(self, sent: Sent) -> Origin | None:
        if not self.input or sent.way != "input":
            return None
        self._offset += 1
        return Origin(self.input, 0, self._offset, 0)

    async def _append(self, messages: Mapping[int, list[bytes]]) -> None:
        """Append one envelope to each partition; the next come after they are acknowledged."""
        while messages:
            try:
                producer = await self._open()
                done = await asyncio.gather(
                    *(
                        producer.send_and_wait(
                            self._topic, envelope.join(entries), partition=number
                        )
                        for number, entries in messages.items()
                    ),
                    return_exceptions=True,
                )
            except (KafkaError, OSError):
                done = [None] * len(messages)
                await self._close()
            left = {
                number: entries
                for (number, entries), one in zip(messages.items(), done, strict=True)
                if one is None or isinstance(one, BaseException)
            }
            messages = left
            if left:
                await self._close()
                await asyncio.sleep(TRY_AGAIN_SECONDS)

    _producer: AIOKafkaProducer | None = None

    async def _open(self) -> AIOKafkaProducer:
        if self._producer is None:
            made = AIOKafkaProducer(bootstrap_servers=self._kafka, enable_idempotence=True)
            await made.start()
            self._producer = made
        return self._producer

    async def _close(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()


async def at_once(_: datetime) -> None:
    """Wait for nothing."""


def in_order(sent: Sequence[Sent]) -> Iterator[tuple[datetime, Sent]]:
    """Yield events with the newest time so far: what is late goes with those before it."""
    newest = datetime.min.replace(tzinfo=UTC)
    for one in sent:
        newest = max(newest, datetime.fromisoformat(one.event["time"]))
        yield newest, one


def days_ago(days: float) -> datetime:
    """Return a moment in the past, aware UTC."""
    return datetime.now(UTC) - timedelta(days=days)
