"""What all pages share: templates, names of people, who looks, and how fresh the view is."""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from schemas.alerts import SEVERITIES
from schemas.config import PersonRecord
from services import wording
from services.alerts.console import words
from services.alerts.console.assets import Assets
from services.alerts.console.query import account_address, same_address
from services.alerts.console.spark import spark
from services.alerts.directory import DirectorySnapshot
from services.alerts.moments import ENDINGS
from services.alerts.person import SOMEONE, person_of
from services.alerts.ports import Desk, Directory, Reader
from services.alerts.shown import Freshness
from services.alerts.verdicts import Verdicts
from services.alerts.view import ViewAway


class Site:
    """Renders pages; one per process, safe between tasks.

    Args:
        view: What is shown.
        desk: Where actions go.
        directory: People and channels.
        now: Gives the moment, aware UTC.
        version: Of the software, for the foot of each page.
    """

    def __init__(
        self,
        view: Reader,
        desk: Desk,
        directory: Directory,
        now: Callable[[], datetime],
        version: str = "",
    ) -> None:
        self.view = view
        self.verdicts = Verdicts(view, desk)
        self.now = now
        self.assets = Assets()
        self._directory = directory
        self._version = version
        self._templates = _environment(self.assets)
        self._names = words.Names({})
        self._named: Mapping[str, PersonRecord] | None = None

    @property
    def today(self) -> date:
        """The day in UTC."""
        return self.now().astimezone(UTC).date()

    @property
    def directory(self) -> DirectorySnapshot:
        """People and channels now."""
        return self._directory.snapshot

    def names(self) -> words.Names:
        """Return the name of each person by id, cut to what a page has room for.

        They are made once for each directory: a company can have ten thousand people.
        """
        people = self.directory.people
        if people is not self._named:
            named = {id: words.cut(person.name or id, 60) for id, person in people.items()}
            self._names, self._named = words.Names(named), people
        return self._names

    async def page(
        self, request: Request, template: str, *, status: int = 200, **content: Any
    ) -> HTMLResponse:
        """Render a page, with what stands on every one.

        Args:
            request: What asks for it.
            template: Name of the template.
            status: Of the answer.
            content: What the template shows.
        """
        freshness = await self.freshness()
        return self.fragment(request, template, status=status, freshness=freshness, **content)

    def fragment(
        self, request: Request, template: str, *, status: int = 200, **content: Any
    ) -> HTMLResponse:
        """Render without asking the view for anything more.

        Args:
            request: What asks for it.
            template: Name of the template.
            status: Of the answer.
            content: What the template shows; with `me`, who looks, if the request cannot tell.

        Raises:
            BadPerson: The request names somebody who cannot be.
        """
        names = self.names()
        me = content.pop("me", None) or person_of(request)
        shared = {
            "request": request,
            "now": self.now(),
            "today": self.today,
            "names": names,
            "me": "" if me == SOMEONE else me,
            "people": names.sorted,
            "nobody_told": not self.directory.channels,
            "here": same_address(request.scope["raw_path"], request.scope["query_string"]),
            "version": self._version,
            "freshness": None,
        }
        text = self._templates.get_template(template).render(shared | content)
        return HTMLResponse(text, status, headers={"vary": "cookie, hx-request"})

    async def freshness(self) -> Freshness | None:
        """Return how fresh the view is; None where it does not even tell that."""
        try:
            return await self.view.freshness()
        except ViewAway:
            return None


def fresh_key() -> str:
    """Return an id for an action that a page offers: sent twice, it acts once."""
    return uuid.uuid4().hex


def row_id(account: str) -> str:
    """Return the id of an account's element: any character may be in an account's id."""
    return f"row-{blake2b(account.encode(errors='surrogatepass'), digest_size=8).hexdigest()}"


def _environment(assets: Assets) -> Environment:
    env = Environment(
        loader=PackageLoader("services.alerts.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals |= {
        "asset": assets.address,
        "fresh_key": fresh_key,
        "row_id": row_id,
        "account_address": account_address,
        "spark": spark,
        "words": words,
        "endings": ENDINGS,
        "severities": SEVERITIES[::-1],
    }
    env.filters |= {
        "iso": datetime.isoformat,
        "day": wording.day,
        "capital": wording.capital,
        "quantity": wording.quantity,
        "counted": wording.counted,
        "moment": _moment,
        "name": _name,
    }
    return env


def _moment(at: datetime) -> str:
    """Return a moment in words, in UTC; the script puts the reader's own time in its place."""
    utc = at.astimezone(UTC)
    return f"{wording.day(utc.date())}, {utc:%H:%M} UTC"


def _name(id: str | None, names: Mapping[str, str], nobody: str = "nobody") -> str:
    """Return a person's name, or the id of one whom the directory does not know."""
    return nobody if not id else names.get(id, words.cut(id, 60))
