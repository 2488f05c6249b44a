"""HTTP of ingest: one route a format, one table from error to status."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from services.ingest import document
from services.ingest.body import TooLarge, TooSlow, UnknownEncoding, Unreadable, Uploads
from services.ingest.formats import cloudevents
from services.ingest.intake import Intake, RefusedBody, Unauthorized
from services.ingest.rejects import DETAIL_LIMIT
from services.publishing.publisher import Unavailable
from services.runtime import Health, health_router

ERRORS: Final[Mapping[type[Exception], tuple[int, str]]] = {
    Unavailable: (503, "unavailable"),
    Unauthorized: (401, "unauthorized"),
    TooLarge: (413, "too_large"),
    UnknownEncoding: (415, "unsupported_encoding"),
    Unreadable: (400, "broken_encoding"),
    TooSlow: (408, "too_slow"),
    ClientDisconnect: (400, "client_gone"),
}
"""Status and code of each error."""

REFUSED_BODY: Final[Mapping[str, int]] = {"unsupported_media": 415}
"""Status by reason; a limit of the body, 413, for the others."""


LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 8 * 1024 * 1024


def create_app(intake: Intake, uploads: Uploads, health: Health) -> FastAPI:
    """Build the application around what does the work.

    Args:
        intake: Takes events in.
        uploads: Reads bodies.
        health: What `/readyz` answers from.
    """
    app = FastAPI(title="Ebbwatch ingest", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(health_router(health, intake.metrics.registry))
    app.include_router(_events(intake, uploads))
    for error in ERRORS:
        app.add_exception_handler(error, _answer)
    app.add_exception_handler(RefusedBody, _answer_refused)
    app.add_exception_handler(Exception, _answer_bug)
    return app


def _events(intake: Intake, uploads: Uploads) -> APIRouter:
    router = APIRouter()

    @router.get(document.PATH)
    async def get_document() -> Response:
        return _json(document.document(), 200)

    @router.post("/v1/events")
    async def post_events(request: Request) -> Response:
        with intake.metrics.request_duration.time():
            intake.check_open()
            headers = dict(request.headers)
            key = intake.authenticate(headers.get("authorization"))
            async with uploads.body(headers, request.stream()) as body:
                answer = await intake.accept(key, cloudevents, headers, body)
            return _json(answer.as_json(), answer.status)

    return router


async def _answer(_: Request, error: Exception) -> Response:
    status, code = ERRORS[type(error)]
    response = _json({"error": code, "detail": str(error)[:DETAIL_LIMIT]}, status)
    if status == 413:
        return _Lingering(response.body, status, media_type="application/json")
    if isinstance(error, Unavailable):
        response.headers["retry-after"] = str(error.retry_after)
    if status == 401:
        response.headers["www-authenticate"] = "Bearer"
    if status == 408:
        response.headers["connection"] = "close"
    return response


async def _answer_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedBody)
    refused = error.refused
    detail = refused.detail[:DETAIL_LIMIT]
    content = {"error": refused.reason, "field": refused.field, "detail": detail}
    return _json(content, REFUSED_BODY.get(refused.reason, 413))


async def _answer_bug(_: Request, error: Exception) -> Response:
    """Answer what no line of ours foresaw; Starlette raises it again for the log.

    The process goes on, other than after a bug anywhere else: a request leaves nothing behind, and
    whoever found such a body could end every replica with it, again and again. What all requests
    share (publisher, producer, clock, configuration) ends the process by itself.
    """
    detail = f"a bug of Ebbwatch's: {error!r}; no event is acknowledged, report it with the request"
    return _json({"error": "bug", "detail": detail[:DETAIL_LIMIT]}, 500)


class _Lingering(Response):
    """An answer to a body that is too long: given at once, then the connection is closed.

    Closing while the client still sends would reset the connection, and it might never see the
    answer; reading on would let it send without end. So a bounded part of the rest is thrown away.
    Source: nginx, `lingering_close`.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        self.headers["connection"] = "close"
        headers = self.raw_headers
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await _discard(receive)
        await send({"type": "http.response.body", "body": b""})


async def _discard(receive: Receive) -> None:
    """Read on until the body's end, or as far as `LINGER_BYTES`; then wait for the client."""
    room = LINGER_BYTES
    while room > 0:
        message = await receive()
        room -= len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
    await asyncio.get_running_loop().create_future()


def _json(content: object, status: int) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
