"""What charts show: daily values, and of an alert what is usual, days left out, and when it fired.

Pure. The page writes it as a table, and the script draws that table.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from services.alerts.console import looking_back, words
from services.alerts.shown import AccountPage, AlertShown

SPAN_DAYS: Final = 400
"""Longest stretch that is shown; the view keeps thirteen months."""
JUDGED_DAYS: Final = 210
"""The same of a metric that nothing was raised about: as much as a fall is judged by."""
BAND: Final = 1.645
"""Standard deviations on each side of what is usual: nine days of ten lie within."""

Days = dict[date, float | None]
LeftOut = dict[date, str]
"""Why days were left out, an empty text if nobody said."""


class Span(NamedTuple):
    """A stretch of days, both ends included."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class ChartDay:
    """One day.

    Attributes:
        on: The day in the account's time zone.
        value: Units; None where nothing is known.
        expected: What is usual on this weekday, or what the value is a part of; None before that is
            known.
        low: Lower edge of what is usual, >= 0.
        high: Upper edge.
        masked: Why the day was left out, an empty text if nobody said; None for a day that counts.
    """

    on: date
    value: float | None
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    masked: str | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """The chart of an alert, or of a metric.

    Attributes:
        title: What is counted, and of how many days.
        metric: What is counted.
        value: What the line is, beside others.
        usual: What the values are set against.
        days: Without a gap, the oldest first.
        fired: The local day on which the alert was raised; None without one.
        since: From when on a lasting fall explains the days best, if it was estimated.
        window: The days that are judged; None if nobody says.
        baseline: The days that they are compared with.
    """

    title: str
    metric: str
    value: str
    usual: str
    days: tuple[ChartDay, ...]
    fired: date | None = None
    since: date | None = None
    window: Span | None = None
    baseline: Span | None = None

    @property
    def compared(self) -> bool:
        """Whether the values are set against anything."""
        return any(day.expected is not None for day in self.days)

    @property
    def banded(self) -> bool:
        """Whether anything says how much one day varies."""
        return any(day.low is not None for day in self.days)

    @property
    def masked(self) -> bool:
        """Whether any day was left out."""
        return any(day.masked is not None for day in self.days)


def chart(page: AccountPage, alert: AlertShown, ended: date) -> Chart | None:
    """Return what can be drawn of an alert.

    The band is what one day of this account varies: its own dispersion phi and its drift,
    e +- 1.645 sqrt(phi e + (drift e)^2). It is drawn to help the eye; the rule judges weeks.

    Args:
        page: The account; its daily values continue the evidence to today.
        alert: With its evidence.
        ended: The last day that is over for the account.

    Returns:
        The chart, or None where the alert is not about something that is counted daily.

    Source:
        detection.md §1.2 (phi) and §1.4 (drift).
    """
    because = alert.because or {}
    values, masked = _evidence(because)
    back = looking_back.AT.get(alert.kind)
    if back is None:
        values |= _continued(page, alert, because)
    elif values:
        whole = back.first(alert, min(values))
        values = {on: n for on, n in values.items() if on >= whole}
    if len([value for value in values.values() if value is not None]) < 2:
        return None
    if back is None:
        values |= noughts(page, values, alert.day, ended)
        masked |= _told_since(page, alert, masked)
    beside = _beside(because) if back is not None else {}
    metric = words.metric(alert.object)
    return Chart(
        title=f"{metric} a day" if back is None else back.title,
        metric=metric if back is None else back.metric,
        value="daily" if back is None else back.metric,
        usual="usual" if back is None else back.beside,
        days=tuple(
            _day(on, values.get(on), masked.get(on), because, beside)
            for on in _stretch(values, SPAN_DAYS)
        ),
        fired=_raised(alert, _zone(page)),
        since=_date(because.get("since_estimate")),
        window=_span(because.get("window")),
        baseline=_span(because.get("baseline")),
    )


def metric_chart(name: str, values: Days, masked: LeftOut, because: Mapping[str, Any]) -> Chart:
    """Return the chart of a metric that nothing was raised about.

    Args:
        name: The metric's.
        values: Its days, at least one.
        masked: Days that are left out.
        because: What is usual, as the evidence of an alert says it; empty if it is not known.
    """
    metric = words.metric(name)
    return Chart(
        title=f"{metric} a day",
        metric=metric,
        value="daily",
        usual="usual",
        days=tuple(
            _day(on, values.get(on), masked.get(on), because, {})
            for on in _stretch(values, JUDGED_DAYS)
        ),
        window=_span(because.get("window")),
        baseline=_span(because.get("baseline")),
    )


def _stretch(values: Days, most: int) -> list[date]:
    """Return the days of values and all between, the newest at most."""
    first = max(min(values), max(values) - timedelta(days=most - 1))
    return [first + timedelta(days=n) for n in range((max(values) - first).days + 1)]


def _beside(because: Mapping[str, Any]) -> Days:
    """Return what the values are a part of, such as seats, where the evidence has it."""
    whole = (because.get("computed_from") or {}).get("whole") or {}
    return _evidence({"computed_from": whole})[0]


def left_out(page: AccountPage, name: str) -> LeftOut:
    """Return the days that are left out of a metric, with the reason.

    Args:
        page: The account.
        name: The metric's.
    """
    told = page.left_out.get("", {}) | page.left_out.get(name, {})
    return {date.fromisoformat(on): reason for on, reason in told.items()}


def _told_since(page: AccountPage, alert: AlertShown, masked: LeftOut) -> LeftOut:
    """Return why days were left out of which the evidence does not say it, or cannot."""
    known = left_out(page, alert.object).items()
    return {on: why for on, why in known if on > alert.day or masked.get(on) == ""}


def _span(told: object) -> Span | None:
    """Return a stretch of days of an evidence."""
    found = told if isinstance(told, Mapping) else {}
    first, last = _date(found.get("from")), _date(found.get("to"))
    return None if first is None or last is None else Span(first, last)


def _zone(page: AccountPage) -> ZoneInfo:
    try:
        return ZoneInfo(page.timezone or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def _raised(alert: AlertShown, zone: ZoneInfo) -> date:
    """Return the day whose end raised it: `fired_at` lies in the night after that day."""
    return min(alert.day, alert.fired_at.astimezone(zone).date() - timedelta(days=1))


def _evidence(because: Mapping[str, Any]) -> tuple[Days, LeftOut]:
    """Return the values that the alert was computed from, and the days that did not count."""
    source = because.get("computed_from") or {}
    first = _date(source.get("from"))
    masked = {on: reason for one in because.get("masked_days", ()) for on, reason in _masked(one)}
    if first is None:
        return {}, masked
    counts: Sequence[object] = source.get("counts", ())
    unknown = max(0, len(counts) - int(source.get("known", len(counts))))
    days = [first + timedelta(days=n) for n in range(len(counts))]
    for place in source.get("masked", ()):
        if unknown <= place < len(days):
            masked.setdefault(days[place], "")
    pairs = list(zip(days, counts, strict=True))[unknown:]
    return {on: _number(value) for on, value in pairs}, masked


def _masked(one: object) -> list[tuple[date, str]]:
    if isinstance(one, Mapping):
        on, reason = _date(one.get("date")), str(one.get("reason") or "")
    else:
        on, reason = _date(one), ""
    return [(on, reason)] if on is not None else []


def _continued(page: AccountPage, alert: AlertShown, because: Mapping[str, Any]) -> Days:
    """Return the account's daily values now: of all metrics that the alert added up."""
    names = [name for name in because.get("metrics") or (alert.object,) if name in page.days]
    total: Days = {}
    for name in names:
        for iso, value in page.days[name].items():
            on = date.fromisoformat(iso)
            total[on] = (total.get(on) or 0.0) + value
    return total


def noughts(
    page: AccountPage, values: Mapping[date, float | None], judged: date, ended: date
) -> Days:
    """Return the days after a judged one on which nothing was counted.

    Args:
        page: The account.
        values: What was counted on other days.
        judged: The day.
        ended: The last day that is over for the account.
    """
    # A month without a value has no series: another series knows it, or no event has reached it.
    if page.quarantined:
        return {}
    counted = {date.fromisoformat(iso) for line in page.days.values() for iso in line}
    last = page.last_event_at and page.last_event_at.astimezone(_zone(page)).date()
    first = max(judged, min(values), ended - timedelta(days=SPAN_DAYS))
    days = (first + timedelta(days=n) for n in range(1, (ended - first).days + 1))
    return {on: 0.0 for on in days if on not in values and (on in counted or (last and on > last))}


def _day(
    on: date, value: float | None, masked: str | None, because: Mapping[str, Any], beside: Days
) -> ChartDay:
    if on in beside:
        return ChartDay(on, value, beside[on], masked=masked)
    usual = because.get("usual_week") or ()
    expected = _number(usual[on.weekday()]) if len(usual) == 7 else None
    start = _date((because.get("baseline") or {}).get("from"))
    if expected is None or (start is not None and on < start):
        return ChartDay(on, value, masked=masked)
    phi = _number(because.get("dispersion")) or 1.0
    drift = _number(because.get("drift_sd")) or 0.0
    reach = BAND * math.sqrt(phi * expected + (drift * expected) ** 2)
    return ChartDay(on, value, expected, max(0.0, expected - reach), expected + reach, masked)


def _date(iso: object) -> date | None:
    return date.fromisoformat(iso[:10]) if isinstance(iso, str) else None


def _number(value: object) -> float | None:
    number = float(value) if isinstance(value, int | float) else None
    return number if number is not None and math.isfinite(number) else None
