"""Bodies: those that come in are read whole, at most so long; for HEAD none goes out."""

import asyncio
from typing import Final

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES: Final = 64 * 1024
"""A comment of 4,000 characters, every one escaped, has 48 kB."""
BODY_SECONDS: Final = 10.0
"""For a body to arrive; whoever is slower only holds a connection open."""
LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 8 * 1024 * 1024
"""So much of a body that is too long is thrown away, so that its sender sees the answer."""

_DIGITS: Final = 18

HEAD_MARK: Final = "ebbwatch.head"
"""In the scope of a request that asks for headers only: an endless answer must know."""


class Bodies:
    """Reads bodies before the application runs, and answers HEAD as GET without a body.

    Args:
        app: What is behind.
        limit: Longest body that is taken, bytes.
        seconds: Longest time for it to arrive.
    """

    def __init__(
        self, app: ASGIApp, limit: int = BODY_BYTES, seconds: float = BODY_SECONDS
    ) -> None:
        self._app = app
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body at hand, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._app({**scope, "method": "GET", HEAD_MARK: True}, receive, _headless(send))
        elif scope["method"] == "GET":
            await self._app(scope, receive, send)
        else:
            await self._with_body(scope, receive, send)

    async def _with_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._read(scope, receive)
        except TimeoutError:
            detail = f"The body did not arrive within {self._seconds:g} s."
            await _refusal(408, "too_slow", detail)(scope, receive, send)
            return
        if body is None:
            detail = f"The body is longer than {self._limit} bytes."
            await _refusal(413, "too_large", detail)(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the body; None if it is too long, or its sender went away meanwhile."""
        told = Headers(scope=scope).get("content-length", "")
        room = self._limit
        chunks: list[bytes] = []
        if told.isdecimal() and (len(told) > _DIGITS or int(told) > room):
            await _discard(receive)
            return None
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            chunks.append(message.get("body", b""))
            room -= len(chunks[-1])
            if room < 0:
                await _discard(receive)
                return None
            if not message.get("more_body", False):
                return b"".join(chunks)


async def _discard(receive: Receive) -> None:
    """Read on to the body's end, within bounds: closing earlier could lose the answer."""
    room = LINGER_BYTES
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while room > 0:
                message = await receive()
                room -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what hands the body over once, and then what the connection says."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


def _headless(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return sent


def _refusal(status: int, code: str, detail: str) -> Response:
    content = orjson.dumps({"error": code, "detail": detail})
    headers = {"connection": "close"}
    return Response(content, status, headers, media_type="application/json")
