"""Errors as pages: one table from what went wrong to what a person reads, and when to try again."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.routing import APIRoute

from services.alerts.acting import FieldRefused, NoSuchCase
from services.alerts.appender import LogAway
from services.alerts.console.forms import BadForm
from services.alerts.console.query import BadQuery
from services.alerts.console.site import Site
from services.alerts.person import SOMEONE, BadPerson, person_of
from services.alerts.view import ViewAway


class Missing(Exception):
    """There is nothing under this address; its text says what was looked for."""


class Rebuilding(Exception):
    """It is not known whether there is anything: the view is not whole just now."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a person reads.

    Attributes:
        status: Of the answer.
        title: One line.
        advice: What it means for the reader's work, and what to do.
        again: Whether the page tries again by itself.
    """

    status: int
    title: str
    advice: str
    again: bool = False


_MISSING: Final = Trouble(
    404,
    "There is nothing here",
    "The address may have been cut off, or the account was merged into another or erased.",
)

TROUBLES: Final[Mapping[type[Exception], Trouble]] = {
    Missing: _MISSING,
    NoSuchCase: _MISSING,
    ViewAway: Trouble(
        503,
        "Nothing can be shown just now",
        "The store that pages are read from does not answer. Alerts are still taken in and "
        "delivered, and what you did is kept. This page tries again by itself.",
        again=True,
    ),
    Rebuilding: Trouble(
        503,
        "The pages are being rebuilt",
        "Nothing is lost, and alerts are still delivered. This page tries again by itself.",
        again=True,
    ),
    LogAway: Trouble(
        503,
        "That could not be saved yet",
        "The alert log does not answer. Try again in a few seconds: it acts once, however often "
        "you send it.",
    ),
    BadQuery: Trouble(422, "This address asks for something that does not exist", ""),
    BadForm: Trouble(422, "That could not be taken", "Nothing was changed."),
    FieldRefused: Trouble(422, "That could not be taken", "Nothing was changed."),
    BadPerson: Trouble(422, "Nobody of that name can act", ""),
}
"""What each error says."""

RETRY_SECONDS: Final = 3


def page_route(site: Site) -> type[APIRoute]:
    """Return a kind of route whose errors become pages.

    Args:
        site: Renders them.
    """

    class PageRoute(APIRoute):
        """A route that answers with a page, whatever happens that was foreseen."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handled(request: Request) -> Response:
                try:
                    return await handle(request)
                except tuple(TROUBLES) as error:
                    return await explain(site, request, error)

            return handled

    return PageRoute


async def explain(site: Site, request: Request, error: Exception) -> Response:
    """Answer with the page of an error.

    Args:
        site: Renders it.
        request: What failed.
        error: Of a kind that `TROUBLES` knows.
    """
    trouble = next(one for kind, one in TROUBLES.items() if isinstance(error, kind))
    # What was sent is offered again under the same key, so that it cannot act twice.
    repeat = await _sent(request) if isinstance(error, LogAway) else None
    answer = await site.page(
        request,
        "error.html",
        status=trouble.status,
        trouble=trouble,
        detail=str(error),
        repeat=repeat,
        accepted="action" in request.query_params,
        me=_who_looks(request),
    )
    if trouble.status == 503:
        answer.headers["retry-after"] = str(RETRY_SECONDS)
    return answer


def _who_looks(request: Request) -> str:
    """Tell who looks at an error; the page of one that is about a header must not fail on it."""
    try:
        return person_of(request)
    except BadPerson:
        return SOMEONE


async def _sent(request: Request) -> list[tuple[str, str]]:
    return parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True)
