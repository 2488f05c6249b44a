"""A proxy before Kafka that withholds, delays, cuts or rewrites what the broker says.

It knows Kafka's frames, so it can hold back or falsify the answer to one kind of request alone. Of
what it does to bytes, everything holds for connections that are open and for those to come.

Source: the layout of frames and of `Produce` versions 3 to 8 (KIP-896 keeps 3 and later), as in
kafka.apache.org/protocol; aiokafka 0.14 sends no version of these APIs with tagged fields.
"""

import asyncio
import contextlib
import socket
import struct
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from enum import IntEnum

HOST = "127.0.0.1"


class Api(IntEnum):
    """The requests that scenarios speak of, by their key in Kafka's protocol."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS = 24
    END_TXN = 26


@dataclass
class Rewrite:
    """What becomes of the answers to `Produce`.

    Attributes:
        code: The error that is put into them.
        nth: The first answer that it happens to, counted from 1.
        times: To how many in a row.
        applied: False keeps the request from the broker, and makes the answer up.
    """

    code: int
    nth: int = 1
    times: int = 1
    applied: bool = True

    def holds(self, number: int) -> bool:
        """Tell whether it happens to the answer of that number."""
        return self.nth <= number < self.nth + self.times


@dataclass
class Faults:
    """What is wrong with the network; a fresh one is a good network.

    Attributes:
        latency: Seconds by which each way is delayed.
        rate: Bytes a second of each connection and way; None for no limit.
        hole: Nothing is passed on, and nobody is told: half-open.
        withheld: Requests whose answers are kept back while they stand here.
        cut_after: Each connection breaks after so many bytes of answers.
        refusing: New connections are closed at once.
        rewrite: What becomes of the answers to `Produce`.
    """

    latency: float = 0.0
    rate: float | None = None
    hole: bool = False
    withheld: frozenset[Api] = frozenset()
    cut_after: int | None = None
    refusing: bool = False
    rewrite: Rewrite | None = None


_Take = Callable[[bytes, "_Pair"], Awaitable[None]]


@dataclass
class _Asked:
    """A request whose answer is still to come, or was made up and waits for those before it."""

    api: int
    version: int
    made_up: bytes | None = None


@dataclass(eq=False)
class _Pair:
    """A client's connection and the broker's."""

    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    asked: deque[_Asked] = field(default_factory=deque)
    answered: int = 0

    def close(self, *, reset: bool) -> None:
        for writer in (self.client, self.broker):
            if reset:
                _abort(writer)
            else:
                writer.close()


class Proxy:
    """Listens where the broker's second door is advertised.

    Args:
        port: Where it listens.
        behind: Where the broker's second listener is.

    Attributes:
        faults: What is wrong now.
        passed: Requests that were passed on or falsified, by API.
    """

    def __init__(self, port: int, behind: int) -> None:
        self.faults = Faults()
        self.passed: Counter[int] = Counter()
        self._port = port
        self._behind = behind
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self._rewritten = 0

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._pairs)

    def set(self, faults: Faults) -> None:
        """Put other faults in force; a rewriting counts answers from now on."""
        self.faults = faults
        self._rewritten = 0
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def heal(self) -> None:
        """Make the network good; what was withheld is delivered."""
        self.set(Faults())

    def drop(self) -> None:
        """Close every connection (FIN)."""
        self._close(reset=False)

    def reset(self) -> None:
        """Break every connection (RST)."""
        self._close(reset=True)

    def _close(self, *, reset: bool) -> None:
        for pair in list(self._pairs):
            pair.close(reset=reset)

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, HOST, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.heal()
        self.reset()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.faults.refusing:
            _abort(writer)
            return
        try:
            broker, behind = await asyncio.open_connection(HOST, self._behind)
        except OSError:
            _abort(writer)
            return
        pair = _Pair(writer, behind)
        self._pairs.add(pair)
        try:
            await _first(self._carry(reader, pair, self._ask), self._carry(broker, pair, self._say))
        finally:
            self._pairs.discard(pair)
            pair.close(reset=False)

    async def _carry(self, reader: asyncio.StreamReader, pair: _Pair, take: _Take) -> None:
        """Carry frames one way, each as late as the network makes it."""
        due = asyncio.Queue[tuple[float, bytes]](256)
        fetching = asyncio.ensure_future(self._fetch(reader, due))
        try:
            while (frame := await self._next(due)) is not None:
                await take(frame, pair)
        finally:
            fetching.cancel()
            await asyncio.wait({fetching})

    async def _fetch(
        self, reader: asyncio.StreamReader, due: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                size = int.from_bytes(await reader.readexactly(4))
                frame = await reader.readexactly(size)
                await due.put((loop.time() + self.faults.latency, frame))
        # Whatever came before the end is passed on first.
        await due.put((loop.time() + self.faults.latency, b""))

    async def _next(self, due: asyncio.Queue[tuple[float, bytes]]) -> bytes | None:
        at, frame = await due.get()
        await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))
        await self._until(lambda: not self.faults.hole)
        if self.faults.rate is not None:
            await asyncio.sleep(len(frame) / self.faults.rate)
        return frame or None

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._changed.wait()

    async def _ask(self, frame: bytes, pair: _Pair) -> None:
        """Pass a request on, or make its answer up."""
        api, version, correlation = struct.unpack_from(">hhi", frame)
        self.passed[api] += 1
        asked = _Asked(api, version)
        pair.asked.append(asked)
        rewrite = self.faults.rewrite
        if rewrite is not None and api == Api.PRODUCE and not rewrite.applied:
            self._rewritten += 1
            if rewrite.holds(self._rewritten):
                asked.made_up = _made_up(frame, version, correlation, rewrite.code)
                await _say_made_up(pair)
                return
        await _send(pair.broker, frame)

    async def _say(self, frame: bytes, pair: _Pair) -> None:
        """Pass an answer on, as the faults have it; answers come in the order of requests."""
        asked = pair.asked.popleft()
        await self._until(lambda: asked.api not in self.faults.withheld)
        rewrite = self.faults.rewrite
        if rewrite is not None and asked.api == Api.PRODUCE and rewrite.applied:
            self._rewritten += 1
            if rewrite.holds(self._rewritten):
                frame = rewritten(frame, asked.version, rewrite.code)
        cut = self.faults.cut_after
        if cut is not None and pair.answered + len(frame) > cut:
            pair.client.write((len(frame).to_bytes(4) + frame)[: max(0, cut - pair.answered)])
            pair.close(reset=False)
            return
        pair.answered += len(frame)
        await _send(pair.client, frame)
        await _say_made_up(pair)


async def _say_made_up(pair: _Pair) -> None:
    while pair.asked and (frame := pair.asked[0].made_up) is not None:
        pair.asked.popleft()
        await _send(pair.client, frame)


def rewritten(frame: bytes, version: int, code: int) -> bytes:
    """Return the answer to a `Produce` request with another error for every partition.

    Args:
        frame: The answer, without its length.
        version: The request's version, 3 to 8.
        code: The error.
    """
    found = bytearray(frame)
    for place in _errors(frame, version):
        struct.pack_into(">h", found, place, code)
    return bytes(found)


def _errors(frame: bytes, version: int) -> list[int]:
    """Return where the error of each partition stands in an answer to `Produce`."""
    found: list[int] = []
    (topics,), at = struct.unpack_from(">i", frame, 4), 8
    for _ in range(topics):
        (length,) = struct.unpack_from(">h", frame, at)
        at += 2 + length
        (partitions,) = struct.unpack_from(">i", frame, at)
        at += 4
        for _ in range(partitions):
            found.append(at + 4)
            # Partition, error, base offset, append time; the log's start since version 5.
            at += 4 + 2 + 8 + 8 + (8 if version >= 5 else 0)
            if version >= 8:
                at = _past_record_errors(frame, at)
    return found


def _past_record_errors(frame: bytes, at: int) -> int:
    (errors,) = struct.unpack_from(">i", frame, at)
    at += 4
    for _ in range(errors):
        at = _past_text(frame, at + 4)
    return _past_text(frame, at)


def _past_text(frame: bytes, at: int) -> int:
    length: int = struct.unpack_from(">h", frame, at)[0]
    return at + 2 + max(0, length)


def _made_up(frame: bytes, version: int, correlation: int, code: int) -> bytes:
    """Return the answer to a `Produce` request that the broker never saw."""
    at = _past_text(frame, 8)
    at = _past_text(frame, at) + 2 + 4
    (topics,), at = struct.unpack_from(">i", frame, at), at + 4
    answer = bytearray(struct.pack(">ii", correlation, topics))
    for _ in range(topics):
        end = _past_text(frame, at)
        answer += frame[at:end]
        (partitions,), at = struct.unpack_from(">i", frame, end), end + 4
        answer += struct.pack(">i", partitions)
        for _ in range(partitions):
            number, size = struct.unpack_from(">ii", frame, at)
            at += 8 + max(0, size)
            answer += struct.pack(">ihqq", number, code, -1, -1)
            answer += struct.pack(">q", -1) if version >= 5 else b""
            answer += struct.pack(">ih", 0, -1) if version >= 8 else b""
    return bytes(answer + struct.pack(">i", 0))


async def _send(writer: asyncio.StreamWriter, frame: bytes) -> None:
    with contextlib.suppress(OSError):
        writer.write(len(frame).to_bytes(4) + frame)
        await writer.drain()


def _abort(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _first(*works: Coroutine[object, object, None]) -> None:
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
