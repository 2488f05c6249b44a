"""Who may call, until login exists: this machine, or who knows the token; and who acts.

Without a token only loopback is served, and only under a name of loopback: a page of a stranger
whose name is made to resolve to 127.0.0.1 (DNS rebinding) still sends its own name as `Host`. With
a token everything but the probes asks for it. Verbs that change something must not come from
another site's page, whatever credentials the browser adds.
"""

import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import orjson
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.alerts.body import BODY_BYTES, Bodies
from services.alerts.person import (
    PERSON_COOKIE,
    PERSON_HEADER,
    SOMEONE,
    BadPerson,
    basic,
    person_of,
    remember_person,
    utf8,
)

__all__ = [
    "HEADERS",
    "OPEN",
    "PERSON_COOKIE",
    "PERSON_HEADER",
    "SAFE",
    "SOMEONE",
    "Access",
    "BadPerson",
    "Denied",
    "install_access",
    "judge",
    "person_of",
    "remember_person",
]

OPEN: Final = frozenset({"/livez", "/readyz"})
"""Probes: an orchestrator asks under any address and knows no token; they tell no customer data."""

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Verbs that change nothing. Source: RFC 9110 §9.2.1."""

HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: with it browsers send `Origin: null` with forms of our own pages.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "private, no-cache",
}
"""On every answer, unless the answer says otherwise itself.

Source: OWASP, HTTP Security Response Headers Cheat Sheet.
"""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/@\s]+)(:\d{1,5})?", re.ASCII)
_DEFAULT_PORTS: Final[Mapping[str, str]] = {"http": ":80", "https": ":443"}
_CHALLENGES: Final = ('Basic realm="ebbwatch", charset="UTF-8"', 'Bearer realm="ebbwatch"')
"""A header each, what browsers can do first: Chromium asks nobody for what stands behind Bearer."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Why somebody may not.

    Attributes:
        status: 401 where the token would help, 404 where nothing can be, else 403.
        code: For a machine.
        detail: For a person, with the remedy.
    """

    status: int
    code: str
    detail: str


def install_access(app: FastAPI, token: str | None, body_bytes: int = BODY_BYTES) -> None:
    """Let nobody reach an application who may not, and bound what they send.

    Args:
        app: The application; call this last, so that it stands before everything else.
        token: What everybody must know; None serves loopback only.
        body_bytes: Longest body that is taken.
    """
    app.add_middleware(Bodies, limit=body_bytes)
    app.add_middleware(Access, token=token)


class Access:
    """Asks each request for its right before the application sees it; safe between tasks.

    Args:
        app: What is guarded.
        token: What everybody must know; None serves loopback only.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here; every answer gets the security headers."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answering = _Answering(send)
        client = scope.get("client")
        denied = judge(
            scope["method"],
            scope["path"],
            client[0] if client else None,
            Headers(scope=scope),
            self._token,
        )
        if denied is not None:
            await _refusal(denied)(scope, receive, answering)
            return
        try:
            await self._app(scope, receive, answering)
        except Exception:
            if not answering.started:
                await _FAILED(scope, receive, answering)
            raise


def judge(
    method: str, path: str, client: str | None, headers: Headers, token: str | None
) -> Denied | None:
    """Decide whether a request may be answered.

    Args:
        method: Its verb, in capitals.
        path: Its path, decoded.
        client: The address it comes from; None if it is not known.
        headers: Its headers.
        token: What everybody must know; None serves loopback only.

    Returns:
        Why not; None if it may.

    Source:
        OWASP, Cross-Site Request Forgery Prevention Cheat Sheet: Fetch Metadata, and the Origin
        for browsers without it (they leave it away on plain http but for loopback).
    """
    if path in OPEN and method in SAFE:
        return None
    denied = _local(client, headers) if token is None else _knows(headers, token)
    if denied is None and method not in SAFE and not _same_site(headers):
        return Denied(403, "cross_site", "This came from another site's page; open it here.")
    if denied is None and "\n" in path:
        # The router takes a line break for the path's end, and its answer is none of the API's.
        return Denied(404, "no_such_route", "There is no path with a line break in it.")
    return denied


def _local(client: str | None, headers: Headers) -> Denied | None:
    remedy = "set EBBWATCH_TOKEN to serve others too"
    if client is None or not _is_loopback(client):
        return Denied(403, "not_local", f"Without a token only this machine is served; {remedy}.")
    hosts = headers.getlist("host")
    found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if found is None or not _names_loopback(found[1]):
        return Denied(
            403,
            "foreign_host",
            f"Without a token only localhost, 127.0.0.1 and [::1] are answered; {remedy}.",
        )
    return None


def _knows(headers: Headers, token: str) -> Denied | None:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    given = utf8(value).strip() if scheme.lower() == "bearer" else basic(headers)[1]
    # An empty token lets nobody in: it is a slip of whoever set it.
    if given and hmac.compare_digest(given.encode(), token.encode()):
        return None
    return Denied(
        401,
        "unauthorized",
        "Send `Authorization: Bearer <EBBWATCH_TOKEN>`; in a browser the token is the password.",
    )


def _same_site(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    # Who sends neither is no browser, so nobody's credentials are used behind their back.
    return origin is None or _is_origin_of(origin, headers.get("host", ""))


def _is_origin_of(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    port = _DEFAULT_PORTS.get(parts.scheme)
    if port is None:
        return False
    return parts.netloc.lower().removesuffix(port) == host.lower().removesuffix(port)


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def _names_loopback(name: str) -> bool:
    """Tell whether a name can only mean this machine. Source: RFC 6761 §6.3 (localhost)."""
    plain = name.strip("[]").lower().removesuffix(".")
    return plain == "localhost" or plain.endswith(".localhost") or _is_loopback(plain)


class _Answering:
    """Sends an answer with the security headers on it."""

    def __init__(self, send: Send) -> None:
        self.started = False
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(raw=[*message.get("headers", [])])
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            message = {**message, "headers": headers.raw}
        await self._send(message)


def _refusal(denied: Denied) -> Response:
    content = orjson.dumps({"error": denied.code, "detail": denied.detail})
    response = Response(content, denied.status, media_type="application/json")
    for challenge in _CHALLENGES if denied.status == 401 else ():
        response.headers.append("www-authenticate", challenge)
    return response


_FAILED: Final = Response(
    orjson.dumps({"error": "bug", "detail": "This failed in a way nobody expected; see the log."}),
    500,
    media_type="application/json",
)
