"""What the address of the inbox asks for, and the address of the same with something changed. Pure.

Every filter stands in the address, so that a view can be a bookmark, or be sent to a colleague.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final, get_args
from urllib.parse import quote, unquote, urlencode

from schemas.alerts import SEVERITIES, Severity
from services.alerts.listing import Filter, Sort
from services.alerts.shown import CaseState

PAGE: Final = 50
"""Cases of one page."""

TABS: Final[Mapping[str, frozenset[CaseState]]] = {
    "open": frozenset({"open"}),
    "acknowledged": frozenset({"acknowledged"}),
    "snoozed": frozenset({"snoozed"}),
    "all": frozenset({"open", "acknowledged", "snoozed"}),
    "resolved": frozenset({"resolved"}),
}
ARR_BANDS: Final[Mapping[str, str]] = {
    "": "Any ARR",
    "0-10000": "Under 10k",
    "10000-50000": "10k to 50k",
    "50000-250000": "50k to 250k",
    "250000-": "250k and more",
}
"""Bands in major units, as they stand in the address; any other `from-to` works as well."""
RENEWALS: Final[Mapping[str, str]] = {
    "": "Any renewal",
    "30": "Within 30 days",
    "90": "Within 90 days",
    "180": "Within 180 days",
}
SORTS: Final[Mapping[Sort, str]] = {
    "rank": "Most urgent",
    "renewal": "Next renewal",
    "arr": "Largest ARR",
    "age": "Oldest",
    "changed": "Last changed",
}
MINOR: Final = 100
"""Minor units of a major one, as most currencies have it."""
FURTHEST: Final = 3_660
"""Days to a renewal that can be asked for: ten years."""

ADDRESS_LIMIT: Final = 4_000
"""Characters of an address to go back to; an id of 200, every one encoded, takes 2,400."""

_FIELDS: Final = ("state", "owner", "severity", "segment", "arr", "renewal", "sort", "q", "after")


class BadQuery(ValueError):
    """A field of the address that nobody can follow.

    Args:
        field: Its name.
        detail: What is wrong with it, and what would be right.
    """

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field


@dataclass(frozen=True, slots=True)
class Query:
    """What the inbox shall show.

    Attributes:
        state: A tab.
        owner: A person's id, `me`, or `nobody`; empty for anybody.
        severity: Severities; none for any.
        segment: A segment, or empty.
        arr: A band `from-to` in major units, or empty.
        renewal: Renews within so many days, or empty.
        sort: The order.
        q: Part of a name or an id.
        after: Cursor of the page.
    """

    state: str = "open"
    owner: str = ""
    severity: tuple[Severity, ...] = ()
    segment: str = ""
    arr: str = ""
    renewal: str = ""
    sort: Sort = "rank"
    q: str = ""
    after: str = ""

    @property
    def narrowed(self) -> bool:
        """Whether anything but tab and order is asked for."""
        plain = Query(state=self.state, sort=self.sort, after=self.after)
        return self != plain

    def address(self, **changed: object) -> str:
        """Return the inbox's address with some fields changed; the first page of it.

        Args:
            changed: Fields and their new values.
        """
        one = replace(self, **{"after": "", **changed})  # type: ignore[arg-type]
        default = Query()
        pairs = [
            (name, value)
            for name in _FIELDS
            if (held := getattr(one, name)) != getattr(default, name)
            for value in (held if isinstance(held, tuple) else (held,))
        ]
        return f"/?{urlencode(pairs)}" if pairs else "/"

    def with_severity(self, severity: Severity) -> str:
        """Return the address with a severity added, or taken away if it is asked for."""
        asked = set(self.severity) ^ {severity}
        return self.address(severity=tuple(one for one in SEVERITIES[::-1] if one in asked))

    def wanted(
        self,
        me: str,
        today: date,
        state: frozenset[CaseState] | None = None,
        minor: int = MINOR,
    ) -> Filter:
        """Return it as `listing` asks for it.

        Args:
            me: Id of the person who looks.
            today: In UTC.
            state: In place of the tab's states.
            minor: Minor units of a major one of the company's currency, in which bands are.
        """
        low, high = _band(self.arr, minor)
        owner = {"me": me, "nobody": ""}.get(self.owner, self.owner)
        return Filter(
            state=TABS[self.state] if state is None else state,
            owner=frozenset({owner} if self.owner else ()),
            severity=frozenset(self.severity),
            segment=frozenset({self.segment} if self.segment else ()),
            min_arr=low,
            max_arr=high,
            renewal_before=today + timedelta(days=int(self.renewal) + 1) if self.renewal else None,
            q=self.q,
        )


def read(pairs: Iterable[tuple[str, str]]) -> Query:
    """Read the inbox's address; fields that it does not know are passed over.

    Args:
        pairs: Names and values, repeated names one by one.

    Raises:
        BadQuery: Names the first field that cannot be followed.

    >>> read([("severity", "high"), ("severity", "critical"), ("utm", "mail")]).severity
    ('critical', 'high')
    """
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value.strip())
    last = {name: values[-1] for name, values in given.items()}
    severities = [one for one in given.get("severity", ()) if one]
    query = Query(
        state=_one_of("state", last.get("state") or "open", TABS),
        owner=last.get("owner", "")[:200],
        severity=tuple(one for one in SEVERITIES[::-1] if one in severities),
        segment=last.get("segment", "")[:200],
        arr=last.get("arr", ""),
        renewal=last.get("renewal", ""),
        sort=_one_of("sort", last.get("sort") or "rank", get_args(Sort)),  # type: ignore[arg-type]
        q=last.get("q", "")[:200],
        after=last.get("after", ""),
    )
    for severity in severities:
        _one_of("severity", severity, SEVERITIES)
    _band(query.arr, MINOR)
    _renewal(query.renewal)
    return query


def account_address(account: str) -> str:
    """Return the address of an account's page, whatever characters its id has.

    A browser takes `.` and `..` of a path for folders, even encoded; such ids go into the query.
    Source: WHATWG URL, 4.4.

    >>> account_address("acme/eu 1"), account_address(".."), account_address("a?b#c")
    ('/accounts/acme%2Feu%201', '/accounts?id=..', '/accounts/a%3Fb%23c')
    """
    if account in (".", "..") or not account.strip("/"):
        return f"/accounts?id={quote(account, safe='')}"
    return f"/accounts/{quote(account, safe='')}"


def local_path(text: str) -> str:
    """Return an address to go back to if it is one of ours, else the inbox.

    One with `.` or `..` for a folder is none: a browser would ask for another page.

    >>> local_path("/?q=a"), local_path("//evil.example"), local_path("/a/%2E./me"), local_path("")
    ('/?q=a', '/', '/', '/')
    """
    path = text.partition("?")[0]
    ours = text.startswith("/") and not text.startswith("//") and text.isprintable()
    plain = "\\" not in path and not {".", ".."} & {unquote(part) for part in path.split("/")}
    return text if ours and plain and len(text) <= ADDRESS_LIMIT else "/"


def same_address(path: bytes, query: bytes) -> str:
    """Return the address that was asked for, as a page may offer it again.

    Args:
        path: As it came, percent-encoded: decoded, `a%2Fb` would be another account than it was.
        query: As it came.

    >>> same_address(b"/accounts/50%2F", b"x=a%26b"), same_address(b"/a/../me", b"")
    ('/accounts/50%2F?x=a%26b', '/')
    """
    known = "!$%&'()*+,;=:@/?~"
    text = quote(path, safe=known) + (f"?{quote(query, safe=known)}" if query else "")
    return local_path(text)


def with_pairs(address: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Return an address with more in its query.

    >>> with_pairs("/accounts/a?x=1", [("action", "k 1")])
    '/accounts/a?x=1&action=k+1'
    """
    path, mark, query = address.partition("?")
    return f"{path}?{query}{'&' if mark and query else ''}{urlencode(pairs)}"


def _one_of(field: str, value: str, known: Iterable[str]) -> str:
    if value not in known:
        raise BadQuery(field, f"{value[:40]!r} is none of {', '.join(known)}")
    return value


def _renewal(text: str) -> None:
    known = text.isascii() and text.isdecimal() and len(text) <= len(str(FURTHEST))
    if text and not (known and int(text) <= FURTHEST):
        raise BadQuery(
            "renewal", f"{text[:40]!r} is no number of days from 0 to {FURTHEST}, such as 90"
        )


def _band(text: str, minor: int) -> tuple[int | None, int | None]:
    """Return a band's bounds in minor units; the upper one is not part of it."""
    if not text:
        return None, None
    low, dash, high = text.partition("-")
    for part in (low, high):
        if not dash or not part.isascii() or (part and not part.isdecimal()) or len(part) > 15:
            raise BadQuery("arr", f"{text[:40]!r} is no band, such as 10000-50000 or 250000-")
    return (
        int(low) * minor if low else None,
        int(high) * minor - 1 if high else None,
    )
