"""Who acts, until login exists: the caller says so."""

import base64
import binascii
from typing import Final
from urllib.parse import quote, unquote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

PERSON_HEADER: Final = "x-ebbwatch-person"
PERSON_COOKIE: Final = "ebbwatch_person"
SOMEONE: Final = "someone"
RESERVED: Final = "ebbwatch"
"""Whom timers act as (schemas/cases.py)."""
PERSON_LIMIT: Final = 200
COOKIE_SECONDS: Final = 365 * 86_400


class BadPerson(ValueError):
    """The header names a person in a way that cannot be written into the log."""


def person_of(request: Request) -> str:
    """Return who acts: the header, else the cookie, else the Basic user name, else `someone`.

    Args:
        request: A request that was let in.

    Raises:
        BadPerson: The header holds no id of a person: 1..200 printable characters, in UTF-8, and
            not `ebbwatch`, as which timers act. A bad cookie or user name is passed over.
    """
    told = request.headers.get(PERSON_HEADER)
    if told is not None:
        person = utf8(told).strip()
        if not _can_act(person):
            raise BadPerson(
                f"{person[:40]!r} is no id of a person: 1..{PERSON_LIMIT} printable characters, "
                f"not `{RESERVED}`"
            )
        return person
    for person in (unquote(request.cookies.get(PERSON_COOKIE, "")), basic(request.headers)[0]):
        if _can_act(person):
            return person
    return SOMEONE


def remember_person(response: Response, person: str, *, secure: bool = False) -> None:
    """Set the cookie that `person_of` reads.

    Args:
        response: The answer that carries it.
        person: The person's id; empty forgets who it was.
        secure: Whether the page was reached by https.
    """
    response.set_cookie(
        PERSON_COOKIE,
        quote(person, safe=""),
        max_age=COOKIE_SECONDS if person else 0,
        httponly=True,
        samesite="lax",
        secure=secure,
    )


def basic(headers: Headers) -> tuple[str, str]:
    """Return user name and password of Basic credentials, empty where there are none.

    Args:
        headers: A request's.

    Source:
        RFC 7617.
    """
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return "", ""
    return user, password


def utf8(text: str) -> str:
    """Return a header's text in UTF-8; servers hand its bytes over as Latin-1.

    Args:
        text: As it was handed over.
    """
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _can_act(person: str) -> bool:
    return 0 < len(person) <= PERSON_LIMIT and person.isprintable() and person != RESERVED
