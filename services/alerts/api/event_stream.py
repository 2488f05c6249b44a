"""The live stream as an HTTP answer of server-sent events."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.alerts.body import HEAD_MARK
from services.alerts.stream import Client, Live

LAST_WORDS_SECONDS: Final = 1.0
"""For a client to take the end; one that reads nothing does not take that either."""


class EventStream(Response):
    """An answer that ends when its client goes or is dropped, or when the server stops.

    Args:
        live: Where messages come from.
        last: The client's `Last-Event-ID`.
    """

    media_type = "text/event-stream"

    def __init__(self, live: Live, last: str | None) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._live = live
        self._last = last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send messages as they come."""
        with self._live.joined() as client:
            headers = self.raw_headers
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if HEAD_MARK not in scope:
                await _first_of(
                    self._pump(client, send), _disconnected(receive), client.over.wait()
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self, client: Client, send: Send) -> None:
        async with contextlib.aclosing(self._live.messages(client, self._last)) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _first_of(*works: Coroutine[Any, Any, Any]) -> None:
    """Run until one of several has ended, and end the others; an error of one is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
