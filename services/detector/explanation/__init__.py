"""Evidence in words: one line and one paragraph of each alert, for a person (detection.md §7).

Every number in a text stands in the record that it explains, rounded to what says something.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from services.detector.explanation import (
    facts,
    features,
    growth,
    many,
    seats,
    tickets,
    usage,
    words,
)
from services.detector.explanation.words import Because, Ended
from services.wording import capital


class _Teller(NamedTuple):
    line: Callable[[str, Because, Ended], str]
    sentences: Callable[[str, Because, Ended], list[str]]


_TELLERS: Final[Mapping[str, _Teller]] = {
    "drop": _Teller(usage.fell_line, usage.fell),
    "stop": _Teller(usage.stopped_line, usage.stopped),
    "fastdrop": _Teller(growth.fast_line, growth.fast),
    "slowdrift": _Teller(growth.slow_line, growth.slow),
    "silence": _Teller(usage.silent_line, usage.silent),
    "spike": _Teller(tickets.spike_line, tickets.spike),
    "expansion": _Teller(growth.rose_line, growth.rose),
    "abandonment": _Teller(features.abandoned_line, features.abandoned),
    "breadth": _Teller(features.narrower_line, features.narrower),
    "ratio": _Teller(seats.seats_line, seats.seats),
    "change": _Teller(facts.changed_line, facts.changed),
    "deadline": _Teller(facts.due_line, facts.due),
    "incident": _Teller(many.incident_line, many.incident),
}
"""By the primitive that a record names; what many customers share is of none."""

_MARKS: Final = (
    ("usage_drop", "lasting", "drop"),
    ("usage_drop", "median_level", "fastdrop"),
    ("usage_drop", "slope", "slowdrift"),
    ("usage_drop", "observed", "stop"),
    ("silence", "days_silent", "silence"),
    ("policy_silence", "days_silent", "silence"),
    ("ticket_spike", "calm_count", "spike"),
    ("spike", "calm_count", "spike"),
    ("expansion", "ratio", "expansion"),
    ("feature_abandoned", "account_ratio", "abandonment"),
    ("breadth", "usual", "breadth"),
    ("seat_utilisation", "seats", "ratio"),
    ("seat_expansion", "seats", "ratio"),
    ("incident", "ordinary_share", "incident"),
    ("change", "payment", "change"),
    ("change", "successor", "change"),
    ("change", "admins", "change"),
    ("deadline", "checklist", "deadline"),
    ("deadline", "method", "deadline"),
)
"""Of a record that names no primitive: kind, a key that no other evidence of the kind has, which
it was. The first that fits holds."""


def headline(kind: str, object_: str, because: Because, ended: Ended = None) -> str:
    """Return one line that says what happened, without a full stop.

    Args:
        kind: The alert's kind, such as `usage_drop`.
        object_: What it is about: a metric, a person, a payment.
        because: The evidence, as the primitive gave it; `primitive` names that.
        ended: Why the alert is over; empty while it is open. None where nobody says: then the
            evidence tells, as far as it can.

    >>> headline("usage_drop", "api_calls", {"lasting": 3.1, "ratio": 0.69, "ratio_28": 0.69,
    ...     "window": {"from": "2026-04-17", "to": "2026-05-14", "days_used": 28}})
    'usage (api_calls) fell 31 % in 28 days'
    """
    return _teller(kind, because).line(object_, because, ended)


def explain(kind: str, object_: str, because: Because, ended: Ended = None) -> str:
    """Return a paragraph that says what happened, against what, and what the limit is.

    Args:
        kind: The alert's kind, such as `usage_drop`.
        object_: What it is about: a metric, a person, a payment.
        because: The evidence; masked days are dates, or tables with `date` and `reason`.
        ended: As for `headline`.

    Source: detection.md §7.
    """
    told = _teller(kind, because).sentences(object_, because, ended)
    return " ".join([*told, *words.end(ended), *many.peers(because), *_votes(because)])


def _votes(because: Because) -> list[str]:
    """Say what people thought of earlier alerts like it: whoever reads it shall know."""
    votes = because.get("history", {}).get("false_alarm_votes", 0)
    if not votes:
        return []
    times = {1: "once", 2: "twice"}.get(votes, f"{votes} times")
    return [f"Earlier alerts of this rule for this customer were called false {times}."]


def _teller(kind: str, because: Because) -> _Teller:
    name = because.get("primitive") or next(
        (name for of, mark, name in _MARKS if of == kind and mark in because), ""
    )
    return _TELLERS.get(name, _Teller(_untold_line, _untold))


def _untold_line(object_: str, because: Because, ended: Ended) -> str:  # noqa: ARG001
    return f"something changed ({object_})"


def _untold(object_: str, because: Because, ended: Ended) -> list[str]:
    """Say what can be said of evidence that nobody here knows: nothing is left out in silence."""
    known = [f"{name}: {value}" for name, value in because.items() if not isinstance(value, dict)]
    return [f"{capital(_untold_line(object_, because, ended))}.", f"{'; '.join(known)}."]
