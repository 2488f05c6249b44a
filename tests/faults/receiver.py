"""Where the webhooks of a world arrive: it answers as a scenario tells it to."""

import asyncio
import contextlib
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

Behave = Callable[[web.Request, int], Awaitable[web.StreamResponse]]
"""Answers a request, given which attempt of its `webhook-id` it is, from 1 on."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request.

    Attributes:
        id: Its `webhook-id`.
        body: Its body, bytes.
        status: What it was answered; 0 if the connection broke before.
        timestamp: Its `webhook-timestamp`.
    """

    id: str
    body: bytes
    status: int
    timestamp: str


async def take(_: web.Request, __: int) -> web.StreamResponse:
    """Take every webhook at once."""
    return web.Response(status=204)


class Receiver:
    """An endpoint that takes webhooks.

    Attributes:
        arrivals: What came, in the order in which it was answered.
        behave: How it answers; a scenario puts another in its place.
        url: Where it listens.
    """

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.behave: Behave = take
        self.url = ""
        self._attempts: defaultdict[str, int] = defaultdict(int)

    @property
    def received(self) -> set[str]:
        """Every `webhook-id` that came and was accepted."""
        return {one.id for one in self.arrivals if 200 <= one.status < 300}

    async def _take(self, request: web.Request) -> web.StreamResponse:
        id = request.headers.get("webhook-id", "")
        stamp = request.headers.get("webhook-timestamp", "")
        status = 0
        body = await request.read()
        self._attempts[id] += 1
        try:
            answer = await self.behave(request, self._attempts[id])
            status = answer.status
            return answer
        finally:
            self.arrivals.append(Arrival(id, body, status, stamp))


@contextlib.asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Listen as long as the block lasts; by https with a context."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver._take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    server: Any = site._server
    scheme = "http" if tls is None else "https"
    receiver.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def after(seconds: float, status: int = 204) -> Behave:
    """Return a behaviour that takes its time."""

    async def behave(_: web.Request, __: int) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return web.Response(status=status)

    return behave


def failing(status: int, times: int, headers: dict[str, str] | None = None) -> Behave:
    """Return a behaviour that refuses the first attempts of each webhook and takes the next."""

    async def behave(_: web.Request, attempt: int) -> web.StreamResponse:
        return web.Response(status=status if attempt <= times else 204, headers=headers)

    return behave
