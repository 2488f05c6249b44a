"""Phrases that several explanations share: dates of a record, stretches of days left out."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from math import exp, log
from typing import Any

from services import wording
from services.wording import capital, listed, percent, quantity

Because = Mapping[str, Any]
Ended = str | None
"""Why an alert is over, as its record says: empty while it is open, None where nobody says."""

STANDS = "It has stood for so long that it counts as usual from now on."
ACCEPTED = "Somebody has said that this is usual from now on."
STOOD = {"new_normal": STANDS, "accepted": ACCEPTED}
"""What is said of what is not over though its alert has ended, by the reason."""
LATE = "Data that came late take this back."
"""What is said of an alert that was withdrawn."""

FEATURE = "@feature:"
"""Prefix of an object that is a tracked feature."""

MASKED_SPANS = 4
"""Stretches of left-out days that a paragraph names; of more it says how many days they are."""

TIMES = 1000
"""How many times better an explanation is, above which a greater number says no more."""

NOTHING_LEFT = 0.005
"""Share of what is usual that rounds to nothing."""


def day(iso: str) -> str:
    """Return the date of an ISO date or time in words."""
    return wording.day(date.fromisoformat(iso[:10]))


def days(window: Because) -> str:
    """Return a stretch with `from` and `to` in words."""
    return wording.days(date.fromisoformat(window["from"]), date.fromisoformat(window["to"]))


def length(window: Because) -> int:
    """Return how many calendar days a stretch with `from` and `to` has, both included."""
    return (date.fromisoformat(window["to"]) - date.fromisoformat(window["from"])).days + 1


def left_out(because: Because) -> list[str]:
    """Say which days of the window did not count, and why."""
    masked = [_masked(one) for one in because.get("masked_days", ())]
    if not masked:
        return []
    spans = list(_spans(masked))
    if len(spans) > MASKED_SPANS:
        reasons = sorted({reason for _, _, reason in spans if reason})
        why = f" ({', '.join(reasons)})" if reasons else ""
        return [f"{len(masked)} days{why} were left out."]
    told = [_span(first, last, reason) for first, last, reason in spans]
    return [f"{listed(told)} {'was' if len(masked) == 1 else 'were'} left out."]


def _masked(one: str | Because) -> tuple[date, str]:
    if isinstance(one, str):
        return date.fromisoformat(one), ""
    return date.fromisoformat(one["date"]), str(one["reason"])


def _spans(masked: Sequence[tuple[date, str]]) -> Iterable[tuple[date, date, str]]:
    """Yield stretches of following days with one reason."""
    first = masked[0][0]
    for (day, reason), (after, why) in pairwise([*masked, (date.max, "")]):
        if after - day != timedelta(days=1) or why != reason:
            yield first, day, reason
            first = after


def _span(first: date, last: date, reason: str) -> str:
    return wording.days(first, last) + (f" ({reason})" if reason else "")


def usage(metric: str) -> str:
    """Return what a metric counts, as it stands inside of a sentence."""
    if metric == "@people":
        return "active people"
    if metric.startswith(FEATURE):
        return f"use of feature {metric.removeprefix(FEATURE)}"
    return "usage" if metric == "usage" else f"usage ({metric})"


def total(metric: str) -> str:
    """Return how a sentence about the sum of a metric begins."""
    if metric == "@people":
        return "Active people, counted once a day, were"
    return f"{capital(usage(metric))} was"


def back(metric: str) -> str:
    """Return the line of a metric that is what it was."""
    verb = "are back near their" if metric == "@people" else "is back near its"
    return f"{usage(metric)} {verb} usual level"


def stays(metric: str) -> str:
    """Return the line of a metric whose change has become usual."""
    verb = "stay at their" if metric == "@people" else "stays at its"
    return f"{usage(metric)} {verb} new level"


def is_over(ended: Ended, by_evidence: bool) -> bool:
    """Tell whether what was reported is over.

    Args:
        ended: Why the alert ended, if it did.
        by_evidence: What the numbers say by themselves, where nobody says more.
    """
    return by_evidence if ended is None else ended == "recovered"


def stands(ended: Ended) -> bool:
    """Tell whether the alert ended though what it reported still holds."""
    return ended in STOOD


def end(ended: Ended) -> list[str]:
    """Say what became of the alert where the numbers do not tell."""
    said = STOOD | {"withdrawn": LATE}
    return [said[ended]] if ended in said else []


def compared(object_: str, because: Because, by: str = "") -> str:
    """Return the sentence that sets what was observed against what is usual.

    Args:
        object_: What the alert is about.
        because: The evidence, with `window`, `observed`, `expected`, `ratio`.
        by: What usual is taken from, where it is not the half-year; begins with a comma.
    """
    window = because["window"]
    return (
        f"{total(object_)} {quantity(because['observed'])} in the {length(window)} days to "
        f"{day(window['to'])}; {quantity(because['expected'])} would be usual for these "
        f"weekdays{by} ({change(because)})."
    )


def lasting(because: Because) -> list[str]:
    """Say since when a fall lasts, and how much better than a dip that explains it, where it does.

    Args:
        because: The evidence, with `ratio`, `lasting` (natural log of how many times better),
            `since_estimate`, and the limits of both.
    """
    limits, lead = because["thresholds_in_force"], because["lasting"]
    if not (because["ratio"] <= limits["ratio"] and lead >= limits["evidence_asked"]):
        return []
    times = f"over {TIMES:,}" if lead >= log(TIMES) else f"about {rounded(exp(lead))}"
    return [
        f"A lasting fall since about {day(because['since_estimate'])} explains that {times} times "
        "better than a dip of two weeks."
    ]


def rounded(number: float) -> str:
    """Return a number of two digits and noughts, for what is known no better.

    >>> rounded(10_199), rounded(4_762), rounded(16.4)
    ('10,000', '4,800', '16')
    """
    return quantity(float(f"{number:.2g}"))


def change(because: Because) -> str:
    """Return by how much a ratio differs from 1, with its range where that is bounded."""
    told = signed(because["ratio"] - 1)
    low, high = because.get("ratio_interval90") or (None, None)
    if low is None or high is None:
        return told
    # Its lower edge may be none: what is left of next to nothing is within the range.
    least = signed(-1) if low < NOTHING_LEFT else signed(low - 1)
    return f"{told}; 90 % range {least} to {signed(high - 1)}"


def signed(change: float) -> str:
    """Return a change in percent with its sign."""
    return f"{'+' if change > 0 else ''}{percent(change)}"


def swings(because: Because, untold: str = "") -> str:
    """Return the sentence about the customer's own ups and downs.

    Args:
        because: The evidence, with `drift_sd`.
        untold: What would not be reported for them, if anything is said of that.
    """
    told = f"Natural swings of this customer are about ±{percent(because['drift_sd'])}"
    return f"{told}; {untold} would not be reported." if untold else f"{told}."


def features(because: Because) -> list[str]:
    """Say which tracked features fell most, where the evidence knows it."""
    worst = because.get("features")
    if not worst:
        return []
    told = [
        f"{one['feature']} ({quantity(one['observed'])} of {quantity(one['expected'])} usual)"
        for one in worst
    ]
    return [f"In 28 days these features fell most: {listed(told)}."]
