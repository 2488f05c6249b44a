"""Weeks of an account beside each other, whatever days of them were masked."""

from dataclasses import dataclass

import numpy as np

from services.detector.primitives.arrays import by_lag, share, total
from services.detector.primitives.baseline import Baseline, days_of
from services.detector.primitives.day import Bools, Floats, Ints, Series

OPEN_DAYS = 4
"""Unmasked days below which a week is left out: more than half of it would be a guess."""


@dataclass(frozen=True, slots=True)
class Weeks:
    """Weeks of seven days, newest first; each (weeks, accounts).

    Args:
        observed: Count of the unmasked known days.
        expected: What these days would bring by the weekdays of the baseline, its cap not applied.
        used: Whether the week counts: known whole, at least `OPEN_DAYS` open, something usual.
        level: observed / expected; NaN where the week does not count.
    """

    observed: Floats
    expected: Floats
    used: Bools
    level: Floats


def measure(series: Series, base: Baseline, weeks: int) -> Weeks:
    """Return the newest weeks of each account.

    A masked day is taken out on both sides, so a week with a holiday stands at the level of its
    ordinary days; a week with fewer than `OPEN_DAYS` of them is left out, not scaled up.

    Args:
        series: Accounts that have a baseline.
        base: From `baseline.measure` of the same series; only its weekdays are used, the level of
            the baseline cancels out wherever weeks are compared.
        weeks: How many, 1..30.
    """
    counts, open_ = (rows.reshape(weeks, 7, -1) for rows in by_lag(series, 7 * weeks))
    observed = total(counts[:, k] for k in range(7))
    expected = total(base.usual[k] * open_[:, k] for k in range(7))
    days = total(open_[:, k] for k in range(7))
    whole = np.arange(7, 7 * weeks + 1, 7)[:, np.newaxis] <= days_of(series)
    used = whole & (days >= OPEN_DAYS) & (expected > 0)
    level = np.where(used, share(observed, expected), np.nan)
    return Weeks(observed, expected, used, level)


def median(rows: Floats) -> Floats:
    """Return the median of the first axis, NaN left out, (accounts,); NaN where all are."""
    ordered = np.sort(rows, axis=0)  # NaN last
    many: Ints = np.count_nonzero(~np.isnan(rows), axis=0)
    column = np.arange(rows.shape[1])
    low, high = np.maximum(many - 1, 0) // 2, np.minimum(many // 2, len(rows) - 1)
    middle: Floats = (ordered[low, column] + ordered[high, column]) / 2
    return middle
