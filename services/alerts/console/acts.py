"""What people do on the console's pages: forms in, a page to look at next out."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from schemas.cases import Action
from services.alerts.acting import Acknowledge, action_key, to_action
from services.alerts.console.answers import AT_ONCE_SAID
from services.alerts.console.forms import BadForm, Form, action_of, last, read_form
from services.alerts.console.query import account_address, local_path, with_pairs
from services.alerts.console.site import Site, fresh_key
from services.alerts.person import person_of, remember_person
from services.alerts.shown import AccountPage
from services.alerts.view import ViewAway

AT_ONCE: Final = 100
"""Cases that one form acknowledges; a page of the inbox has 50."""

_ACKNOWLEDGE: Final = Acknowledge(type="acknowledge")


def act_routes(site: Site, router: APIRouter) -> None:
    """Add what forms are sent to.

    Args:
        site: Knows where actions go.
        router: Takes the routes.
    """

    @router.post("/accounts/{account:path}")
    async def act(request: Request, account: str) -> Response:
        return await _act(site, request, account)

    @router.post("/accounts")
    async def act_on(request: Request) -> Response:
        return await _act(site, request, request.query_params.get("id", ""))

    @router.post("/acknowledge")
    async def acknowledge(request: Request) -> Response:
        form = await read_form(request)
        accounts = list(dict.fromkeys(form.get("account", ())))
        if not 0 < len(accounts) <= AT_ONCE:
            raise BadForm(f"choose 1 to {AT_ONCE} accounts; {len(accounts)} were chosen")
        became = await _acknowledge(site, request, form, accounts)
        return _see(_back(request, form, accounts, became))

    @router.post("/me")
    async def me(request: Request) -> Response:
        form = await read_form(request)
        person = last(form, "person")
        if person and person not in site.directory.people:
            raise BadForm(f"{person[:60]!r} is nobody of directory.toml")
        answer = _see(local_path(last(form, "back")))
        remember_person(answer, person, secure=request.url.scheme == "https")
        return answer


async def _act(site: Site, request: Request, account: str) -> Response:
    form = await read_form(request)
    action = action_of(
        form,
        await _page(site, account) if last(form, "until") == "renewal" else None,
        site.directory.people,
        account=account,
        by=person_of(request),
        now=site.now(),
        fresh=fresh_key(),
    )
    answer = await site.verdicts.on(action)
    pairs = [("action", answer.id), ("did", last(form, "type"))]
    if last(form, "from") == "inbox":
        return _see(_back(request, form, [account], [*pairs, ("of", account)]))
    return _see(with_pairs(account_address(account), pairs))


async def _page(site: Site, account: str) -> AccountPage | None:
    try:
        return await site.view.account(account)
    except ViewAway:
        return None


async def _acknowledge(
    site: Site, request: Request, form: Form, accounts: Sequence[str]
) -> list[tuple[str, str]]:
    """Acknowledge several cases; return how many of them became what, for the address."""
    by, at = person_of(request), site.now()
    key = action_key(last(form, "key") or None, fresh_key())

    def acknowledge(account: str) -> Action:
        # Each has an id of its own made of the form's: the form sent twice acts once.
        id = uuid5(NAMESPACE_URL, f"{key}\n{account}").hex
        return to_action(_ACKNOWLEDGE, case=account, key=id, by=by, at=at, seen=None)

    # All of them are checked before the first one acts.
    actions = [acknowledge(account) for account in accounts]
    answers = await asyncio.gather(*map(site.verdicts.on, actions))
    became = Counter(AT_ONCE_SAID[answer.status] for answer in answers)
    return [(name, str(number)) for name, number in sorted(became.items())]


def _back(
    request: Request, form: Form, accounts: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> str:
    """Return where the inbox goes on: the whole page, or for its script only these rows."""
    back = local_path(last(form, "back"))
    if "hx-request" not in request.headers:
        return with_pairs(back, pairs)
    query = back.partition("?")[2]
    rows = [("account", one) for one in accounts]
    return with_pairs(f"/rows?{query}" if query else "/rows", [*rows, *pairs])


def _see(address: str) -> RedirectResponse:
    """Answer a form with the page to look at. Source: RFC 9110 §15.4.4 (See Other)."""
    return RedirectResponse(address, 303)
