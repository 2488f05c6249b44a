"""The numbers of an alert's evidence as a person reads them, each beside its name. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from services import wording
from services.alerts.shown import AlertShown
from services.wording import counted, percent, quantity

Because = Mapping[str, Any]

_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.Z+-]+)?$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Number:
    """One figure.

    Attributes:
        name: What it is.
        value: As it is shown.
        note: What it means, where the name does not say it.
    """

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Week:
    """Seven judged days.

    Attributes:
        last: The last of them.
        observed: Units; None where nothing is known.
        expected: What would be usual for the days that counted.
        share: Observed of the largest of all weeks' figures, per cent of the height, 0..100.
        usual: The same of expected.
    """

    last: date
    observed: float | None
    expected: float | None
    share: float
    usual: float


def numbers(alert: AlertShown) -> list[Number]:
    """Return every figure that explains the alert, the telling ones first.

    Args:
        alert: With its evidence.
    """
    because = alert.because or {}
    told_keys = {key for key, *_ in (*_KNOWN, *_STATISTICS)} | _ELSEWHERE
    others = [
        Number(wording.capital(key.replace("_", " ")), told)
        for key in because
        if key not in told_keys and (told := _other(because, key))
    ]
    return [*_named(because, _KNOWN), *others]


def statistics(alert: AlertShown) -> list[Number]:
    """Return the figures that say nothing to somebody who does not know the method.

    Args:
        alert: With its evidence.
    """
    return _named(alert.because or {}, _STATISTICS)


def weeks(alert: AlertShown) -> list[Week]:
    """Return the judged weeks, the oldest first; none where the evidence has no weeks.

    Args:
        alert: With its evidence.
    """
    told = (alert.because or {}).get("weekly") or []
    rows = [(_units(row["observed"]), _units(row["expected"])) for row in told]
    top = max((value for row in rows for value in row if value), default=0) or 1
    return [
        Week(
            alert.day - timedelta(days=7 * (len(rows) - 1 - i)),
            observed,
            expected,
            round(100 * ((observed or 0) / top), 1),
            round(100 * ((expected or 0) / top), 1),
        )
        for i, (observed, expected) in enumerate(rows)
    ]


def limits(alert: AlertShown) -> list[Number]:
    """Return what the rule asked for, as it stood in the rule set that judged.

    Args:
        alert: With its evidence.
    """
    asked = (alert.because or {}).get("thresholds_in_force") or {}
    named = ((key.replace("_", " "), _plain(value)) for key, value in asked.items())
    return [Number(wording.capital(name), told) for name, told in named if told]


def masked(alert: AlertShown) -> list[Number]:
    """Return the days of the window that did not count, with the reason.

    Args:
        alert: With its evidence.
    """
    days = (alert.because or {}).get("masked_days") or []
    rows = [(one, "") if isinstance(one, str) else (one["date"], one["reason"]) for one in days]
    return [Number(wording.day(date.fromisoformat(on)), reason) for on, reason in rows]


def _named(because: Because, rows: Iterable["_Row"]) -> list[Number]:
    return [
        Number(name, told, note) for key, name, tell, note in rows if (told := tell(because, key))
    ]


def _units(value: float | None) -> float | None:
    # The template must not be the first to find out that it is no number.
    return None if value is None else float(value)


def _quantity(because: Because, key: str) -> str:
    return quantity(because[key]) if isinstance(because.get(key), int | float) else ""


def _share(because: Because, key: str) -> str:
    return percent(because[key]) if isinstance(because.get(key), int | float) else ""


def _swing(because: Because, key: str) -> str:
    told = _share(because, key)
    return f"±{told}" if told else ""


def _certainty(because: Because, key: str) -> str:
    value = because.get(key)
    if not isinstance(value, int | float):
        return ""
    return "over 99.9 %" if value > 0.999 else f"{100 * value:.1f} %"


def _deviations(because: Because, key: str) -> str:
    value = because.get(key)
    return f"{value:.1f} standard deviations" if isinstance(value, int | float) else ""


def _change(because: Because, key: str) -> str:
    ratio = because.get(key)
    return _signed(ratio - 1) if isinstance(ratio, int | float) else ""


def _other_window(because: Because, key: str) -> str:
    """Tell the second of the two windows that a fall is looked for in."""
    return _change(because, key) if because.get(key) != because.get("ratio") else ""


def _before(because: Because, key: str) -> str:
    history = because.get(key)
    if not isinstance(history, Mapping):
        return ""
    last, votes = history.get("last_alert"), history.get("false_alarm_votes")
    told = [f"the last one on {_day(history, 'last_alert')}"] if last else ["none"]
    return "; ".join(told + ([f"called false {counted(int(votes), 'time')}"] if votes else []))


def _range(because: Because, key: str) -> str:
    low, high = because.get(key) or (None, None)
    if low is None or high is None:
        return ""
    return f"{_signed(low - 1)} to {_signed(high - 1)}"


def _signed(change: float) -> str:
    return f"{'+' if change > 0 else ''}{percent(change)}"


def _day(because: Because, key: str) -> str:
    iso = because.get(key)
    return wording.day(date.fromisoformat(iso[:10])) if isinstance(iso, str) else ""


def _span(because: Because, key: str) -> str:
    span = because.get(key)
    if not isinstance(span, Mapping):
        return ""
    told = wording.days(date.fromisoformat(span["from"]), date.fromisoformat(span["to"]))
    return f"{told}, {counted(span['days_used'], 'day')} counted"


def _listed(because: Because, key: str) -> str:
    return ", ".join(map(str, because.get(key) or ()))


def _other(because: Because, key: str) -> str:
    """Tell what no table names: its kind is in its key or in its value."""
    value = because.get(key)
    if key == "amount" and isinstance(value, int):
        return wording.money(value, because.get("currency"))
    if key == "currency" and isinstance(because.get("amount"), int):
        return ""
    if key.endswith("_share") and isinstance(value, int | float):
        return percent(value)
    return _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, str) and _ISO.match(value):
        return wording.day(date.fromisoformat(value[:10]))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_plain(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return wording.listed([_plain(one) for one in value]) if value else ""
    return "" if value is None else str(value)


_Row = tuple[str, str, Callable[[Because, str], str], str]

_KNOWN: Final[tuple[_Row, ...]] = (
    ("observed", "Observed", _quantity, "in the window"),
    ("expected", "Usual", _quantity, "for these weekdays, of this customer"),
    ("ratio", "Change", _change, "observed against usual"),
    ("ratio_28", "Change in 28 days", _other_window, "where the rule looked at fewer"),
    ("ratio_interval90", "90 % range", _range, "where the true change lies, nine times of ten"),
    ("since_estimate", "Since about", _day, ""),
    ("window", "Window", _span, ""),
    ("baseline", "Compared with", _span, "half a year, up to four weeks before the judged day"),
    ("drift_sd", "Natural swings", _swing, "of this customer's four-week level"),
    ("smallest_detectable_drop", "Smallest fall told", _share, "less is not told from noise"),
    ("probability", "Certainty", _certainty, "that the true level has fallen"),
    ("days_silent", "Days silent", _other, "of those that count"),
    ("calendar_days_silent", "Calendar days silent", _other, ""),
    ("limit", "Days allowed", _other, "of silence, for what this customer's rhythm was"),
    ("metrics", "Metrics", _listed, ""),
    ("history", "Before", _before, "alerts of this rule for this customer"),
)
"""Key of the evidence, name, how it is told, note (detection.md §7)."""

_STATISTICS: Final[tuple[_Row, ...]] = (
    ("evidence", "Evidence", _deviations, "from chance"),
    ("lasting", "Lasting", _quantity, "by so much (log units) it beats a dip of two weeks"),
    ("dispersion", "Dispersion", _quantity, "weekly variance against plain chance, which is 1"),
    ("q", "Rhythm", _other, "share of active days in the 56 before the silence"),
    ("masked_days_count", "Left-out days counted", _other, ""),
)
"""The same of what stands behind "For statisticians"."""

_ELSEWHERE: Final = frozenset(
    {
        "headline", "text", "title", "play", "weekly", "usual_week", "masked_days",
        "thresholds_in_force", "computed_from",
    }
)  # fmt: skip
"""Keys that stand elsewhere on the page, or that others are computed from."""
