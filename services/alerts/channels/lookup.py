"""Finds the addresses of names without holding up anybody else who looks for one."""

import asyncio
import contextlib
import socket
import threading
from typing import Final, NamedTuple

from aiohttp.abc import AbstractResolver, ResolveResult

AT_ONCE: Final = 16
"""So many names may hang before another has to wait."""

Found = list[ResolveResult]


class _Asked(NamedTuple):
    host: str
    port: int
    family: int


class Lookup(AbstractResolver):
    """Asks the system's resolver, one look-up per name at a time, each in a thread of its own.

    A name server that does not answer blocks a thread for up to half a minute, and nothing can
    interrupt it. So the loop's own threads, which look for Kafka too, are not used, and the end of
    the process waits for none. Whoever asks for a name that is being looked for shares the answer.
    Nothing is kept: the next attempt asks again.
    """

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(AT_ONCE)
        self._running: dict[_Asked, asyncio.Task[Found]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> Found:
        """Return every address of a name.

        Raises:
            OSError: There is none, or the name server does not answer.
        """
        asked = _Asked(host, port, int(family))
        if asked not in self._running:
            running = asyncio.ensure_future(self._find(asked))
            running.add_done_callback(lambda done: self._forget(asked, done))
            self._running[asked] = running
        # Whoever gives up must not take the answer from those who still wait.
        return await asyncio.shield(self._running[asked])

    async def close(self) -> None:
        """Wait for no look-up any more."""
        running = list(self._running.values())
        for one in running:
            one.cancel()
        if running:
            await asyncio.wait(running)

    async def _find(self, asked: _Asked) -> Found:
        async with self._room:
            loop = asyncio.get_running_loop()
            found: asyncio.Future[Found] = loop.create_future()
            threading.Thread(
                target=_look, args=(asked, loop, found), name="lookup", daemon=True
            ).start()
            return await found

    def _forget(self, asked: _Asked, done: asyncio.Task[Found]) -> None:
        del self._running[asked]
        if not done.cancelled():
            # Looked at, or asyncio reports what nobody waited for.
            done.exception()


def _look(asked: _Asked, loop: asyncio.AbstractEventLoop, found: asyncio.Future[Found]) -> None:
    try:
        answer: Found | Exception = _ask(asked)
    except Exception as error:
        answer = error
    # Nobody may be there any more.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, found, answer)


def _settle(found: asyncio.Future[Found], answer: Found | Exception) -> None:
    if found.done():
        return
    if isinstance(answer, Exception):
        found.set_exception(answer)
    else:
        found.set_result(answer)


def _ask(asked: _Asked) -> Found:
    # Without an address of a family of our own there is no way to one of that family.
    infos = socket.getaddrinfo(
        asked.host,
        asked.port,
        family=asked.family,
        type=socket.SOCK_STREAM,
        flags=socket.AI_ADDRCONFIG,
    )
    return [
        ResolveResult(
            hostname=asked.host,
            host=str(address[0]),
            port=asked.port,
            family=family,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for family, _, proto, _, address in infos
    ]
