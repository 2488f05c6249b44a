"""What others would write: rules run on the same cases, to be compared with.

Each sees only days up to the judged one. An alert is a rising edge; the next one needs 28 days and
seven quiet days in between, as the product's does.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from functools import cache
from typing import Final

import holidays
import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

from tests.quality.cases import Case
from tests.quality.scoring import Alert
from tests.quality.sources import Ints

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

COOL_DOWN, REARM = 28, 7
WINDOW: Final = 28
FALL: Final = 0.8
"""The line that everybody draws: four weeks below 80 % of the four before."""
UNLIKELY: Final = 1e-4
WEEKS_BEFORE, LEAST_WEEKS = 26, 10
DEVIATIONS: Final = 2.0
NORMAL_MAD: Final = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


def windows(case: Case) -> Bools:
    """Return where 28 days are below 80 % of the 28 before, shape (days,)."""
    now, before = _sums(case.counts, WINDOW), _sums(case.counts, WINDOW, WINDOW)
    return now < FALL * before


def unlikely_windows(case: Case) -> Bools:
    """Return where they are, and a Poisson count of the same level would hardly be as low."""
    now, before = _sums(case.counts, WINDOW), _sums(case.counts, WINDOW, WINDOW)
    known = np.isfinite(now) & np.isfinite(before)
    chance = poisson.cdf(np.where(known, now, 0), np.where(known, before, 0))
    found: Bools = known & (now < FALL * before) & (chance < UNLIKELY)
    return found


def deviating_weeks(case: Case) -> Bools:
    """Return where a week is two robust deviations below the half-year before, twice running.

    The deviation is that of a normal distribution, from the median absolute deviation of weekly
    sums, and at least the root of their median: counts are never steadier than that.
    """
    weekly = np.stack([_sums(case.counts, 7, 7 * k) for k in range(WEEKS_BEFORE + 2)])
    found = np.zeros(len(case.counts), dtype=np.bool_)
    known = np.isfinite(weekly).sum(axis=0) >= LEAST_WEEKS
    recent, before = weekly[:2, known], weekly[2:, known]
    middle = np.nanmedian(before, axis=0)
    spread = NORMAL_MAD * np.nanmedian(np.abs(before - middle), axis=0)
    spread = np.maximum(spread, np.sqrt(middle))
    found[known] = (recent < middle - DEVIATIONS * spread).all(axis=0)
    return found


def _sums(counts: Ints, days: int, lag: int = 0) -> Floats:
    """Return the sum of so many days that end `lag` days ago, NaN where they are not all known."""
    running = np.concatenate([[0], np.cumsum(counts)]).astype(np.float64)
    result = np.full(len(counts), np.nan)
    first = days + lag - 1
    if first < len(counts):
        result[first:] = (
            running[days : len(counts) - lag + 1] - running[: len(counts) - lag - days + 1]
        )
    return result


def alerts(cases: Iterable[Case], fires: Callable[[Case], Bools]) -> list[Alert]:
    """Return what a rule says of all cases that are scored."""
    return [
        Alert(case.account_id, case.start + timedelta(days=day), "usage_drop")
        for case in cases
        if case.scored
        for day in raised(fires(case))
    ]


def raised(condition: Sequence[bool] | Bools) -> list[int]:
    """Return the days on which a condition becomes an alert.

    >>> raised([True] * 3 + [False] * 7 + [True] * 30)
    [0, 28]
    >>> raised([True] + [False] * 30 + [True])
    [0, 31]
    """
    days: list[int] = []
    armed, quiet = True, 0
    for day, holds in enumerate(condition):
        if not holds:
            quiet += 1
            armed = armed or quiet >= REARM
            continue
        quiet = 0
        if armed and (not days or day - days[-1] >= COOL_DOWN):
            days.append(day)
            armed = False
    return days


@cache
def off_days(country: str) -> frozenset[date]:
    """Return the public holidays of a country, the day after Thanksgiving among them."""
    named = holidays.country_holidays(country, years=range(2000, 2026))
    bridge = {day + timedelta(days=1) for day, name in named.items() if "Thanksgiving" in name}
    return frozenset(named) | frozenset(bridge)


def ordinary(case: Case) -> Bools:
    """Return which days are no public holidays and not between 20 December and 3 January."""
    days = [case.start + timedelta(days=i) for i in range(len(case.counts))]
    off = off_days(case.country)
    return np.array(
        [
            day not in off
            and not (day.month == 12 and day.day >= 20)
            and not (day.month == 1 and day.day <= 3)
            for day in days
        ]
    )
