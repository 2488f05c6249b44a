"""A proxy before Kafka that withholds, delays, cuts or rewrites what the broker says.

It knows Kafka's frames, so it can hold back or falsify the answer to one kind of request alone. Of
what it does to bytes, everything holds for connections that are open and for those to come.
"""

import asyncio
import contextlib
import socket
import struct
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field

from tests.faults.frames import Api, asker, made_up, rewritten

__all__ = ["Api", "Faults", "Proxy", "Rewrite", "rewritten"]

HOST = "127.0.0.1"


@dataclass
class Rewrite:
    """What becomes of the answers to some requests.

    Attributes:
        code: The error that is put into them.
        nth: The first answer that it happens to, counted from 1.
        times: To how many in a row.
        applied: False keeps `Produce` requests from the broker, and makes their answers up.
        apis: Answers to which requests.
        who: Stands in the id of the client that is answered, or in its transactional id.
    """

    code: int
    nth: int = 1
    times: int = 1
    applied: bool = True
    apis: frozenset[Api] = frozenset({Api.PRODUCE})
    who: str = ""

    def concerns(self, api: int, who: str) -> bool:
        """Tell whether answers to such requests count."""
        return api in self.apis and self.who in who

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
        rewrite: What becomes of some answers.
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
    who: str
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
        self._counted = 0
        self._kept = 0

    @property
    def withheld(self) -> int:
        """How many answers were kept back since faults were set."""
        return self._kept

    @property
    def falsified(self) -> int:
        """How many answers were falsified since faults were set."""
        rewrite = self.faults.rewrite
        after = 0 if rewrite is None else self._counted - rewrite.nth + 1
        return max(0, min(after, 0 if rewrite is None else rewrite.times))

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._pairs)

    def set(self, faults: Faults) -> None:
        """Put other faults in force; a rewriting counts answers from now on."""
        self.faults = faults
        self._counted = self._kept = 0
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
        asked = _Asked(api, version, asker(frame))
        pair.asked.append(asked)
        rewrite = self.faults.rewrite
        if rewrite is not None and not rewrite.applied and self._falsifies(asked):
            asked.made_up = made_up(frame, version, correlation, rewrite.code)
            await _say_made_up(pair)
            return
        await _send(pair.broker, frame)

    async def _say(self, frame: bytes, pair: _Pair) -> None:
        """Pass an answer on, as the faults have it; answers come in the order of requests."""
        asked = pair.asked.popleft()
        self._kept += asked.api in self.faults.withheld
        await self._until(lambda: asked.api not in self.faults.withheld)
        rewrite = self.faults.rewrite
        if rewrite is not None and rewrite.applied and self._falsifies(asked):
            frame = rewritten(frame, asked.version, rewrite.code, asked.api)
        cut = self.faults.cut_after
        if cut is not None and pair.answered + len(frame) > cut:
            pair.client.write((len(frame).to_bytes(4) + frame)[: max(0, cut - pair.answered)])
            pair.close(reset=False)
            return
        pair.answered += len(frame)
        await _send(pair.client, frame)
        await _say_made_up(pair)

    def _falsifies(self, asked: _Asked) -> bool:
        """Count an answer that a rewriting may happen to, and tell whether it does."""
        rewrite = self.faults.rewrite
        if rewrite is None or not rewrite.concerns(asked.api, asked.who):
            return False
        self._counted += 1
        return rewrite.holds(self._counted)


async def _say_made_up(pair: _Pair) -> None:
    while pair.asked and (frame := pair.asked[0].made_up) is not None:
        pair.asked.popleft()
        await _send(pair.client, frame)


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
