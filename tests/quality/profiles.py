"""How much public holidays and Christmas thin a source, measured on the source itself."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

import holidays
import numpy as np
from numpy.typing import NDArray

from tests.quality.sources import COUNTRY, History

Floats = NDArray[np.float64]

MEASURED: Final = ("station", "contrib", "retail")
"""Sources that are long enough to be measured; the others take the most similar one's profile."""
BUSIEST_DAY: Final = 10
"""A contributor's commits of one day count so far, or one rebase would weigh a year."""


def profiles(pool: Sequence[History], days: Sequence[date]) -> dict[str, Floats]:
    """Return what share of an ordinary day each day of a case keeps.

    Args:
        pool: All histories.
        days: The days of a case.

    Returns:
        By source, shape (days,), 0..1; 1 is an ordinary day.
    """
    found = {name: _profile(name, pool, days) for name in MEASURED}
    found["fhv"] = found["fhv_thin"] = found["station"]
    found["hotel"] = found["contrib"]
    return found


def _profile(source: str, pool: Sequence[History], days: Sequence[date]) -> Floats:
    first, counts = _together(source, pool)
    dates = [first + timedelta(days=i) for i in range(len(counts))]
    years = range(dates[0].year, dates[-1].year + 2)
    names = getattr(holidays, COUNTRY[source])(years=years)
    christmas = np.array([_near_christmas(day) for day in dates])
    named = [names.get(day) for day in dates]
    off = christmas | np.array([name is not None for name in named])
    usual = _ordinary(np.where(off, np.nan, counts))
    by_day = _shares([f"{d:%m-%d}" if c else None for d, c in zip(dates, christmas, strict=True)],
                     counts, usual)  # fmt: skip
    by_name = _shares(named, counts, usual)
    target = getattr(holidays, COUNTRY[source])(years=[2022, 2023, 2024])
    return np.array([_share_of(day, by_day, by_name, target) for day in days])


def _together(source: str, pool: Sequence[History]) -> tuple[date, Floats]:
    """Return the first day and the daily sum of a source, each account with the same weight."""
    members = [one for one in pool if one.source == source]
    first = min(one.first for one in members)
    last = max(one.first + timedelta(days=len(one.counts)) for one in members)
    result = np.zeros((last - first).days)
    for one in members:
        if source == "contrib":
            weighed = np.minimum(one.counts, BUSIEST_DAY).astype(np.float64)
        else:
            weighed = one.counts / max(one.counts.mean(), 1e-9)
        at = (one.first - first).days
        result[at : at + len(weighed)] += weighed
    return first, result


def _near_christmas(day: date) -> bool:
    return (day.month == 12 and day.day >= 18) or (day.month == 1 and day.day <= 6)


def _ordinary(clean: Floats) -> Floats:
    """Return the mean of the same weekday six weeks before and after, NaN where nothing is."""
    sums, counted = np.zeros(len(clean)), np.zeros(len(clean))
    padded = np.concatenate([np.full(42, np.nan), clean, np.full(42, np.nan)])
    for week in range(-6, 7):
        if week:
            at = 42 - 7 * week
            shifted = padded[at : at + len(clean)]
            there = np.isfinite(shifted)
            sums[there] += shifted[there]
            counted += there
    usual: Floats = np.divide(sums, counted, out=np.full(len(clean), np.nan), where=counted > 0)
    return usual


def _shares(keys: Sequence[str | None], counts: Floats, usual: Floats) -> dict[str, float]:
    """Return seen / usual of all days with the same key, at most 1; NaN where nothing is usual."""
    sums: dict[str, tuple[float, float]] = {}
    for key, count, level in zip(keys, counts, usual, strict=True):
        if key is not None:
            seen, expected = sums.get(key, (0.0, 0.0))
            used = level > 0
            sums[key] = (seen + count, expected + level) if used else (seen, expected)
    return {
        key: min(seen / expected, 1.0) if expected else np.nan
        for key, (seen, expected) in sums.items()
    }


def _share_of(day: date, by_day: dict[str, float], by_name: dict[str, float], names: Any) -> float:
    """Return the share of one day: by its date around Christmas, else by the holiday's name."""
    key = f"{day:%m-%d}"
    if key in by_day and ((day.month, day.day) >= (12, 18) or day.month == 1):
        share = by_day[key]
    elif day in names and names.get(day) in by_name:
        share = by_name[names.get(day)]
    else:
        return 1.0
    return share if np.isfinite(share) else 1.0
