"""How one figure of an alert's evidence is told, by what it counts. Pure."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final, NamedTuple

from services import wording
from services.alerts.console import words
from services.wording import counted, listed, percent, quantity

Because = Mapping[str, Any]

SURE: Final = 0.999
"""A probability above which more digits say no more."""

_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.Z+-]+)?$", re.ASCII)
_UNITS: Final = {
    "@tickets": ("ticket", "tickets"),
    "@tickets_high": ("urgent ticket", "urgent tickets"),
    "@people": ("person-day", "person-days"),
}
"""What is counted in our own lines; of a metric nobody tells us more than that it has units."""


class Evidence(NamedTuple):
    """What an alert is, and why.

    Attributes:
        kind: The alert's kind.
        object: What it is about.
        because: The evidence.
    """

    kind: str
    object: str
    because: Because

    def number(self, key: str) -> float | None:
        """Return a number of the evidence; None where there is none."""
        value = self.because.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return value if is_number else None


Tell = Callable[[Evidence, str], str]
"""Tells a key of an evidence; nothing where it says nothing."""


def amount(of: Evidence, key: str) -> str:
    """Tell how much of what the alert is about."""
    return _with(of.number(key), *_UNITS.get(of.object, ("unit", "units")))


def many(one: str, more: str | None = None) -> Tell:
    """Return what tells a number of something, such as days."""

    def tell(of: Evidence, key: str) -> str:
        return _with(of.number(key), one, more or f"{one}s")

    return tell


def out_of(whole: str | int, one: str) -> Tell:
    """Return what tells a number of all that there are.

    Args:
        whole: The key of how many there are or of the list of them, or that number.
        one: What they are.
    """

    def tell(of: Evidence, key: str) -> str:
        value = of.number(key)
        among = of.because.get(whole) if isinstance(whole, str) else whole
        if value is None or not isinstance(among, int | list):
            return ""
        most = len(among) if isinstance(among, list) else among
        return f"{value:,.0f} of {counted(most, one)}"

    return tell


def _with(value: float | None, one: str, more: str) -> str:
    if value is None:
        return ""
    told = quantity(abs(value))
    return f"{wording.MINUS if value < 0 else ''}{told} {one if value == 1 else more}"


def share(of: Evidence, key: str) -> str:
    """Tell a share of 1."""
    value = of.number(key)
    return "" if value is None else percent(value)


def swing(of: Evidence, key: str) -> str:
    """Tell what may be more or less."""
    told = share(of, key)
    return f"±{told}" if told else ""


def certainty(of: Evidence, key: str) -> str:
    """Tell a probability that is near 1."""
    value = of.number(key)
    if value is None:
        return ""
    return f"over {100 * SURE:.1f} %" if value > SURE else f"{100 * value:.1f} %"


def chance(of: Evidence, key: str) -> str:
    """Tell a probability that is near 0."""
    value = of.number(key)
    return "" if value is None else f"{100 * value:.2g} %"


def rarity(of: Evidence, key: str) -> str:
    """Tell in how many weeks something comes once, where the record says so at all."""
    if key not in of.because:
        return ""
    weeks = of.number(key)
    return "hardly ever" if weeks is None else f"about once in {float(f'{weeks:.2g}'):,.0f} weeks"


def asked_rarity(of: Evidence, key: str) -> str:
    """Tell from which rarity on the rule reports."""
    weeks = of.number(key)
    return "" if weeks is None else f"once in {weeks:,.0f} weeks"


def times(of: Evidence, key: str) -> str:
    """Tell how many times what is usual."""
    return _with(of.number(key), "time", "times")


def deviations(of: Evidence, key: str) -> str:
    """Tell how far from chance."""
    value = of.number(key)
    return "" if value is None else f"{value:.1f} standard deviations"


def logs(of: Evidence, key: str) -> str:
    """Tell a ratio of likelihoods."""
    value = of.number(key)
    return "" if value is None else f"{quantity(abs(value))} log units"


def change(of: Evidence, key: str) -> str:
    """Tell by how much a ratio differs from 1."""
    ratio = of.number(key)
    return "" if ratio is None else signed(ratio - 1)


def loss(of: Evidence, key: str) -> str:
    """Tell by how much something is less, of a share that is lost."""
    value = of.number(key)
    return "" if value is None else signed(-value)


def other_window(of: Evidence, key: str) -> str:
    """Tell the second of the two windows that a fall is looked for in."""
    return change(of, key) if of.because.get(key) != of.because.get("ratio") else ""


def interval(of: Evidence, key: str) -> str:
    """Tell between which bounds a change lies."""
    low, high = of.because.get(key) or (None, None)
    if low is None or high is None:
        return ""
    # The lower edge may be none: what is left of next to nothing is within the range.
    least = signed(-1) if low < 0.005 else signed(low - 1)
    return f"{least} to {signed(high - 1)}"


def signed(value: float) -> str:
    """Return a change in percent with its sign."""
    return f"{'+' if value > 0 else ''}{percent(value)}"


def day(of: Evidence, key: str) -> str:
    """Tell a date."""
    iso = of.because.get(key)
    return wording.day(date.fromisoformat(iso[:10])) if isinstance(iso, str) else ""


def span(of: Evidence, key: str) -> str:
    """Tell a stretch of days, and how many of them counted."""
    found = of.because.get(key)
    if not isinstance(found, Mapping):
        return ""
    told = wording.days(date.fromisoformat(found["from"]), date.fromisoformat(found["to"]))
    if "days_used" not in found:
        return told
    return f"{told}, {counted(found['days_used'], 'day')} counted"


def metrics(of: Evidence, key: str) -> str:
    """Tell which metrics were counted, by the names that people know."""
    return ", ".join(words.metric(str(name)) for name in of.because.get(key) or ())


def numbers(of: Evidence, key: str) -> str:
    """Tell several amounts; of those that are not known nothing."""
    known = [quantity(value) for value in of.because.get(key) or () if value is not None]
    return listed(known) if known else ""


def features_gone(of: Evidence, key: str) -> str:
    """Tell features, and when each was used last."""
    gone = of.because.get(key) or ()
    told = [f"{one['feature']} (last on {plain(one['last_used'])})" for one in gone]
    return listed(told) if told else ""


def features_fallen(of: Evidence, key: str) -> str:
    """Tell features, and what is left of each."""
    worst = of.because.get(key) or ()
    told = [
        f"{one['feature']} ({quantity(one['observed'])} of {quantity(one['expected'])} usual)"
        for one in worst
    ]
    return listed(told) if told else ""


def seats_asked(of: Evidence, key: str) -> str:
    """Tell from how many people on the rule reports."""
    told = many("person", "people")(of, key)
    low = (of.because.get("thresholds_in_force") or {}).get("side") == "low"
    return f"{told} or {'fewer' if low else 'more'}" if told else ""


def before(of: Evidence, key: str) -> str:
    """Tell what came of earlier alerts of the rule."""
    history = of.because.get(key)
    if not isinstance(history, Mapping):
        return ""
    last, votes = history.get("last_alert"), history.get("false_alarm_votes")
    told = [f"the last one on {plain(last)}"] if last else ["none"]
    return "; ".join(told + ([f"called false {counted(int(votes), 'time')}"] if votes else []))


def told_elsewhere(of: Evidence, key: str) -> str:
    """Tell since when a fall has been a part of one that many share."""
    found = of.because.get(key)
    return f"since about {plain(found['since'])}" if isinstance(found, Mapping) else ""


def money(of: Evidence, key: str) -> str:
    """Tell an amount of money with its currency."""
    value = of.because.get(key)
    return wording.money(value, of.because.get("currency")) if isinstance(value, int) else ""


def value(of: Evidence, key: str) -> str:
    """Tell whatever it is, by its kind."""
    return plain(of.because.get(key))


def plain(told: object) -> str:
    """Return any value as a person reads it, empty for none."""
    if isinstance(told, str) and _ISO.match(told):
        return wording.day(date.fromisoformat(told[:10]))
    if isinstance(told, bool):
        return "yes" if told else "no"
    if isinstance(told, float):
        return f"{told:,.3g}" if abs(told) < 1_000 else f"{told:,.0f}"
    if isinstance(told, int):
        return f"{told:,}"
    if isinstance(told, Mapping):
        return "; ".join(f"{name}: {plain(one)}" for name, one in told.items())
    if isinstance(told, list | tuple):
        return listed([plain(one) for one in told]) if told else ""
    return "" if told is None else str(told)
