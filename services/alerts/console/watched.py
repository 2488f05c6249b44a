"""What is watched of an account, whether or not anything was raised: why nobody was told. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from services import wording
from services.alerts.console import evidence, words
from services.alerts.console.chart import (
    JUDGED_DAYS,
    Chart,
    Days,
    LeftOut,
    left_out,
    metric_chart,
    noughts,
)
from services.alerts.console.evidence import Number
from services.alerts.moments import ENDINGS
from services.alerts.shown import AccountPage, AlertShown

METRICS: Final = 5
"""Metrics that have a chart; a page must not grow with names."""
WINDOW_DAYS: Final = 28
"""Days that a fall is looked for in (detection.md §1)."""
FALL: Final = "usage_drop"
NO_DATA: Final = "no data from its source"


@dataclass(frozen=True, slots=True)
class Watched:
    """One metric, as its falls are judged now.

    Attributes:
        metric: Its name.
        chart: Its days.
        numbers: What stands against a fall, and how small a one would be told.
        masked: Days of the judged window that do not count.
    """

    metric: str
    chart: Chart
    numbers: Sequence[Number]
    masked: Sequence[Number]


def watched(page: AccountPage, ended: date) -> list[Watched]:
    """Return what is watched, by name.

    Args:
        page: The account.
        ended: The last day that is over for the account, and so the judged one.
    """
    found: list[Watched] = []
    for name in page.states:
        values: Days = {date.fromisoformat(on): n for on, n in page.days.get(name, {}).items()}
        if len(values) > 1 and len(found) < METRICS:
            found.append(_watched(page, name, values, ended))
    return found


def falling(page: AccountPage) -> frozenset[str]:
    """Return the metrics on the watch level; of what is told already there is nothing to watch.

    Args:
        page: The account.
    """
    told = {one.object for one in page.alerts if one.open and _is_fall(one)}
    return frozenset(page.watch) - told


def _watched(page: AccountPage, name: str, values: Days, ended: date) -> Watched:
    masked = left_out(page, name)
    if page.states[name] == "no_data":
        dark = _after(max(values), ended)
        values |= dict.fromkeys(dark)
        masked |= dict.fromkeys(dark, NO_DATA)
    else:
        values |= noughts(page, values, min(values), ended)
    because = _because(page, name, values, masked, ended)
    return Watched(
        metric=words.metric(name),
        chart=metric_chart(name, values, masked, because),
        numbers=_numbers(page, name, min(values), because),
        masked=[
            Number(wording.day(on), why)
            for on, why in sorted(masked.items())
            if ended - timedelta(days=WINDOW_DAYS) < on <= ended
        ],
    )


def _after(last: date, ended: date) -> list[date]:
    days = min((ended - last).days, JUDGED_DAYS)
    return [last + timedelta(days=n) for n in range(1, days + 1)]


def _because(
    page: AccountPage, name: str, values: Days, masked: LeftOut, ended: date
) -> dict[str, Any]:
    """Return what the evidence of an alert would say of today's windows."""
    usual = page.usual.get(name)
    if usual is None or len(usual.week) != 7 or name in words.RISING:
        return {}
    split = ended - timedelta(days=WINDOW_DAYS)
    first = max(min(values), ended - timedelta(days=JUDGED_DAYS - 1))
    counted = {on: n for on, n in values.items() if n is not None and on not in masked}
    told = {
        "usual_week": usual.week,
        "dispersion": usual.dispersion,
        "drift_sd": usual.swing,
        **_span(counted, split + timedelta(days=1), ended, "window"),
        **_span(counted, first, split, "baseline"),
        **_sums(counted, usual.week, split, ended),
    }
    if page.states[name] == "ok" and name in page.least:
        told["smallest_detectable_drop"] = page.least[name] / 100
    return told


def _span(counted: Mapping[date, float], first: date, last: date, key: str) -> dict[str, Any]:
    if first > last:
        return {}
    days = sum(first <= on <= last for on in counted)
    return {key: {"from": first.isoformat(), "to": last.isoformat(), "days_used": days}}


def _sums(
    counted: Mapping[date, float], week: Sequence[float], split: date, ended: date
) -> dict[str, float]:
    """Return what the days after a split brought, and what would be usual for their weekdays."""
    days = [on for on in counted if split < on <= ended]
    observed, expected = sum(counted[on] for on in days), sum(week[on.weekday()] for on in days)
    ratio = {"ratio": observed / expected} if expected > 0 else {}
    return {"observed": observed, "expected": expected, **ratio}


def _numbers(page: AccountPage, name: str, first: date, because: Mapping[str, Any]) -> list[Number]:
    now = words.data_state(page.states[name], name, falls=name in falling(page))
    since = [Number("Known since", wording.day(first))] if page.states[name] == "warming_up" else []
    told = [one for one in page.alerts if one.object == name and _is_fall(one)]
    newest = max(told, key=lambda one: one.fired_at, default=None)
    return [
        Number("Now", now),
        *since,
        *evidence.figures_of(FALL, name, because),
        *([] if newest is None else [Number("Told last", _told(newest))]),
    ]


def _told(alert: AlertShown) -> str:
    raised = wording.day(alert.fired_at.date())
    if alert.cleared_at is None:
        return raised
    why = f": {ENDINGS[alert.reason]}" if alert.reason else ""
    return f"{raised}, over {wording.day(alert.cleared_at.date())}{why}"


def _is_fall(alert: AlertShown) -> bool:
    return alert.kind == FALL and not alert.shadow
