"""Signed webhooks as Standard Webhooks describes them; https://www.standardwebhooks.com."""

import asyncio
import base64
import binascii
import contextlib
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from standardwebhooks import Webhook

from services.alerts.channels import guard
from services.alerts.channels.message import message_id
from services.alerts.channels.sending import Channel, Delivered, Network, Outcome, Refused
from services.runtime import version

KIND: Final = "webhook"

SECRET_PREFIX: Final = "whsec_"
SECRET_BYTES: Final = (24, 64)
"""At least and at most. Source: Standard Webhooks, signature scheme."""

ANSWER_BYTES: Final = 4_096
"""Of an answer's body; the rest is not read. Source: faults-and-security.md, SSRF."""

ANSWER_SECONDS: Final = 2.0
"""For an answer's body, which is only for the log: its status has said already how it went."""

WHOLE_ANSWER_BYTES: Final = 65_536
"""Of an answer with its head and all that comes before it; more is never parsed.

aiohttp makes an object of each of the `103` that fit into a read, and a few endpoints that send
nothing else would hold up every other delivery. No honest head is a quarter as long.
"""

RETRY_AFTER_LIMIT: Final = 86_400.0
"""Seconds, a day: the longest pause of the retry schedule."""

_SHOWN_CHARACTERS: Final = 200


class AnswerTooLong(aiohttp.ClientError):
    """An answer did not come to its point in `WHOLE_ANSWER_BYTES`."""


class _Bounded(ResponseHandler):
    """A connection of which only the beginning is parsed, whatever the far end sends."""

    _taken = 0

    def data_received(self, data: bytes) -> None:
        room = WHOLE_ANSWER_BYTES - self._taken
        self._taken += len(data)
        if room > 0 or not data:
            # Nothing at all is how aiohttp asks for the rest of what it has.
            super().data_received(data[:room] if len(data) > room else data)
        if len(data) > room:
            self._end_here()

    def _end_here(self) -> None:
        if self.exception() is None:
            # Whoever waits for the head learns it; a head that is there already is read first.
            self.set_exception(AnswerTooLong(f"it sent more than {WHOLE_ANSWER_BYTES:,} bytes"))
        if self.transport is not None:
            self.transport.pause_reading()


def url_fault(url: str, allow: Sequence[Network], allow_http: bool) -> str | None:
    """Return why no webhook may go to an address, with the remedy; None if one may.

    Of a name it cannot be told here whether its addresses are public: each attempt looks.

    >>> url_fault("https://10.1.2.3/hook", (), False)
    '10.1.2.3 is not public: private; list its network in `allow` if it is meant'
    """
    read = guard.parse(url, allow_http)
    if isinstance(read, guard.BadUrl):
        return read.reason
    host = read.host or ""
    literal = ":" in host or host.replace(".", "").isdigit()
    reason = guard.refusal(host, allow) if literal else None
    return f"{reason}; list its network in `allow` if it is meant" if reason else None


def secret_fault(secret: str) -> str | None:
    """Return what is wrong with a secret, without showing it; None if nothing is.

    >>> secret_fault("whsec_c2hvcnQ=")
    'it has 5 bytes; at least 24, at most 64'
    """
    if not secret.startswith(SECRET_PREFIX):
        return f"it does not begin with {SECRET_PREFIX}"
    try:
        size = len(_decoded(secret))
    except (binascii.Error, ValueError):
        return f"what follows {SECRET_PREFIX} is no base64"
    least, most = SECRET_BYTES
    return (
        None if least <= size <= most else f"it has {size} bytes; at least {least}, at most {most}"
    )


def make_secret(randomness: bytes) -> str:
    """Return a secret made of random bytes.

    Args:
        randomness: 24 to 64 bytes that nobody can guess.
    """
    return SECRET_PREFIX + base64.b64encode(randomness).decode()


async def send(
    channel: Channel,
    notice_id: str,
    body: bytes,
    now: datetime,
    within: float,
    lookup: AbstractResolver,
) -> Outcome:
    """Make one attempt, on a connection of its own; 2xx is delivered, all else is not.

    The status decides. An endpoint that has said 2xx took the notice, so an answer whose body then
    does not end, or is too long, still counts: to repeat it would only tell the person twice.

    Args:
        channel: Where to.
        notice_id: The notice; makes `webhook-id`, the same for every attempt.
        body: JSON, UTF-8; exactly these bytes are signed and sent.
        now: Aware UTC, when the attempt begins; makes `webhook-timestamp`.
        within: Seconds for everything, > 0.
        lookup: Finds the addresses of a name.
    """
    url = guard.parse(channel.url, channel.allow_http)
    if isinstance(url, guard.BadUrl):
        return Refused("bad_url", f"the address of channel {channel.name!r}: {url.reason}")
    watch = guard.Guard(channel.allow, lookup)
    headers = _headers(channel.secrets, message_id(notice_id), body, now)
    try:
        async with asyncio.timeout(within) as deadline, _session(watch) as session:
            answer = await session.post(url, data=body, headers=headers, allow_redirects=False)
            # From here on nothing can change how it went, not even the deadline.
            end = deadline.when()
            deadline.reschedule(None)
            said = await _said(answer, end)
            answer.close()
            return _outcome(answer, channel.hidden(said), now)
    except (aiohttp.ClientError, OSError, TimeoutError, RuntimeError, ValueError) as error:
        # uvloop tells some errors of sockets as RuntimeError.
        return _failure(watch, error, channel, within)


def _headers(secrets: Sequence[str], id: str, body: bytes, now: datetime) -> dict[str, str]:
    text, at = body.decode(), now.astimezone(UTC)
    return {
        "Content-Type": "application/json",
        "User-Agent": f"Ebbwatch/{version()}",
        # Nothing is unpacked, so that nothing small becomes large.
        "Accept-Encoding": "identity",
        "webhook-id": id,
        "webhook-timestamp": str(int(at.timestamp())),
        # A receiver that changes its secret accepts whichever it knows.
        "webhook-signature": " ".join(Webhook(one).sign(id, at, text) for one in secrets),
    }


def _session(watch: guard.Guard) -> aiohttp.ClientSession:
    """Return what makes one connection: none is kept that the far end may be closing just now."""
    connector = aiohttp.TCPConnector(
        resolver=watch,
        socket_factory=watch.open_socket,
        use_dns_cache=False,
        force_close=True,
    )
    # aiohttp has no other door to its protocol; a test fails when this one is gone.
    connector._factory = partial(_connection, loop=asyncio.get_running_loop())
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        read_bufsize=ANSWER_BYTES,
        # The attempt's own deadline holds for all of it.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
    )


def _connection(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _Bounded(loop)


async def _said(answer: aiohttp.ClientResponse, end: float | None) -> str:
    """Return the beginning of an answer's body as far as it comes in time."""
    until = asyncio.get_running_loop().time() + ANSWER_SECONDS
    said = bytearray()
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout_at(until if end is None else min(until, end)):
            while len(said) < ANSWER_BYTES:
                chunk = await answer.content.read(ANSWER_BYTES - len(said))
                if not chunk:
                    break
                said += chunk
    return said.decode(errors="replace")


def _outcome(answer: aiohttp.ClientResponse, said: str, now: datetime) -> Outcome:
    if 200 <= answer.status < 300:
        return Delivered(answer.status)
    reason = f"status {answer.status}"
    if 300 <= answer.status < 400:
        reason = "redirect"
    elif answer.status == 410:
        reason = "gone"
    detail = f"{answer.url.host} answered {answer.status}: {said[:_SHOWN_CHARACTERS]!r}"
    pause = _pause(answer.headers.get("Retry-After"), now)
    return Refused(reason, detail, pause, gone=answer.status == 410)


def _pause(told: str | None, now: datetime) -> float | None:
    """Return what a `Retry-After` asks for: seconds, or a date (RFC 9110 §10.2.3)."""
    if told is None:
        return None
    if told.isascii() and told.isdigit():
        return min(float(told), RETRY_AFTER_LIMIT)
    try:
        at = parsedate_to_datetime(told)
    except (ValueError, IndexError, OverflowError):
        return None
    aware = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return min(max((aware - now).total_seconds(), 0.0), RETRY_AFTER_LIMIT)


def _failure(watch: guard.Guard, error: Exception, channel: Channel, within: float) -> Refused:
    host = channel.host
    if watch.refused is not None:
        return Refused("forbidden_address", f"{host}: {watch.refused}")
    if isinstance(error, TimeoutError):
        return Refused("timeout", f"{host} did not answer within {within:g} s")
    if isinstance(error, aiohttp.InvalidURL | UnicodeError):
        return Refused("bad_url", f"{host}: {type(error).__name__}")
    reason = "tls" if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError) else "connection"
    return Refused(reason, f"{host}: {channel.hidden(_told(error))[:_SHOWN_CHARACTERS]}")


def _told(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        # Its own text ends with the whole address.
        return f"{error.status}, {error.message}"
    return str(error) or type(error).__name__


def _decoded(secret: str) -> bytes:
    text = secret.removeprefix(SECRET_PREFIX)
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
