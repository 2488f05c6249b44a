"""The parts of an alert's evidence that several primitives share (detection.md §7): plain JSON."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from services.detector.primitives.arrays import settled
from services.detector.primitives.baseline import (
    LAG,
    WEEKS,
    Baseline,
    drift,
    learned,
    measure,
    smallest_fall,
    tellable,
)
from services.detector.primitives.day import Bools, Floats, Series
from services.detector.primitives.fall import gain

THURSDAY = 3
"""Weekday of day 0, 1970-01-01; Monday is 0."""


def iso(day: int) -> str:
    """Return a day since 1970-01-01 as an ISO date."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def day_of(iso_date: str) -> int:
    """Return the day since 1970-01-01 of an ISO date."""
    return (date.fromisoformat(iso_date) - date(1970, 1, 1)).days


def plain(number: Any) -> float | None:
    """Return a number as it stands in a record: a plain float of 6 decimals, `None` for NaN."""
    return None if np.isnan(number) else round(float(number), 6)


def span(first: int, last: int, days_used: Any) -> dict[str, Any]:
    """Return a stretch of days, both ends included, and how many of them counted."""
    return {"from": iso(first), "to": iso(last), "days_used": int(days_used)}


def masked_days(day: int, masked: Bools, known: Any, days: int) -> list[str]:
    """Return the known masked days among the last `days`, oldest first.

    Args:
        day: The judged day.
        masked: Shape (days of the series,); the row of one account, the last column is `day`.
        known: The account's known days.
        days: How far back to look.
    """
    reach = min(days, int(known), len(masked))
    lags = np.flatnonzero(masked[::-1][:reach])
    return [iso(day - int(lag)) for lag in lags[::-1]]


def interval90(a: Floats, b: Floats, odds: Floats) -> list[float | None]:
    """Return the middle 90 % of a rate ratio whose beta-prime posterior is (a, b).

    Args:
        a: Shape (1,); first parameter, from the window's count.
        b: Shape (1,); second parameter, from the baseline's count.
        odds: Shape (1,); expected / baseline count, >= 0: the posterior's odds at ratio 1.

    Source:
        detection.md §1.6: P(ratio < r) = I_{rx/(1+rx)}(a, b); here solved for r.
    """
    ends = [float(betaincinv(a, b, p)[0]) for p in (0.05, 0.95)]
    # Where next to nothing is usual no ratio is bounded from above: there is no number to tell.
    boundless = odds[0] == 0
    return [None if boundless or end == 1 else plain(end / (1 - end) / odds[0]) for end in ends]


def account(base: Baseline, drift_variance: Floats) -> dict[str, Any]:
    """Return what the evidence says of the account itself, whatever the window.

    Args:
        base: The baseline of one account.
        drift_variance: Shape (1,); tau^2 of detection.md §1.4.
    """
    reach = max(0, min(int(base.known[0]) - LAG, 7 * WEEKS))
    last = base.day - LAG
    return {
        "baseline": span(last - reach + 1, last, base.days[0]),
        "dispersion": plain(base.dispersion[0]),
        "drift_sd": plain(np.sqrt(drift_variance[0])),
        "usual_week": _usual_week(base),
        "weekly": [_week(base, weeks_ago) for weeks_ago in range(7, -1, -1)],
    }


def smallest_drop(base: Baseline, drift_variance: Floats, ratio: float) -> dict[str, Any]:
    """Return the smallest fall that a rule would have told of the account.

    Args:
        base: The baseline of one account.
        drift_variance: Shape (1,); tau^2 of detection.md §1.4.
        ratio: Highest observed / expected that fires.
    """
    least = smallest_fall(base, drift_variance, ratio)[0]
    return {"smallest_detectable_drop": plain(least)}


def since(base: Baseline, ages: Sequence[int]) -> str:
    """Return the day since which a lasting fall explains most, ISO; `ages` are the days tried."""
    rows = list(ages)
    best = int(np.argmax(gain(base, base.observed[rows], base.expected[rows])[:, 0]))
    return iso(base.day - rows[best] + 1)


def habits(series: Series) -> NDArray[np.int64]:
    """Return what is usual of each series, as people are shown it.

    Args:
        series: Any number of accounts.

    Returns:
        Shape (accounts, 9), thousandths of three digits that count: what is usual on an open
        Monday, Tuesday ... Sunday, the dispersion phi, the drift tau; all 0 where nothing is usual,
        or not yet.

    Source:
        detection.md §1.1 to §1.4.
    """
    result = np.zeros((len(series.known), 9), dtype=np.int64)
    rows, old = learned(series)
    if len(rows):
        base, tau2 = measure(old), drift(old)
        week = [base.cap * base.usual[lag] for lag in _lags(base.day)]
        told = np.stack([*week, base.dispersion, np.sqrt(tau2)], axis=1)
        whole = _three_digits(np.rint(1000 * settled(told)).astype(np.int64))
        result[rows] = np.where(tellable(base)[:, np.newaxis], whole, 0)
    return result


_POWERS = 10 ** np.arange(18, dtype=np.int64)


def _three_digits(whole: NDArray[np.int64]) -> NDArray[np.int64]:
    digits = np.searchsorted(_POWERS, whole, side="right")
    unit = _POWERS[np.maximum(digits - 3, 0)]
    rounded: NDArray[np.int64] = (whole + unit // 2) // unit * unit
    return rounded


def _lags(day: int) -> list[int]:
    """Return how many days before a day the last Monday, Tuesday ... Sunday were."""
    return [(day + THURSDAY - weekday) % 7 for weekday in range(7)]


def _usual_week(base: Baseline) -> list[float | None]:
    """Return what is usual on an open Monday, Tuesday ... Sunday."""
    return [plain(base.cap[0] * base.usual[lag, 0]) for lag in _lags(base.day)]


def _week(base: Baseline, weeks_ago: int) -> dict[str, float | None]:
    """Return observed and expected of the seven days that ended so many weeks ago."""
    near, far = 7 * weeks_ago, 7 * weeks_ago + 7
    return {
        "observed": plain(base.observed[far, 0] - base.observed[near, 0]),
        "expected": plain(base.expected[far, 0] - base.expected[near, 0]),
    }
