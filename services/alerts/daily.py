"""An account's daily series as pages show them: by date, and as the sparkline of a list. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.accounts import LeftOut

SPARK_DAYS: Final = 28
GRACE: Final = timedelta(hours=2)
"""After a local day has ended it is judged, and only then it is whole (design.md §5.3)."""

Months = Mapping[str, Mapping[str, Sequence[float]]]
"""Per month such as `2026-05` and metric, units per day of the month, from the first on."""


def ended_day(now: datetime, timezone: str | None) -> date:
    """Return the last day that is over for an account: later ones are not whole yet.

    Args:
        now: Aware.
        timezone: IANA name; None, or one that is not known here, is UTC.

    >>> from datetime import UTC
    >>> ended_day(datetime(2026, 5, 15, 3, tzinfo=UTC), None)
    datetime.date(2026, 5, 14)
    >>> ended_day(datetime(2026, 5, 15, 3, tzinfo=UTC), "America/New_York")
    datetime.date(2026, 5, 13)
    """
    try:
        local = now.astimezone(ZoneInfo(timezone or "UTC"))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        local = now.astimezone(ZoneInfo("UTC"))
    return (local - GRACE).date() - timedelta(days=1)


def by_date(months: Months, last: date) -> dict[str, dict[str, float]]:
    """Return per metric and ISO date, oldest first, what a page draws.

    Days before a metric's first value are left out: it was not counted then, or is not known.

    Args:
        months: The months that are known.
        last: The last day that is whole.
    """
    found: dict[str, dict[str, float]] = {}
    for month, metrics in sorted(months.items()):
        first = date.fromisoformat(f"{month}-01")
        for metric, values in sorted(metrics.items()):
            line = found.setdefault(metric, {})
            for place, value in enumerate(values):
                day = first + timedelta(days=place)
                if day <= last and (line or value):
                    line[day.isoformat()] = value
    return {metric: line for metric, line in sorted(found.items()) if line}


def left_out(months: Mapping[str, LeftOut], last: date) -> dict[str, dict[str, str]]:
    """Return per metric, an empty name for all of them, and ISO date why a day is left out.

    Args:
        months: The months that are known.
        last: The last day that is whole.

    >>> left_out({"2026-05": {"": {"Labor Day": [1], "closure": [15]}}}, date(2026, 5, 14))
    {'': {'2026-05-01': 'Labor Day'}}
    """
    found: dict[str, dict[str, str]] = {}
    for month, metrics in sorted(months.items()):
        for metric, reasons in metrics.items():
            for reason, days in reasons.items():
                for day in days:
                    on = f"{month}-{day:02}"
                    if on <= last.isoformat():
                        found.setdefault(metric, {})[on] = reason
    return found


def spark_months(today: date) -> list[str]:
    """Return the months of which a sparkline may need days.

    >>> spark_months(date(2026, 5, 14)), spark_months(date(2026, 5, 1))
    (['2026-04', '2026-05'], ['2026-04'])
    """
    # An account far west of here has not ended the newest of them.
    days = (today - timedelta(days=back) for back in range(1, SPARK_DAYS + 3))
    return sorted({day.isoformat()[:7] for day in days})


def spark(months: Months, metric: str, ended: date, today: date) -> list[float | None]:
    """Return the values of the last 28 days that are over, the newest last.

    Args:
        months: The months of `spark_months` that are known.
        metric: A metric; for anything else all metrics together are taken, people left out.
        ended: The last day that is whole.
        today: No day from this one on is taken.
    """
    last = min(ended, today - timedelta(days=1))
    single = any(metric in metrics for metrics in months.values())
    values: list[float | None] = []
    for back in range(SPARK_DAYS - 1, -1, -1):
        day = last - timedelta(days=back)
        metrics = months.get(day.isoformat()[:7], {})
        taken = [
            series[day.day - 1]
            for name, series in metrics.items()
            if (name == metric if single else not name.startswith("@")) and len(series) >= day.day
        ]
        values.append(sum(taken) if taken else None)
    return values
