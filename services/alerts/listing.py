"""Which cases are listed, in which order, page by page. Pure."""

import base64
import binascii
import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from schemas.alerts import SEVERITIES, Category, Severity
from services.alerts.shown import CaseShown, CaseState

Sort = Literal["rank", "age", "renewal", "arr", "changed"]

WEIGHTS: Final[Mapping[Severity, float]] = MappingProxyType(
    {"info": 1, "low": 2, "medium": 4, "high": 8, "critical": 16}
)
UNKNOWN_ARR: Final = 1_000_000
"""Minor units that an account of unknown revenue counts for: 10,000.00, a small customer."""
LEAST_ARR: Final = 10_000
"""Minor units that everybody counts for, so that severity orders accounts without revenue, too."""
NEAR_DAYS: Final = 30
"""So many days before the renewal half of what its nearness adds is left."""
NEAR_GAIN: Final = 3.0
"""On its day a renewal makes a case four times as urgent as one that never comes."""
UNKNOWN_DAYS: Final = 180
"""Days to an unknown renewal: on average half of a contract of one year."""
CURSOR_LIMIT: Final = 8_000
"""Characters of a cursor."""

Key = tuple[float | int, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which cases are wanted; an empty set, an empty text and None ask for nothing in particular.

    Attributes:
        state: States.
        owner: Ids of people who own the account or to whom the case is assigned; `""` stands for
            nobody.
        severity: Severities of the case.
        segment: Segments; `""` stands for none.
        category: Risk categories, of any alert of the case.
        rule: Ids of rules, of any alert of the case.
        min_arr: At least so much, minor units; a case of unknown revenue is left out.
        max_arr: At most so much, minor units; a case of unknown revenue is left out.
        renewal_before: Renews before that day and not before today; unknown is left out.
        q: Part of the id or of the name, in any case.
    """

    state: frozenset[CaseState] = frozenset()
    owner: frozenset[str] = frozenset()
    severity: frozenset[Severity] = frozenset()
    segment: frozenset[str] = frozenset()
    category: frozenset[Category] = frozenset()
    rule: frozenset[str] = frozenset()
    min_arr: int | None = None
    max_arr: int | None = None
    renewal_before: date | None = None
    q: str = ""

    def takes(self, case: CaseShown, today: date) -> bool:
        """Tell whether a case is wanted.

        Args:
            case: The case.
            today: The day on which it is asked.
        """
        return (
            (not self.state or case.state in self.state)
            and (not self.owner or not self.owner.isdisjoint(_people(case)))
            and (not self.severity or case.severity in self.severity)
            and (not self.segment or (case.segment or "") in self.segment)
            and (not self.category or any(one.category in self.category for one in case.alerts))
            and (not self.rule or any(one.rule in self.rule for one in case.alerts))
            and self._takes_arr(case.arr)
            and self._takes_renewal(case.renewal_on, today)
            and (not self.q or self._takes_text(case))
        )

    def _takes_arr(self, arr: int | None) -> bool:
        if self.min_arr is None and self.max_arr is None:
            return True
        if arr is None or (self.min_arr is not None and arr < self.min_arr):
            return False
        return self.max_arr is None or arr <= self.max_arr

    def _takes_renewal(self, renewal: date | None, today: date) -> bool:
        if self.renewal_before is None:
            return True
        return renewal is not None and today <= renewal < self.renewal_before

    def _takes_text(self, case: CaseShown) -> bool:
        wanted = self.q.strip().casefold()
        return wanted in case.account.casefold() or wanted in (case.name or "").casefold()


def _people(case: CaseShown) -> list[str]:
    return [one for one in (case.assignee, case.owner) if one is not None] or [""]


@dataclass(frozen=True, slots=True)
class BadCursor:
    """A cursor that this list never gave: a value, so that the caller can name the field.

    Attributes:
        detail: What is wrong with it, and the remedy.
        field: Where it stands.
    """

    detail: str
    field: str = "cursor"


@dataclass(frozen=True, slots=True)
class CasePage:
    """One page of a list.

    Attributes:
        items: The cases, in order.
        next: Cursor of the following page; None on the last one.
        total: How many cases the filter finds on all pages.
    """

    items: list[CaseShown]
    next: str | None
    total: int


def rank(case: CaseShown, today: date) -> float:
    """Return how urgent a case is: severity × revenue × nearness of the renewal.

    More is more urgent; it grows with severity and revenue, and as the renewal comes nearer.
    Revenue counts in hundreds of minor units as it stands: a company reports in one currency.

    | severity | weight | | renewal in days | nearness `1 + 3 · 30 / (30 + days)` |
    |---|---|---|---|---|
    | critical | 16 | | 0 | 4 |
    | high | 8 | | 30 | 2.5 |
    | medium | 4 | | 90 | 1.75 |
    | low | 2 | | 180, unknown, or past | 1.43 |
    | info | 1 | | 365 | 1.23 |

    A renewal that is past says that nobody has told the next one: it counts as unknown. Unknown
    revenue counts as 10,000.00; 100.00 are added to everybody's, so that accounts without any
    are ordered by severity.

    Args:
        case: The case.
        today: The day from which the renewal is counted.

    Source:
        channels-and-console.md, "Ranked list": risk × ARR × days to renewal. The numbers are
        choices: a renewal in a month outweighs one step of severity, no more.

    >>> at = datetime(2026, 5, 1)
    >>> case = CaseShown(account="a", state="open", version=1, severity="high", arr=1_200_000,
    ...     renewal_on=date(2026, 5, 31), opened_at=at, changed_at=at)
    >>> rank(case, date(2026, 5, 1))
    242000.0
    """
    arr = UNKNOWN_ARR if case.arr is None else max(case.arr, 0)
    days = UNKNOWN_DAYS
    if case.renewal_on is not None and case.renewal_on >= today:
        days = (case.renewal_on - today).days
    nearness = 1 + NEAR_GAIN * NEAR_DAYS / (NEAR_DAYS + days)
    return WEIGHTS[case.severity] * ((arr + LEAST_ARR) / 100) * nearness


def page(
    cases: Iterable[CaseShown],
    wanted: Filter,
    sort: Sort,
    today: date,
    cursor: str | None,
    limit: int,
) -> CasePage | BadCursor:
    """Return one page of the cases that a filter finds, in one order.

    `rank`: the most urgent first · `age`: the longest open first · `renewal`: the nearest first,
    then those that are past, then unknown ones · `arr`: the greatest first, unknown last ·
    `changed`: the newest change first. What is equal stands by account id.

    A page begins after the place of the last case of the page before, whether or not that case
    still is there: what changes in between neither shifts the others nor repeats them; only a
    case that itself moves to the other side of that place is seen twice or not at all. The order
    stays that of the day on which the first page was asked.

    Args:
        cases: All cases there are.
        wanted: Which of them are listed.
        sort: Their order.
        today: The day from which renewals are counted.
        cursor: `next` of the page before; None for the first page.
        limit: Cases of a page, >= 1.
    """
    after: tuple[Key, str] | None = None
    if cursor is not None:
        place = _read(cursor, sort)
        if isinstance(place, BadCursor):
            return place
        after, today = (tuple(place.key), place.account), place.today
    key = _KEYS[sort]
    found = [
        ((key(case, today), case.account), case) for case in cases if wanted.takes(case, today)
    ]
    rest = found if after is None else [one for one in found if one[0] > after]
    best = heapq.nsmallest(limit, rest, key=lambda one: one[0])
    following = None
    if len(rest) > len(best):
        (last, account), _ = best[-1]
        following = _write(_Place(sort, today, list(last), account))
    return CasePage([case for _, case in best], following, len(found))


def _by_renewal(case: CaseShown, today: date) -> Key:
    if case.renewal_on is None:
        return (2, 0)
    days = (case.renewal_on - today).days
    return (0, days) if days >= 0 else (1, -days)


def _micros(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)


_KEYS: Final[Mapping[Sort, Callable[[CaseShown, date], Key]]] = {
    "rank": lambda case, today: (-rank(case, today), -SEVERITIES.index(case.severity)),
    "age": lambda case, _: (_micros(case.opened_at), 0),
    "renewal": _by_renewal,
    "arr": lambda case, _: (1, 0) if case.arr is None else (0, -case.arr),
    "changed": lambda case, _: (-_micros(case.changed_at), 0),
}


class _Place(msgspec.Struct, array_like=True, frozen=True):
    """After which case a page begins."""

    sort: str
    today: date
    key: list[int | float]
    account: str


_decode = msgspec.json.Decoder(_Place).decode
_BAD: Final = "it is none that this list gave; leave it out to begin with the first page"


def _write(place: _Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _read(cursor: str, sort: Sort) -> _Place | BadCursor:
    if len(cursor) > CURSOR_LIMIT:
        return BadCursor(_BAD)
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        place = _decode(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        return BadCursor(_BAD)
    if len(place.key) != 2:
        return BadCursor(_BAD)
    if place.sort != sort:
        return BadCursor(f"it is of a list sorted by {place.sort[:20]}, not by {sort}: begin anew")
    return place
