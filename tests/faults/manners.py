"""How an endpoint may behave: each way, what the desk must say of it, and what it was sent."""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from tests.faults.company import SECRET

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

SEND_SECONDS = 3.0
"""What an attempt may take where scenarios shorten it: `EBBWATCH_ALERTS_SEND_SECONDS`. An answer
that is meant to come in time does so on a busy machine, too."""

GIGABYTE = 1 << 30
CHUNK = bytes(1 << 16)


class Manner(NamedTuple):
    """One way to behave.

    Attributes:
        answer: Answers.
        reason: What the log must say of it; None if the notice counts as delivered.
    """

    answer: Answer
    reason: str | None


@dataclass(frozen=True, slots=True)
class Visit:
    """One attempt, as the endpoint saw it begin.

    Attributes:
        id: Its `webhook-id`.
        at: When, seconds since 1970.
        manner: How it was answered.
        timestamp: Its `webhook-timestamp`.
        fault: What was wrong with it; empty for nothing.
    """

    id: str
    at: float
    manner: str
    timestamp: int
    fault: str


@dataclass
class Endpoint:
    """Behaves as it is told, and notes who came; `Receiver.behave` can be its `behave`.

    Attributes:
        choose: Names the manner, given the `webhook-id` and which attempt of it this is.
        visits: Every attempt, in the order in which they began.
    """

    choose: Callable[[str, int], str]
    visits: list[Visit] = field(default_factory=list)

    async def behave(self, request: web.Request, attempt: int) -> web.StreamResponse:
        """Answer in the manner that was chosen."""
        name = self.choose(request.headers.get("webhook-id", ""), attempt)
        await self.note(request, name)
        try:
            return await MANNERS[name].answer(request)
        except ConnectionResetError:
            # Nothing more can be said; aiohttp passes over an answer that nobody gets.
            return web.Response(status=500)

    async def note(self, request: web.Request, manner: str) -> None:
        """Note who has come."""
        id = request.headers.get("webhook-id", "")
        stamp = int(request.headers.get("webhook-timestamp", "0"))
        fault = _fault(request, await request.read())
        self.visits.append(Visit(id, time.time(), manner, stamp, fault))


class Busy(Endpoint):
    """Takes everything until it is told to be busy: then it asks for a pause, and means it.

    Attributes:
        until: Up to when it was asked to wait with a webhook, by its id; seconds since 1970.
    """

    def __init__(self) -> None:
        super().__init__(lambda _, __: "takes")
        self.until: dict[str, float] = {}
        self._seconds = 0.0
        self._dated = False
        self._end: float | None = None

    @property
    def asked(self) -> bool:
        """Whether somebody came since it is busy."""
        return self._end is not None and self._seconds > 0

    def be_busy(self, seconds: float, *, dated: bool) -> None:
        """Be so from the next visit on; say until when by a date, or in seconds."""
        self._seconds, self._dated, self._end = seconds, dated, None
        self.until = {}

    async def behave(self, request: web.Request, attempt: int) -> web.StreamResponse:
        """Ask for a pause, or take it."""
        now = time.time()
        if self._seconds and self._end is None:
            # A date has whole seconds.
            self._end = float(math.ceil(now + self._seconds))
        if self._end is None or now >= self._end:
            return await super().behave(request, attempt)
        await self.note(request, "429")
        self.until[request.headers["webhook-id"]] = self._end
        seconds = str(math.ceil(self._end - now))
        date = format_datetime(datetime.fromtimestamp(self._end, UTC), usegmt=True)
        headers = {"Retry-After": date if self._dated else seconds}
        return web.Response(status=429, headers=headers)


def _fault(request: web.Request, body: bytes) -> str:
    if request.query_string:
        return "a redirect was followed"
    try:
        Webhook(SECRET).verify(body, dict(request.headers))
    except WebhookVerificationError as error:
        return f"its signature: {error}"
    return ""


def status(code: int) -> Answer:
    """Return what answers with a status at once."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=code, text=f"status {code}")

    return answer


async def redirect(request: web.Request) -> web.StreamResponse:
    """Send whoever comes somewhere else."""
    return web.Response(status=307, headers={"Location": f"{request.url}?followed"})


async def reset(request: web.Request) -> web.StreamResponse:
    """Break the connection without a word."""
    assert request.transport is not None
    request.transport.abort()
    raise ConnectionResetError


async def cut(request: web.Request) -> web.StreamResponse:
    """Say the half of it."""
    return await _say(request, b"HTTP/1.1 204 No Con")


async def garbage(request: web.Request) -> web.StreamResponse:
    """Say what is no HTTP."""
    return await _say(request, bytes(range(256)) * 4)


async def endless_head(request: web.Request) -> web.StreamResponse:
    """Send a head that does not end."""
    line = b"X-More: " + b"x" * 120 + b"\r\n"
    return await _say(request, b"HTTP/1.1 204 No Content\r\n" + line * 4_000)


async def _say(request: web.Request, raw: bytes) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(raw)
    request.transport.close()
    raise ConnectionResetError


async def slow_head(request: web.Request) -> web.StreamResponse:
    """Send a head byte by byte, for longer than anybody waits."""
    for byte in b"HTTP/1.1 204 No Content":
        if request.transport is None:
            break
        request.transport.write(bytes([byte]))
        await asyncio.sleep(SEND_SECONDS / 10)
    raise ConnectionResetError


async def silent(request: web.Request) -> web.StreamResponse:
    """Take the request, and say nothing for longer than anybody waits."""
    await asyncio.sleep(SEND_SECONDS * 2)
    return web.Response(status=500)


def gigabyte(code: int) -> Answer:
    """Return what sends a gigabyte behind its status, as fast as it is read."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=code)
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            for _ in range(GIGABYTE // len(CHUNK)):
                await response.write(CHUNK)
        return response

    return answer


async def slow_body(request: web.Request) -> web.StreamResponse:
    """Take it, and then talk slowly."""
    response = web.StreamResponse(status=200)
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        for _ in range(40):
            await response.write(b"well, ")
            await asyncio.sleep(SEND_SECONDS / 10)
    return response


MANNERS = {
    "takes": Manner(status(204), None),
    "takes, slowly": Manner(slow_body, None),
    "takes, with a gigabyte": Manner(gigabyte(200), None),
    "404": Manner(status(404), "status 404"),
    "410": Manner(status(410), "gone"),
    "429": Manner(status(429), "status 429"),
    "500": Manner(status(500), "status 500"),
    "503, with a gigabyte": Manner(gigabyte(503), "status 503"),
    "redirects": Manner(redirect, "redirect"),
    "resets": Manner(reset, "connection"),
    "cuts": Manner(cut, "connection"),
    "garbage": Manner(garbage, "connection"),
    "endless head": Manner(endless_head, "connection"),
    "slow head": Manner(slow_head, "timeout"),
    "silent": Manner(silent, "timeout"),
}
"""By name, each way to behave."""

RUDE = tuple(name for name in MANNERS if name not in {"takes", "410", "429"})
