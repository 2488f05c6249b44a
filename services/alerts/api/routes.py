"""The JSON API under `/api/v1`: cases, what people do to them, accounts, alerts, the live stream.

It is an application of its own, mounted: its errors are JSON, whatever the console answers, and
its OpenAPI document tells of nothing else. Money is in minor units with its currency beside it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final
from uuid import uuid4

from fastapi import APIRouter, Header, Path, Query, Response

from services.alerts.acting import FieldRefused, no_case
from services.alerts.api import answers
from services.alerts.api.action_routes import AccountId, action_router
from services.alerts.api.asking import AccountsQuery, AlertsQuery, CasesQuery
from services.alerts.api.documented import CASE, FRESH, DocumentedApi, example
from services.alerts.api.etags import tagged
from services.alerts.api.event_stream import EventStream
from services.alerts.api.problems import Rebuilding, Unknown, described, install_problems
from services.alerts.inbox import find_cases
from services.alerts.listing import BadCursor
from services.alerts.ports import Desk, Directory, Reader
from services.alerts.shown import AccountPage, AlertShown, CaseShown
from services.alerts.stream import Live
from services.alerts.verdicts import Verdicts
from services.runtime import version

PREFIX: Final = "/api/v1"

_IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description="The `ETag` that is known already.")
]
_Last = Annotated[
    str | None, Header(alias="Last-Event-ID", description="The last message that was read.")
]


def create_api(
    view: Reader,
    desk: Desk,
    directory: Directory,
    live: Live,
    now: Callable[[], datetime],
    *,
    secured: bool = False,
) -> APIRouter:
    """Build the JSON API; its routes stand under `/api/v1` of whatever includes the router.

    Args:
        view: Where it reads.
        desk: Where actions go.
        directory: The company's people and channels.
        live: The live stream, which somebody else runs and closes.
        now: The wall clock, aware UTC.
        secured: Whether a token is asked for (`access.install_access`), for the document.
    """
    api = DocumentedApi(
        secured,
        title="Ebbwatch",
        summary="Cases: which accounts are at risk, why, and what was done about it.",
        version=version(),
        docs_url=None,
        redoc_url=None,
        root_path_in_servers=False,
        # A redirect would lead to whatever host the caller named.
        redirect_slashes=False,
        servers=[{"url": PREFIX}],
    )
    install_problems(api)
    api.include_router(_cases(view, now))
    api.include_router(
        action_router(Verdicts(view, desk), directory, now, lambda: str(uuid4()), PREFIX)
    )
    api.include_router(_accounts(view))
    api.include_router(_desk(view, directory, live))
    router = APIRouter()
    router.mount(PREFIX, api)
    return router


def _cases(view: Reader, now: Callable[[], datetime]) -> APIRouter:
    router = APIRouter(tags=["cases"])

    @router.get(
        "/cases",
        summary="List cases",
        responses=described()
        | example({"items": [CASE], "next": "WyJyYW5rIi4uLl0", "total": 90, "freshness": FRESH}),
    )
    async def get_cases(query: Annotated[CasesQuery, Query()]) -> answers.CasesPage:
        """Cases with their open alerts and sparklines, the most urgent first by default."""
        today, wanted = now().date(), query.wanted()
        found = await find_cases(view, wanted, query.sort, today, query.cursor, query.limit)
        if isinstance(found, BadCursor):
            raise FieldRefused(found.field, found.detail)
        return answers.CasesPage(
            items=found.items,
            next=found.next,
            total=found.total,
            freshness=await view.freshness(),
        )

    @router.get(
        "/cases/{account:path}",
        summary="Show a case",
        response_model=CaseShown,
        responses=described(404) | example(CASE) | {304: {"description": "It is as it was."}},
    )
    async def get_case(account: AccountId, if_none_match: _IfNoneMatch = None) -> Response:
        """One case with its open alerts; its `ETag` begins with its version, for `If-Match`."""
        case = await view.case(account)
        if case is None:
            raise await _missing(view, no_case(account))
        return tagged(case, if_none_match)

    return router


def _accounts(view: Reader) -> APIRouter:
    router = APIRouter()

    @router.get("/alerts", summary="List alerts", tags=["alerts"], responses=described())
    async def get_alerts(query: Annotated[AlertsQuery, Query()]) -> answers.AlertsPage:
        """Alerts, the newest first, without evidence."""
        open_only = query.state == "open"
        items, following = await view.alerts(open_only, query.cursor, query.limit)
        return answers.AlertsPage(items=items, next=following, freshness=await view.freshness())

    @router.get(
        "/alerts/{id:path}", summary="Show an alert", tags=["alerts"], responses=described(404)
    )
    async def get_alert(id: Annotated[str, Path(description="Its `alert_id`.")]) -> AlertShown:
        """One alert with the evidence in `because`."""
        alert = await view.alert(id)
        if alert is None:
            raise await _missing(view, f"There is no alert {id[:200]!r}.")
        return alert

    @router.get("/accounts", summary="Find accounts", tags=["accounts"], responses=described())
    async def get_accounts(query: Annotated[AccountsQuery, Query()]) -> answers.AccountsPage:
        """Accounts by id."""
        items, following = await view.accounts(query.q, query.cursor, query.limit)
        return answers.AccountsPage(items=items, next=following, freshness=await view.freshness())

    @router.get(
        "/accounts/{account:path}",
        summary="Show an account",
        tags=["accounts"],
        responses=described(404),
    )
    async def get_account(account: AccountId) -> AccountPage:
        """Everything about one account: case, alerts with evidence, timeline, daily values."""
        page = await view.account(account)
        if page is None:
            raise await _missing(view, f"There is no account {account[:200]!r}.")
        return page

    return router


def _desk(view: Reader, directory: Directory, live: Live) -> APIRouter:
    router = APIRouter(tags=["desk"])

    @router.get("/people", summary="List people", responses=described())
    async def get_people() -> answers.PeoplePage:
        """The company's people, who can own, be assigned and act."""
        known = directory.snapshot
        items = [answers.person_shown(person) for person in known.people.values()]
        return answers.PeoplePage(items=items, signal_manager=known.routing.signal_manager)

    @router.get("/channels", summary="List channels", responses=described())
    async def get_channels() -> answers.ChannelsPage:
        """How notices go out, and how their endpoints do."""
        channels = directory.snapshot.channels.values()
        return answers.ChannelsPage(items=[answers.channel_shown(one) for one in channels])

    @router.get("/status", summary="Show how the desk stands", responses=described())
    async def get_status() -> answers.Status:
        """How far what is shown can be relied on, and how many cases wait."""
        return answers.status(await view.cases(), await view.freshness())

    @router.get(
        "/stream",
        summary="Follow changes",
        status_code=200,
        response_class=EventStream,
        responses=described(),
    )
    async def get_stream(last: _Last = None) -> Response:
        """Changes as they happen, as server-sent events."""
        return EventStream(live, last)

    return router


async def _missing(view: Reader, detail: str) -> Exception:
    """Return the error for what is not in the view."""
    freshness = await view.freshness()
    if freshness.complete:
        return Unknown(detail)
    return Rebuilding(f"{detail[:-1]}, or not yet: {freshness.reason or 'ask again soon.'}")
