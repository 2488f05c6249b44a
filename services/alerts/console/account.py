"""Everything about one account, and the search for accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from fastapi import APIRouter, Request, Response

from services.alerts import daily
from services.alerts.console import evidence, words
from services.alerts.console.answers import told
from services.alerts.console.chart import Chart, chart
from services.alerts.console.evidence import Number, Week
from services.alerts.console.failing import Missing, Rebuilding
from services.alerts.console.forms import SNOOZES, snooze_until
from services.alerts.console.site import Site
from services.alerts.console.watched import Watched, falling, watched
from services.alerts.shown import AccountPage, AlertShown
from services.runtime import get_logger

_log = get_logger(__name__)

PAGE: Final = 50
"""Accounts of one page of the search."""
ENDED: Final = 20
"""Alerts that are over and still shown."""
MOMENTS: Final = 200
"""Lines of the timeline that are shown."""


@dataclass(frozen=True, slots=True)
class Told:
    """One alert as its page tells it.

    Attributes:
        alert: The alert.
        chart: What can be drawn of it.
        numbers: Its figures.
        weeks: Its judged weeks.
        statistics: Figures that only a statistician reads.
        limits: What the rule asked for.
        masked: Days that did not count.
        readable: False if the evidence cannot be shown, so that there is none of the above.
    """

    alert: AlertShown
    chart: Chart | None = None
    numbers: Sequence[Number] = ()
    weeks: Sequence[Week] = ()
    statistics: Sequence[Number] = ()
    limits: Sequence[Number] = ()
    masked: Sequence[Number] = ()
    readable: bool = True


def account_routes(site: Site, router: APIRouter) -> None:
    """Add the account's page and the search to a router.

    Args:
        site: Renders them.
        router: Takes the routes.
    """

    @router.get("/accounts")
    async def accounts(request: Request) -> Response:
        if (account := request.query_params.get("id")) is not None:
            return await _account(site, request, account)
        asked = request.query_params.get("q", "").strip()[:200]
        found, after = await site.view.accounts(
            asked, request.query_params.get("after") or None, PAGE
        )
        return await site.page(request, "accounts.html", q=asked, accounts=found, after=after)

    @router.get("/accounts/{account:path}")
    async def account(request: Request, account: str) -> Response:
        return await _account(site, request, account)


async def _account(site: Site, request: Request, account: str) -> Response:
    page = await site.view.account(account)
    if page is None:
        raise await _missing(site, account)
    ended = daily.ended_day(site.now(), page.timezone)
    alerts = [_told(page, alert, ended) for alert in page.alerts]
    until = {one: snooze_until(one, page, site.now()) for one in SNOOZES}
    return await site.page(
        request,
        "account.html",
        page=page,
        case=page.case,
        standing=[one for one in alerts if one.alert.open and not one.alert.shadow],
        shadow=[one for one in alerts if one.alert.open and one.alert.shadow],
        ended=[one for one in alerts if not one.alert.open][:ENDED],
        watched=_watched(page, alerts, ended),
        falling=falling(page),
        moments=page.timeline[:MOMENTS],
        snoozes={one: SNOOZES[one] for one, end in until.items() if end is not None},
        answer=await told(site, request, account),
    )


def _watched(page: AccountPage, alerts: Sequence[Told], ended: date) -> list[Watched]:
    """Return the charts of what is watched; an open alert's card has its own."""
    shown = {one.chart.metric for one in alerts if one.alert.open and one.chart is not None}
    return [one for one in watched(page, ended) if one.metric not in shown]


async def _missing(site: Site, account: str) -> Exception:
    shown = repr(words.cut(account, 200))
    if (await site.view.freshness()).complete:
        return Missing(f"no account has the id {shown}")
    return Rebuilding(f"account {shown} is not there yet")


def _told(page: AccountPage, alert: AlertShown, ended: date) -> Told:
    try:
        return _with_evidence(page, alert, ended)
    except Exception as error:
        # Evidence is whatever a rule wrote, of any version: the other alerts must be seen, and
        # this one be acted on.
        _log.warning(
            "evidence of an alert cannot be shown",
            alert=alert.alert_id,
            account=alert.account,
            rule=alert.rule,
            error=f"{type(error).__name__}: {error}"[:300],
        )
        return Told(alert, readable=False)


def _with_evidence(page: AccountPage, alert: AlertShown, ended: date) -> Told:
    return Told(
        alert,
        chart(page, alert, ended),
        evidence.numbers(alert),
        evidence.weeks(alert),
        evidence.statistics(alert),
        evidence.limits(alert),
        evidence.masked(alert),
    )
