"""The inbox: which accounts need somebody, the most urgent first."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response

from services.alerts.console import words
from services.alerts.console.answers import told
from services.alerts.console.query import (
    ARR_BANDS,
    MINOR,
    PAGE,
    RENEWALS,
    SORTS,
    TABS,
    BadQuery,
    Query,
    read,
)
from services.alerts.console.site import Site
from services.alerts.inbox import find_cases
from services.alerts.listing import BadCursor, CasePage
from services.alerts.person import person_of
from services.alerts.shown import CaseShown

ROWS: Final = 100
"""Rows that are brought up to date in one answer."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters offer.

    Attributes:
        owners: Id and name of people who own anything here.
        segments: Segments of the cases.
    """

    owners: Sequence[tuple[str, str]]
    segments: Sequence[str]


def inbox_routes(site: Site, router: APIRouter) -> None:
    """Add the inbox to a router.

    Args:
        site: Renders it.
        router: Takes the routes.
    """

    @router.get("/")
    async def inbox(request: Request) -> Response:
        query = read(request.query_params.multi_items())
        page = await _page(site, query, person_of(request))
        cases = await site.view.cases()
        return await site.page(
            request,
            "inbox.html",
            query=query,
            page=page,
            counts=await _counts(site, query, person_of(request)),
            at_stake=_at_stake(cases),
            choices=_choices(cases, site.names()),
            arr_bands=_with_own(ARR_BANDS, query.arr),
            renewals=_with_own(RENEWALS, query.renewal),
            sorts=SORTS,
            answer=await told(site, request),
        )

    @router.get("/rows")
    async def rows(request: Request) -> Response:
        accounts = request.query_params.getlist("account")[:ROWS]
        query = read(request.query_params.multi_items())
        cases = [case for one in accounts if (case := await site.view.case(one)) is not None]
        return site.fragment(
            request,
            "rows.html",
            cases=await _with_sparks(site, cases),
            query=query,
            counts=await _counts(site, query, person_of(request)),
            at_stake=_at_stake(await site.view.cases()),
            answer=await told(site, request),
        )


async def _with_sparks(site: Site, cases: Sequence[CaseShown]) -> list[CaseShown]:
    """Return cases with the daily values of what their worst alert is about."""
    wanted = [(case.account, case.alerts[0].object) for case in cases if case.alerts]
    found = iter(await site.view.sparks(wanted, site.today) if wanted else [])
    return [
        case.model_copy(update={"spark": next(found)}) if case.alerts else case for case in cases
    ]


async def _page(site: Site, query: Query, me: str) -> CasePage:
    wanted = query.wanted(me, site.today, minor=await _minor(site, query))
    page = await find_cases(site.view, wanted, query.sort, site.today, query.after or None, PAGE)
    if isinstance(page, BadCursor):
        raise BadQuery("after", page.detail)
    return page


async def _counts(site: Site, query: Query, me: str) -> dict[str, int]:
    """Return how many cases each tab has under the same filters."""
    today, minor = site.today, await _minor(site, query)
    wanted = query.wanted(me, today, frozenset(), minor)
    cases = [*await site.view.cases(), *await site.view.cases(resolved=True)]
    states = Counter(case.state for case in cases if wanted.takes(case, today))
    return {tab: sum(states[one] for one in of) for tab, of in TABS.items()}


async def _minor(site: Site, query: Query) -> int:
    """Return the minor units of the currency that most cases are in: bands are in one currency."""
    if not query.arr:
        return MINOR
    currencies = Counter(case.currency for case in await site.view.cases() if case.currency)
    return words.minor_units(next((one for one, _ in currencies.most_common(1)), None))


def _at_stake(cases: Iterable[CaseShown]) -> list[str]:
    """Return the revenue of all open cases, per currency, the largest first."""
    sums: Counter[str | None] = Counter()
    for case in cases:
        if case.state == "open":
            sums[case.currency] += case.arr or 0
    return [words.short_money(sum_, currency) for currency, sum_ in sums.most_common(3) if sum_]


def _choices(cases: Iterable[CaseShown], names: Mapping[str, str]) -> Choices:
    cases = list(cases)
    owners = {one for case in cases for one in (case.assignee, case.owner) if one}
    named = [(id, names.get(id, words.cut(id, 60))) for id in owners]
    segments = sorted({case.segment for case in cases if case.segment})
    return Choices(sorted(named, key=lambda one: one[1].casefold()), segments)


def _with_own(known: Mapping[str, str], value: str) -> Mapping[str, str]:
    """Return the options of a filter, with the one of the address where it is none of them."""
    return known if value in known else {**known, value: value}
