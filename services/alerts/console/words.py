"""How ages, renewals, money, states and people stand on a page. Pure."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Final

from schemas.cases import Outcome, Verdict
from services import wording
from services.alerts.shown import CaseState, Moment

STATES: Final[Mapping[CaseState, str]] = {
    "open": "Open",
    "acknowledged": "Acknowledged",
    "snoozed": "Snoozed",
    "resolved": "Resolved",
}
OUTCOMES: Final[Mapping[Outcome, str]] = {
    "saved": "Saved",
    "churned": "Churned",
    "false_alarm": "False alarm",
    "expected": "Expected, nothing to do",
}
VERDICTS: Final[Mapping[Verdict, str]] = {
    "useful": "Useful",
    "false_alarm": "False alarm",
    "known": "Known already",
    "too_late": "Too late",
}
_SPANS: Final = ((60, "min", 60), (3_600, "h", 24), (86_400, "d", 99), (604_800, "wk", 10**6))


def age(since: datetime, now: datetime) -> str:
    """Return how long ago something was, in one unit, as short as a column asks.

    Args:
        since: Aware UTC; a moment ahead of `now` (another machine's clock) counts as now.
        now: Aware UTC.

    >>> from datetime import UTC, timedelta
    >>> now = datetime(2026, 5, 14, 12, tzinfo=UTC)
    >>> [age(now - timedelta(seconds=s), now) for s in (-5, 59, 60, 7_200, 86_400 * 40)]
    ['now', 'now', '1 min', '2 h', '40 d']
    >>> age(now - timedelta(days=365), now)
    '52 wk'
    """
    seconds = (now - since).total_seconds()
    for size, unit, most in _SPANS:
        if seconds < size:
            return "now"
        if seconds < size * most:
            return f"{int(seconds // size)} {unit}"
    return "for ever"


def due(on: date, today: date) -> str:
    """Return how far a date is away.

    >>> [due(date(2026, 5, day), date(2026, 5, 14)) for day in (2, 13, 14, 15, 31)]
    ['12 days ago', 'yesterday', 'today', 'tomorrow', 'in 17 days']
    """
    days = (on - today).days
    near = {-1: "yesterday", 0: "today", 1: "tomorrow"}.get(days)
    return near or (f"in {days:,} days" if days > 0 else f"{-days:,} days ago")


def short_money(minor: int, currency: str | None) -> str:
    """Return an amount as a column asks: three digits or so, and its currency.

    Args:
        minor: Minor units of the currency.
        currency: ISO 4217; None if nobody told.

    >>> [short_money(cents, "EUR") for cents in (0, 95_000, 840_000, 4_849_900, 124_000_000)]
    ['EUR 0', 'EUR 950', 'EUR 8,400', 'EUR 48k', 'EUR 1.24M']
    >>> short_money(120_000, "JPY"), short_money(99_999_900, "EUR"), short_money(500, None)
    ('JPY 120k', 'EUR 1M', '5')
    """
    code, major = _major(minor, currency)
    size = abs(major)
    if size < 10_000:
        text = f"{size:,}"
    elif size < 999_500:
        text = f"{round(size / 1_000):,}k"
    else:
        text = f"{float(f'{size / 1_000_000:.3g}'):,g}M"
    return f"{code}{wording.MINUS if major < 0 else ''}{text}"


def whole_money(minor: int, currency: str | None) -> str:
    """Return an amount in full, without its minor units.

    >>> whole_money(124_000_050, "EUR"), whole_money(-500, None)
    ('EUR 1,240,000', '−5')
    """
    code, major = _major(minor, currency)
    return f"{code}{wording.MINUS if major < 0 else ''}{abs(major):,}"


def _major(minor: int, currency: str | None) -> tuple[str, int]:
    """Return the currency with a space, and the whole major units, towards zero."""
    # How many minor units make a major one stands in `wording` alone.
    text = wording.money(minor, currency)
    code, number = text.rsplit(" ", 1) if " " in text else ("", text)
    digits = number.partition(".")[0].replace(",", "").replace(wording.MINUS, "-")
    return f"{code} " if code else "", int(digits)


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters, with a sign that something is missing.

    >>> cut("abcdef", 6), cut("abcdef", 5)
    ('abcdef', 'abcd…')
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def with_names(moment: Moment, names: Mapping[str, str]) -> str:
    """Return a moment's title with people's names in the place of their ids.

    Args:
        moment: An entry of a timeline. Titles of alerts are kept: they quote the company's data.
        names: Name of each person by id.

    >>> from datetime import UTC
    >>> at = datetime(2026, 5, 14, tzinfo=UTC)
    >>> told = Moment(n=0, at=at, type="case.assigned", by="ana", title="Ana assigned it to ben")
    >>> with_names(told, {"ana": "Ana Lima", "an": "An", "ben": "Ben Carter"})
    'Ana Lima assigned it to Ben Carter'
    """
    if moment.type.startswith("alert.") or not names:
        return moment.title
    title, by = moment.title, moment.by or ""
    if by and title.startswith(wording.capital(by)):
        # Whoever begins the line stands there with a capital letter.
        title = by + title[len(by) :]
    ids = sorted(names, key=len, reverse=True)
    pattern = rf"(?<![\w@.-])({'|'.join(map(re.escape, ids))})(?![\w@-])"
    return wording.capital(re.sub(pattern, lambda found: names[found[1]], title))
