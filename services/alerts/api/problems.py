"""What the JSON API answers when something is wrong: one table from error to status."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.alerts.acting import RECORDS, FieldRefused, NoSuchCase, VersionMissing
from services.alerts.api.answers import Conflict, FieldFault, Problem
from services.alerts.appender import LogAway
from services.alerts.moments import cut
from services.alerts.person import PERSON_HEADER, BadPerson
from services.alerts.stream import NoRoom
from services.alerts.view import ViewAway

RETRY_SECONDS: Final = 2
"""Redis and Kafka are asked again about every second."""

KEY_HEADER: Final = "idempotency-key"

FAULTS: Final = 20
"""Fields of one answer that are named; a body of 64 kB can have thousands that are at fault."""
TEXT_LIMIT: Final = 200
"""Characters of a field's name, and of what is said of it: both can be what somebody sent."""


class Unknown(Exception):
    """There is nothing of that id."""


class Rebuilding(Exception):
    """It is not known whether there is something of that id: the view is not whole just now."""


class WrongMedia(Exception):
    """The body is not JSON by its own account."""


ERRORS: Final[Mapping[type[Exception], tuple[int, str]]] = {
    ViewAway: (503, "view_away"),
    Rebuilding: (503, "rebuilding"),
    LogAway: (503, "log_away"),
    NoRoom: (503, "no_room"),
    Unknown: (404, "unknown"),
    NoSuchCase: (404, "unknown_case"),
    VersionMissing: (428, "version_missing"),
    WrongMedia: (415, "unsupported_media"),
}
"""Status and code of each error that concerns no field."""

CODES: Final[Mapping[int, str]] = {400: "broken_body", 404: "no_such_route", 405: "wrong_method"}

_FIELDS: Final[Mapping[str, str]] = {
    "if-match": "If-Match",
    KEY_HEADER: "Idempotency-Key",
    PERSON_HEADER: "X-Ebbwatch-Person",
}

_EXAMPLES: Final[Mapping[int, tuple[str, Problem | Conflict]]] = {
    400: (
        "The body cannot be read at all: it is no UTF-8, or nested too deeply.",
        Problem(error="broken_body", detail="There was an error parsing the body"),
    ),
    401: (
        "The token is missing or wrong.",
        Problem(error="unauthorized", detail="Send `Authorization: Bearer <EBBWATCH_TOKEN>`."),
    ),
    403: (
        "Not from this machine while no token is set, or from another site's page.",
        Problem(error="not_local", detail="Without a token only this machine is served."),
    ),
    404: (
        "There is none.",
        Problem(error="unknown", detail="There is no case of account 'acct_1'."),
    ),
    413: (
        "The body is too long.",
        Problem(error="too_large", detail="The body is longer than 65536 bytes."),
    ),
    415: (
        "The body is not JSON by its own account.",
        Problem(error="unsupported_media", detail="Send `Content-Type: application/json`."),
    ),
    422: (
        "Fields are at fault; all of them are named.",
        Problem(
            error="invalid",
            detail="limit: Input should be less than or equal to 200",
            field="limit",
            faults=[FieldFault(field="limit", detail="Input should be less than or equal to 200")],
        ),
    ),
    428: ("`If-Match` is missing.", Problem(error="version_missing", detail=str(VersionMissing()))),
    431: (
        "The request line and the headers are too long.",
        Problem(
            error="headers_too_large",
            detail="A request line and its headers may have 65,536 bytes together.",
        ),
    ),
    503: (
        "Redis or Kafka is away; see `Retry-After`.",
        Problem(error="view_away", detail="Redis does not answer."),
    ),
}
"""What each status means, and such an answer."""


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of answers that are problems.

    Args:
        statuses: Beside those that any request may get: 401, 403, 422, 431 and 503.
    """
    return {
        status: {
            "model": Problem,
            "description": _EXAMPLES[status][0],
            "content": {
                "application/json": {"example": _EXAMPLES[status][1].model_dump(exclude_none=True)}
            },
        }
        for status in sorted({401, 403, 422, 431, 503, *statuses})
    }


def install_problems(api: FastAPI) -> None:
    """Let an application answer every error as a `Problem`."""
    for error in ERRORS:
        api.add_exception_handler(error, _answer)
    api.add_exception_handler(FieldRefused, _answer_field)
    api.add_exception_handler(BadPerson, _answer_person)
    api.add_exception_handler(RequestValidationError, _answer_invalid)
    api.add_exception_handler(HTTPException, _answer_http)
    api.add_exception_handler(Exception, _answer_bug)


def problem(status: int, content: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer that tells a problem.

    Args:
        status: 4xx or 5xx.
        content: What is wrong; fields that say nothing are left away.
        headers: Further headers.
    """
    raw = orjson.dumps(content.model_dump(exclude_none=True))
    return Response(raw, status, headers, media_type="application/json")


async def _answer(request: Request, error: Exception) -> Response:
    status, code = next(found for kind, found in ERRORS.items() if isinstance(error, kind))
    headers = {"retry-after": str(RETRY_SECONDS)} if status == 503 else {}
    # Whoever gave no id must repeat with the one that was made, or the action may count twice.
    key = getattr(request.state, "action_key", None)
    if key is not None:
        headers[KEY_HEADER] = key
    return problem(status, Problem(error=code, detail=str(error)), headers)


async def _answer_field(_: Request, error: Exception) -> Response:
    assert isinstance(error, FieldRefused)
    return invalid([FieldFault(field=error.field, detail=str(error))])


async def _answer_person(_: Request, error: Exception) -> Response:
    return invalid([FieldFault(field=_FIELDS[PERSON_HEADER], detail=str(error))])


async def _answer_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return invalid(
        [
            FieldFault(field=_field(one["loc"]), detail=_SAID.get(one["type"], one["msg"]))
            for one in error.errors()
        ]
    )


_SAID: Final[Mapping[str, str]] = {
    "extra_forbidden": "there is no such field; /api/v1/openapi.json names those that there are",
    "missing": "it is required, and was not sent",
    "json_invalid": "the body is no JSON",
}
"""What the validator says in a programmer's words, in those of whoever asks."""


async def _answer_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "refused")
    content = Problem(error=code, detail=str(error.detail))
    return problem(error.status_code, content, error.headers)


async def _answer_bug(_: Request, __: Exception) -> Response:
    detail = "This failed in a way nobody expected; the log of the service says more."
    return problem(500, Problem(error="bug", detail=detail))


def invalid(faults: list[FieldFault]) -> Response:
    """Return the answer that names fields.

    Args:
        faults: At least one; of more than `FAULTS` the first are named, each cut.
    """
    named = [
        FieldFault(field=cut(fault.field, TEXT_LIMIT), detail=cut(fault.detail, TEXT_LIMIT))
        for fault in faults[:FAULTS]
    ]
    told = [f"{fault.field}: {fault.detail}" for fault in named]
    told += [f"and {len(faults) - FAULTS:,} more"] if len(faults) > FAULTS else []
    content = Problem(error="invalid", detail="; ".join(told), field=named[0].field, faults=named)
    return problem(422, content)


def _field(loc: tuple[int | str, ...]) -> str:
    """Return a field's name as it was sent: without where it stood, and without the union's tag."""
    where, *path = loc
    if where == "body" and path and path[0] in RECORDS:
        path = path[1:]
    if where == "body" and (not path or isinstance(path[0], int)):
        return "body"
    name = ".".join(map(str, path)) or str(where)
    return _FIELDS.get(name, name)
