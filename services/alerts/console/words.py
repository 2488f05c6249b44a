"""How ages, renewals, money, states and people stand on a page. Pure."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Final

from schemas.cases import Outcome, Verdict
from services import wording
from services.alerts.person import RESERVED, SOMEONE
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
DATA_STATES: Final[Mapping[str, str]] = {
    "ok": "judged at the end of each day",
    "warming_up": "learning: 112 days with this customer are needed first",
    "holiday": "waits: too few ordinary days in the last four weeks",
    "too_little_volume": "too little volume to tell, but for the largest falls",
    "no_data": "no data from its source: nothing is judged, nothing clears",
}
JUDGED: Final = frozenset({"ok", "warming_up", "holiday", "too_little_volume"})
"""States of a metric whose data come; all but the first are about its falls."""
WATCH: Final = "watch: falling, not yet certain"
"""Shown, never sent. Source: detection.md §1."""
RISING: Final = frozenset({"@tickets", "@tickets_high"})
"""Lines of which too much is told, and never too little."""
RISES: Final = "rises are judged at the end of each day, once 63 days with this customer are known"
"""Source: detection.md §5, a week and the eight before it."""
_LINES: Final[Mapping[str, str]] = {
    "@people": "Active people",
    "@tickets": "Tickets",
    "@tickets_high": "Urgent tickets",
    "activity": "Activity",
}
_FEATURE: Final = "@feature:"
_BEGINS: Final = re.compile(r"(?<![\w@.-])")
_ENDS: Final = re.compile(r"(?![\w@-])")
_TURNS: Final = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
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


def hours_ago(since: datetime, now: datetime) -> str:
    """Return how long ago something was that is known to the hour only.

    Args:
        since: Aware UTC; the beginning of the hour.
        now: Aware UTC.

    >>> from datetime import UTC, timedelta
    >>> now = datetime(2026, 5, 14, 12, 40, tzinfo=UTC)
    >>> [hours_ago(now - timedelta(minutes=m), now) for m in (-5, 40, 100, 60 * 24 * 8)]
    ['within the last hour', 'within the last hour', '1 h ago', '8 d ago']
    """
    told = age(since, now)
    return "within the last hour" if told == "now" or told.endswith(" min") else f"{told} ago"


def named(person: str | None) -> bool:
    """Tell whether an action was done by somebody whom a page can name.

    >>> named("ana"), named(SOMEONE), named(RESERVED), named(None)
    (True, False, False, False)
    """
    return person not in (None, "", SOMEONE, RESERVED)


def data_state(state: str, metric: str, *, falls: bool = False) -> str:
    """Return whether a metric can be judged, for somebody who asks why there is no alert.

    Args:
        state: Its data state.
        metric: Its name.
        falls: Whether it is on the watch level.

    >>> data_state("ok", "exports", falls=True)
    'watch: falling, not yet certain'

    >>> data_state("warming_up", "exports"), data_state("of_a_newer_version", "exports")
    ('learning: 112 days with this customer are needed first', 'of a newer version')
    >>> data_state("warming_up", "@tickets")
    'rises are judged at the end of each day, once 63 days with this customer are known'
    """
    if metric in RISING and state in JUDGED:
        return RISES
    if falls and state in JUDGED:
        return WATCH
    return DATA_STATES.get(state) or state.replace("_", " ")


def least_fall(state: str, metric: str, percent: int | None) -> str:
    """Return the smallest fall of a metric that shows, as far as it is known.

    Args:
        state: Whether the metric can be judged.
        metric: Its name.
        percent: The smallest fall of four weeks, whole percent; None if nobody told.

    >>> least_fall("ok", "exports", 22), least_fall("ok", "exports", None)
    ('22 % in four weeks', 'not known yet')
    >>> least_fall("too_little_volume", "exports", 71), least_fall("ok", "@tickets", 22)
    ('too little volume to tell', 'only rises are told')
    """
    if metric in RISING:
        return "only rises are told"
    if state == "too_little_volume":
        return "too little volume to tell"
    return "not known yet" if percent is None else f"{percent} % in four weeks"


def metric(name: str) -> str:
    """Return how a metric is called on a page; our own lines have names that nobody else can give.

    >>> metric("api_calls"), metric("@people"), metric("@feature:export")
    ('api_calls', 'Active people', 'Feature export')
    """
    if name.startswith(_FEATURE):
        return f"Feature {name.removeprefix(_FEATURE)}"
    return _LINES.get(name, name)


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

    What turns the direction of writing is left out: one that nobody ends turns what stands beside
    the text, too, and the `unicode-bidi: isolate` of a page ends with the first of them.
    Source: UAX #9, 2.1 to 2.5; CVE-2021-42574.

    >>> cut("abcdef", 6), cut("abcdef", 5), cut("ab\u202ecd", 6)
    ('abcdef', 'abcd…', 'abcd')
    """
    text = text.translate(_TURNS)
    return text if len(text) <= most else text[: most - 1] + "…"


class Names(dict[str, str]):
    """Names of people by id; it is not changed once it is made.

    Attributes:
        longest: Characters of the longest id.
        sorted: Ids and names, by name.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__(names)
        self.longest = max(map(len, self), default=0)
        self.sorted = sorted(self.items(), key=lambda one: one[1].casefold())


def with_names(moment: Moment, names: Names) -> str:
    """Return a moment's title with people's names in the place of their ids.

    Args:
        moment: An entry of a timeline. Titles of alerts are kept: they quote the company's data.
        names: Name of each person by id.

    >>> from datetime import UTC
    >>> at = datetime(2026, 5, 14, tzinfo=UTC)
    >>> told = Moment(n=0, at=at, type="case.assigned", by="ana", title="Ana assigned it to ben")
    >>> with_names(told, Names({"ana": "Ana Lima", "an": "An", "ben": "Ben Carter"}))
    'Ana Lima assigned it to Ben Carter'
    """
    if moment.type.startswith("alert.") or not names:
        return moment.title
    title, by = moment.title, moment.by or ""
    if by and title.startswith(wording.capital(by)):
        # Whoever begins the line stands there with a capital letter.
        title = by + title[len(by) :]
    return wording.capital(_named(title, names))


def _named(title: str, names: Names) -> str:
    """Look up what stands between two edges of words; the longest id that does is meant."""
    told, done = "", 0
    ends = [found.start() for found in _ENDS.finditer(title)][::-1]
    for found in _BEGINS.finditer(title):
        begin = found.start()
        if begin < done:
            continue
        near = (end for end in ends if begin < end <= begin + names.longest)
        end = next((end for end in near if title[begin:end] in names), None)
        if end is not None:
            told += title[done:begin] + names[title[begin:end]]
            done = end
    return told + title[done:]


def minor_units(currency: str | None) -> int:
    """Return how many minor units make a major one.

    >>> minor_units("EUR"), minor_units("JPY"), minor_units("KWD"), minor_units(None)
    (100, 1, 1000, 100)
    """
    # How many decimals a currency has stands in `wording` alone.
    return int(10 ** len(wording.money(0, currency).partition(".")[2]))
