"""Evidence in words: one line and one paragraph of each alert, for a person (detection.md §7).

Every number in a text stands in the record that it explains, rounded to what says something.
"""

from collections.abc import Callable
from typing import NamedTuple

from services.detector.explanation import facts, features, growth, many, seats, tickets, usage
from services.detector.explanation.words import Because
from services.wording import capital


class _Teller(NamedTuple):
    """Who tells an evidence: of this kind, with a key that no other evidence of the kind has."""

    kind: str
    mark: str
    line: Callable[[str, Because], str]
    sentences: Callable[[str, Because], list[str]]


_TELLERS = (
    _Teller("usage_drop", "lasting", usage.fell_line, usage.fell),
    _Teller("usage_drop", "median_level", growth.fast_line, growth.fast),
    _Teller("usage_drop", "slope", growth.slow_line, growth.slow),
    _Teller("usage_drop", "observed", usage.stopped_line, usage.stopped),
    _Teller("silence", "days_silent", usage.silent_line, usage.silent),
    _Teller("policy_silence", "days_silent", usage.silent_line, usage.silent),
    _Teller("ticket_spike", "calm_count", tickets.spike_line, tickets.spike),
    _Teller("spike", "calm_count", tickets.spike_line, tickets.spike),
    _Teller("expansion", "ratio", growth.rose_line, growth.rose),
    _Teller("feature_abandoned", "account_ratio", features.abandoned_line, features.abandoned),
    _Teller("breadth", "usual", features.narrower_line, features.narrower),
    _Teller("seat_utilisation", "seats", seats.seats_line, seats.seats),
    _Teller("seat_expansion", "seats", seats.seats_line, seats.seats),
    _Teller("incident", "ordinary_share", many.incident_line, many.incident),
    _Teller("change", "payment", facts.payment_line, facts.payment),
    _Teller("change", "successor", facts.left_line, facts.left),
    _Teller("change", "admins", facts.admins_line, facts.admins),
    _Teller("deadline", "checklist", facts.renewal_line, facts.renewal),
    _Teller("deadline", "method", facts.method_line, facts.method),
)


def headline(kind: str, object_: str, because: Because) -> str:
    """Return one line that says what happened, without a full stop.

    Args:
        kind: The alert's kind, such as `usage_drop`.
        object_: What it is about: a metric, a person, a payment.
        because: The evidence, as the primitive gave it.

    >>> headline("usage_drop", "api_calls", {"lasting": 3.1, "ratio": 0.69, "ratio_28": 0.69,
    ...     "window": {"from": "2026-04-17", "to": "2026-05-14", "days_used": 28}})
    'usage (api_calls) fell 31 % in 28 days'
    """
    return _teller(kind, because).line(object_, because)


def explain(kind: str, object_: str, because: Because) -> str:
    """Return a paragraph that says what happened, against what, and what the limit is.

    Args:
        kind: The alert's kind, such as `usage_drop`.
        object_: What it is about: a metric, a person, a payment.
        because: The evidence; masked days are dates, or tables with `date` and `reason`.

    Source: detection.md §7.
    """
    told = _teller(kind, because).sentences(object_, because)
    return " ".join([*told, *many.peers(because), *_votes(because)])


def _votes(because: Because) -> list[str]:
    """Say what people thought of earlier alerts like it: whoever reads it shall know."""
    votes = because.get("history", {}).get("false_alarm_votes", 0)
    if not votes:
        return []
    times = {1: "once", 2: "twice"}.get(votes, f"{votes} times")
    return [f"Earlier alerts of this rule for this customer were called false {times}."]


def _teller(kind: str, because: Because) -> _Teller:
    found = (one for one in _TELLERS if one.kind == kind and one.mark in because)
    return next(found, _Teller(kind, "", _untold_line, _untold))


def _untold_line(object_: str, because: Because) -> str:  # noqa: ARG001
    return f"something changed ({object_})"


def _untold(object_: str, because: Because) -> list[str]:
    """Say what can be said of evidence that nobody here knows: nothing is left out in silence."""
    known = [f"{name}: {value}" for name, value in because.items() if not isinstance(value, dict)]
    return [f"{capital(_untold_line(object_, because))}.", f"{'; '.join(known)}."]
