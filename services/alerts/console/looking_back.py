"""Alerts whose days each count what four weeks brought, and how their charts differ. Pure."""

from collections.abc import Callable
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple

from services.alerts.shown import AlertShown

DAYS: Final = 28
"""Days that a count looks back on, its own included (detection.md §4, §6)."""


class LookingBack(NamedTuple):
    """What the days of a kind of alert count.

    Attributes:
        title: What a day counts, in full.
        metric: What it counts.
        beside: What that is a part of; empty if the evidence has no such thing.
        first: Returns the first day that counts something whole, of an alert and its first day.
    """

    title: str
    metric: str
    beside: str
    first: Callable[[AlertShown, date], date]


def _window(alert: AlertShown, first: date) -> date:
    """Return the first of the days whose mean was judged: no other was counted."""
    window = (alert.because or {}).get("window") or {}
    return date.fromisoformat(window["from"]) if "from" in window else first


def _whole(_: AlertShown, first: date) -> date:
    """Return the first day before which four weeks are known."""
    return first + timedelta(days=DAYS - 1)


_SEATS: Final = LookingBack("People active in four weeks", "active people", "seats", _window)

AT: Final = MappingProxyType[str, LookingBack](
    {
        "seat_utilisation": _SEATS,
        "seat_expansion": _SEATS,
        "breadth": LookingBack("Core features used in four weeks", "core features", "", _whole),
    }
)
"""By kind of alert."""
