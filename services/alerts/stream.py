"""The live stream over HTTP: one reader of the view per process, and every client of it apart.

A client that does not read is dropped when its queue is full, so that it delays nobody; it comes
back with its last id and is told what it missed, or to read everything anew.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Final, NamedTuple

import orjson
from fastapi.sse import format_sse_event

from services.alerts.ports import Changes
from services.alerts.shown import Change, Freshness
from services.alerts.view import Trimmed, ViewAway

CLIENTS: Final = 1_000
"""Open streams of one process; 500 took 78 MB (channels-and-console.md)."""
ROOM: Final = 256
"""Messages that wait for one client."""
REPLAY: Final = 1_000
"""Messages told to a client that comes back; one that missed more reads everything anew."""
HEARTBEAT_SECONDS: Final = 15.0
"""Proxies close what is silent for a minute, some for half of it. Source: WHATWG HTML, 9.2.8."""
RETRY_MS: Final = 2_000
BLOCK_MS: Final = 1_000
LOOK_SECONDS: Final = 3.0
"""How often the view is asked whether it is whole."""
AWAY_SECONDS: Final = 1.0

BEAT: Final = b": beat\n\n"

_PLACE = re.compile(r"\d{1,20}-\d{1,20}", re.ASCII)


class Message(NamedTuple):
    """What goes over the wire.

    Attributes:
        raw: Its bytes.
        place: Where it stands in the stream; None for what this process says itself.
        anew: From here on places count anew.
    """

    raw: bytes
    place: str | None = None
    anew: bool = False


class NoRoom(Exception):
    """So many streams are open in this process that another one is refused."""


class Client:
    """One open stream: what waits for it, and whether it is over.

    Args:
        room: Messages that may wait.
    """

    def __init__(self, room: int) -> None:
        self.over = asyncio.Event()
        self._waiting: asyncio.Queue[Message] = asyncio.Queue(room)

    def offer(self, message: Message) -> None:
        """Let a message wait; a client without room is over."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self.over.set()

    async def next(self, within: float) -> Message | None:
        """Return the oldest message, or None if there was none within so many seconds."""
        try:
            async with asyncio.timeout(within):
                return await self._waiting.get()
        except TimeoutError:
            return None


class Live:
    """Reads the view's stream once and hands it to all clients of this process.

    Args:
        view: Where the stream is read.
        clients: Most clients at once.
        room: Messages that may wait for one of them.
        heartbeat: Seconds of silence after which a comment is sent.
    """

    def __init__(
        self,
        view: Changes,
        clients: int = CLIENTS,
        room: int = ROOM,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._view = view
        self._limit = clients
        self._room = room
        self._heartbeat = heartbeat
        self._clients: set[Client] = set()
        self.place: str | None = None
        self._lost = False
        self._stale = ""
        self._why_stale = ""
        self._closed = False

    def __len__(self) -> int:
        """Return how many clients there are."""
        return len(self._clients)

    async def run(self) -> None:
        """Read until cancelled; a view that is away is told to the clients and tried again."""
        look_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                if loop.time() >= look_at:
                    self._tell_freshness(await self._view.freshness())
                    look_at = loop.time() + LOOK_SECONDS
                await self._read()
            except Trimmed:
                self.place, self._lost = None, True
            except ViewAway as error:
                self._tell_stale("away", str(error))
                look_at = 0.0
                await asyncio.sleep(AWAY_SECONDS)

    def close(self) -> None:
        """End all clients at once and take no more: the server is about to stop."""
        self._closed = True
        for client in self._clients:
            client.over.set()

    @contextlib.contextmanager
    def joined(self) -> Iterator[Client]:
        """Take part as long as the block lasts.

        Raises:
            NoRoom: There are too many clients already, or the server is about to stop.
        """
        if self._closed or len(self._clients) >= self._limit:
            raise NoRoom(f"{len(self._clients)} live streams are open here; try again later")
        client = Client(self._room)
        self._clients.add(client)
        try:
            yield client
        finally:
            self._clients.discard(client)

    async def messages(self, client: Client, last: str | None) -> AsyncGenerator[bytes]:
        """Yield what goes over the wire, without end but for a view that cannot be asked.

        Args:
            client: From `joined`: what comes meanwhile waits there.
            last: The client's `Last-Event-ID`; None for one that has just begun.
        """
        yield self._greeting(last)
        if last is not None:
            try:
                missed = await self._missed(last)
            except ViewAway:
                # It comes back with the same id, and asks again.
                return
            if missed is None:
                last = None
                yield _event("reset", id=self.place)
            for change in missed or ():
                last = change.id
                yield _change(change).raw
        while True:
            message = await client.next(self._heartbeat)
            if message is None:
                yield BEAT
                continue
            last = None if message.anew else last
            if last is None or message.place is None or _order(message.place) > _order(last):
                yield message.raw

    async def _read(self) -> None:
        if self.place is None:
            self.place = await self._view.tip()
            # Told after the new place is known: whoever reads everything now misses nothing.
            place = _event("reset", id=self.place) if self._lost else _id_alone(self.place)
            self._lost = False
            self._tell(Message(place, anew=True))
        # Half of a client's room at a time: whoever reads at all has read it before the next.
        for change in await self._view.changes(self.place, BLOCK_MS, self._room // 2):
            self._tell(_change(change))
            self.place = change.id

    async def _missed(self, last: str) -> list[Change] | None:
        """Return what came after an id; None if it is not known, or too much."""
        if not _PLACE.fullmatch(last):
            return None
        try:
            found = await self._view.changes(last, 0, REPLAY + 1)
        except Trimmed:
            return None
        return found if len(found) <= REPLAY else None

    def _greeting(self, last: str | None) -> bytes:
        # With an id from the start nothing is missed if the connection breaks before a message.
        place = self.place if last is None else None
        stale = _event("stale", {"reason": self._stale}) if self._stale else b""
        return format_sse_event(id=place, retry=RETRY_MS) + stale

    def _tell(self, message: Message) -> None:
        for client in self._clients:
            client.offer(message)

    def _tell_freshness(self, freshness: Freshness) -> None:
        if freshness.stale:
            reason = freshness.reason or "What is shown may be out of date."
            self._tell_stale("behind" if freshness.complete else "rebuilt", reason)
        elif self._stale:
            self._stale = self._why_stale = ""
            self._tell(Message(_event("fresh")))

    def _tell_stale(self, why: str, reason: str) -> None:
        # The reason says since when, so it is another one at every look: that is no news.
        if why != self._why_stale:
            self._tell(Message(_event("stale", {"reason": reason})))
        self._why_stale, self._stale = why, reason


def _change(change: Change) -> Message:
    raw = format_sse_event(event="change", id=change.id, data_str=change.model_dump_json())
    return Message(raw, change.id)


def _event(name: str, data: Mapping[str, str] | None = None, id: str | None = None) -> bytes:
    return format_sse_event(event=name, id=id, data_str=orjson.dumps(data or {}).decode())


def _id_alone(place: str) -> bytes:
    """Return what moves a client's `Last-Event-ID` and is heard by nobody."""
    return format_sse_event(id=place)


def _order(id: str) -> tuple[int, int]:
    milliseconds, _, number = id.partition("-")
    return int(milliseconds), int(number)
