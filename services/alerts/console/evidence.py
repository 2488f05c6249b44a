"""The numbers of an alert's evidence as a person reads them, each beside its name. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from services import wording
from services.alerts.console import figures
from services.alerts.console.figures import Evidence
from services.alerts.console.labels import ELSEWHERE, NUMBERS, STATISTICS, Row
from services.alerts.shown import AlertShown
from services.wording import percent


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
        expected: What would be usual for the days that counted; None where nobody says.
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
    of = _evidence(alert)
    known = {row.key for row in (*NUMBERS, *STATISTICS)} | ELSEWHERE
    others = [
        Number(wording.capital(key.replace("_", " ")), told)
        for key in of.because
        if key not in known and (told := _other(of, key))
    ]
    return [*_named(of, NUMBERS), *others]


def figures_of(kind: str, object_: str, because: Mapping[str, Any]) -> list[Number]:
    """Return the telling figures of what an evidence would say, where nothing was raised.

    Args:
        kind: Of the alert that it would be.
        object_: What that would be about.
        because: What is known.
    """
    return _named(Evidence(kind, object_, because), NUMBERS)


def statistics(alert: AlertShown) -> list[Number]:
    """Return the figures that say nothing to somebody who does not know the method.

    Args:
        alert: With its evidence.
    """
    return _named(_evidence(alert), STATISTICS)


def weeks(alert: AlertShown) -> list[Week]:
    """Return the judged weeks, the oldest first; none where the evidence has no weeks.

    Args:
        alert: With its evidence.
    """
    rows = _weeks(alert.because or {})
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
    named = ((key.replace("_", " "), figures.plain(value)) for key, value in asked.items())
    return [Number(wording.capital(name), told) for name, told in named if told]


def masked(alert: AlertShown) -> list[Number]:
    """Return the days of the window that did not count, with the reason.

    Args:
        alert: With its evidence.
    """
    days = (alert.because or {}).get("masked_days") or []
    rows = [(one, "") if isinstance(one, str) else (one["date"], one["reason"]) for one in days]
    return [Number(wording.day(date.fromisoformat(on)), reason) for on, reason in rows]


def _evidence(alert: AlertShown) -> Evidence:
    return Evidence(alert.kind, alert.object, alert.because or {})


def _named(of: Evidence, rows: Iterable[Row]) -> list[Number]:
    meant: dict[str, Row] = {}
    for row in rows:
        if row.key not in meant and row.of(of):
            meant[row.key] = row
    told = ((row, row.tell(of, row.key)) for row in meant.values())
    return [Number(row.name, said, row.note) for row, said in told if said]


def _weeks(because: Mapping[str, Any]) -> list[tuple[float | None, float | None]]:
    """Return what was observed and what is usual, week by week, the oldest first."""
    longer = because.get("weeks")
    told = list(longer if isinstance(longer, list) else because.get("weekly") or ())
    if told and not isinstance(told[0], Mapping):
        # Weeks before the judged one, by counts alone: the judged one stands beside them.
        last = _units(because.get("observed")), _units(because.get("expected"))
        return [*((_units(one), None) for one in told), last]
    return [(_units(row["observed"]), _units(row["expected"])) for row in told]


def _units(value: float | None) -> float | None:
    # The template must not be the first to find out that it is no number.
    return None if value is None else float(value)


def _other(of: Evidence, key: str) -> str:
    """Tell what no table names: its kind is in its key or in its value."""
    value = of.number(key)
    if key.endswith("_share") and value is not None:
        return percent(value)
    return figures.value(of, key)
