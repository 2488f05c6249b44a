"""What is usual for an account: half a year of its own weekdays, noise and drift (detection.md §1).

Shared by all primitives that compare with it. Arrays here lie by lag: row k is k days before the
judged day, and two lags that agree modulo 7 are the same weekday; no calendar is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator
from scipy.special import expm1, xlogy

from services.detector.primitives.arrays import by_lag, pick, running, settled, share, total
from services.detector.primitives.day import (
    SWING_WEEKS,
    Bools,
    Floats,
    Found,
    Params,
    Series,
    Verdicts,
    spread,
    untold,
)

LAG = 28
"""Days between the judged day and the end of the baseline: the judged window itself."""
WEEKS = 26
"""Weeks of baseline, half a year (detection.md §1.1)."""
HISTORY_DAYS = LAG + 7 * WEEKS
"""Days of counts that are read, the judged day included."""
KNOWN_DAYS = LAG + 84
"""Days of own history below which an account is still being learned (detection.md §1.1)."""
BASELINE_DAYS = 28
"""Unmasked baseline days below which nothing fires (detection.md §1.9)."""
RECENT_DAYS = 56
"""Days kept one by one: what `drop` looks at (detection.md §1.8)."""
OPEN_DAYS = 14
"""Unmasked days among the last 28 below which the state is frozen (detection.md §1.9)."""
LOW_VOLUME = 8.0
"""Expected count in 28 days below which the page says "too little volume" (detection.md §1)."""
UNSEEABLE = 0.6
"""Smallest detectable drop above which the page says the same (detection.md §1)."""
SEEN_FROM = 2.9
"""Standard deviations from which a change can be seen (detection.md §1)."""
DROP_RATIO = 0.85
"""Ratio up to which a fall is told at all, unless a rule says otherwise (detection.md §1.6)."""

_Params = TypeVar("_Params", bound=Params)
_METRIC_FLAGS = ("@meaningful", "@core", "@high_value", "@people")


class MetricParams(Params):
    """Parameters that every rule over daily counts has.

    Args:
        metric: A metric's name, or a flag that stands for several: `@meaningful`, `@core`,
            `@high_value`, or `@people` for the distinct active people.
    """

    metric: str = Field(min_length=1)

    @field_validator("metric")
    @classmethod
    def _is_known_flag(cls, value: str) -> str:
        """Refuse a flag that nobody can set."""
        if value.startswith("@") and value not in _METRIC_FLAGS:
            raise ValueError(f"{value!r} is no flag: use one of {', '.join(_METRIC_FLAGS)}")
        return value


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is usual for each account of a batch, and what the last eight weeks held beside it.

    Args:
        day: The judged day, days since 1970-01-01.
        known: Shape (accounts,); days of own history, 0..210.
        counts: Shape (56, accounts); count of each recent day, 0 where the day is not used.
        used: Shape (56, accounts); 1 where the day is known and not masked, else 0.
        usual: Shape (7, accounts); mean count of an unmasked baseline day at lag k modulo 7.
        total: Shape (accounts,); Bsum of detection.md §1.1, the baseline's count.
        days: Shape (accounts,); unmasked baseline days, 0..182.
        dispersion: Shape (accounts,); phi of §1.2, >= .5, variance over mean of weekly counts.
        cap: Shape (accounts,); share of the baseline left when its strong weeks are cut, §1.3.
        patience: Shape (accounts,); q of §1.5, >= 1 while the history is short.
        observed: Shape (57, accounts); row k is the count of the last k days.
        expected: Shape (57, accounts); the same, as it would be usual; the cap is applied.
        open_days: Shape (57, accounts); the same, unmasked days.

    Source:
        detection.md §1 steps 1 to 3 and 5.
    """

    day: int
    known: Floats
    counts: Floats
    used: Floats
    usual: Floats
    total: Floats
    days: Floats
    dispersion: Floats
    cap: Floats
    patience: Floats
    observed: Floats
    expected: Floats
    open_days: Floats

    def ratio(self, days: int) -> Floats:
        """Return observed / expected of the last `days` days, (accounts,); NaN if none is usual."""
        return share(self.observed[days], self.expected[days])

    def variance(self, observed: Floats, total: Floats) -> Floats:
        """Return the squared log error of counts beside the baseline: v of §1.6, (accounts,)."""
        noise = self.dispersion
        both: Floats = noise / (observed + 0.5 * noise) + noise / (total + 0.5 * noise)
        return both


def days_of(series: Series) -> NDArray[np.int64]:
    """Return how many days say what is usual, (accounts,): those known, since a new normal if any.

    Source:
        signals.md, `drop`: it ends with the new normal, which is what later days are compared with.
    """
    return series.known if series.fresh is None else np.minimum(series.known, series.fresh)


def learned(series: Series) -> tuple[NDArray[np.intp], Series]:
    """Return the rows known for long enough to have a baseline at all, and only these accounts."""
    found: tuple[NDArray[np.intp], Series] | None = series.memo.get("learned")
    if found is None:
        rows = np.flatnonzero(days_of(series) >= KNOWN_DAYS)
        found = rows, series if len(rows) == len(series.known) else pick(series, rows)
        series.memo["learned"] = found
    return found


def judge(
    series: Series,
    params: _Params,
    examine: Callable[[Series, _Params], Found],
    because: Callable[[Series, _Params, int], dict[str, Any]],
) -> Verdicts:
    """Return the verdicts of a primitive that needs a baseline.

    Args:
        series: Any number of accounts.
        params: Bounds in force.
        examine: Looks at the accounts that have been known for long enough, at least one.
        because: Says why, of any row of `series`; see `Verdicts`.
    """
    size, (rows, old) = len(series.known), learned(series)

    def why(row: int) -> dict[str, Any]:
        return because(series, params, row)

    return spread(examine(old, params), rows, size, why) if len(rows) else untold(size, why)


def measure(series: Series) -> Baseline:
    """Return what is usual for each account, and its last eight weeks.

    Args:
        series: Any number of accounts; only the last 210 days are read. An account with fewer than
            112 known days gets numbers that mean nothing: leave it out (`learned`).

    Returns:
        The baseline; all finite, 0 where no baseline day is open.

    Source:
        detection.md §1 steps 1 to 3 and 5; weeks are blocks that end 28, 35, ... days ago and lie
        wholly inside the known days, the baseline itself may be partial.
    """
    known: Baseline | None = series.memo.get("baseline")
    if known is None:
        known = series.memo["baseline"] = _measured(series)
    return known


def _measured(series: Series) -> Baseline:
    counts, used = by_lag(series, HISTORY_DAYS)
    known = days_of(series)
    if series.fresh is not None:
        fresh = np.arange(HISTORY_DAYS)[:, np.newaxis] < known
        counts, used = counts * fresh, used * fresh
    weekdays = (WEEKS, 7, len(series.known))
    blocks = counts[LAG:].reshape(weekdays), used[LAG:].reshape(weekdays)
    sums, opened = total(blocks[0]), total(blocks[1])
    baseline, days = total(sums), total(opened)
    mean = np.divide(baseline, days, out=np.zeros_like(baseline), where=days > 0)
    usual = np.divide(sums, opened, out=np.tile(mean, (7, 1)), where=opened > 0)
    weeks = _weeks(*blocks, usual, known)
    dispersion, cap, patience = _noise(*weeks)
    recent = counts[:RECENT_DAYS], used[:RECENT_DAYS]
    return Baseline(
        day=series.day,
        known=np.minimum(known, HISTORY_DAYS).astype(np.float64),
        counts=recent[0],
        used=recent[1],
        usual=usual,
        total=baseline,
        days=days,
        dispersion=dispersion,
        cap=cap,
        patience=patience,
        observed=running(recent[0]),
        expected=running(np.tile(usual * cap, (RECENT_DAYS // 7, 1)) * recent[1]),
        open_days=running(recent[1]),
    )


def _weeks(counts: Floats, used: Floats, usual: Floats, known: NDArray[Any]) -> tuple[Floats, ...]:
    """Return y, e and validity (1/0) of the baseline's weeks, each (26, accounts), 0 if invalid."""
    fits = np.arange(LAG + 7, HISTORY_DAYS + 1, 7)[:, np.newaxis] <= known
    e = total(usual[k] * used[:, k] for k in range(7))
    valid = (fits & (e > 0)).astype(np.float64)
    return total(counts[:, k] for k in range(7)) * valid, e * valid, valid


def _noise(y: Floats, e: Floats, valid: Floats) -> tuple[Floats, Floats, Floats]:
    """Return dispersion, cap and patience from the baseline's weeks (steps 2, 3 and 5)."""
    k = total(valid)
    excess = total(np.divide((y - e) ** 2, e, out=np.zeros_like(e), where=e > 0))
    phi = np.maximum(0.5, (6 + k / np.maximum(k - 1, 1) * excess) / (4 + k))
    kept = total(np.minimum(y, e + 2 * np.sqrt(phi * e)))
    weekly = total(y)
    cap = np.divide(kept, weekly, out=np.ones_like(kept), where=weekly > 0)
    return phi, cap, (1 + 6 / np.maximum(k, 1)) / (1 + 6 / WEEKS)


def swing(base: Baseline) -> Floats:
    """Return d of detection.md §1.4: the squared log deviation that noise does not explain.

    Args:
        base: From `measure`.

    Returns:
        Shape (accounts,); NaN where no baseline day is open. May be negative: only the sum of many
        is clamped, so that quiet accounts are not made to look restless.
    """
    observed, expected = base.observed[LAG], base.expected[LAG]
    # xlogy(1, x) is ln x by the scalar routine: numpy's vector logarithm may differ by position
    deviation = np.clip(xlogy(1.0, (observed + 0.5) / (expected + 0.5)), -0.7, 0.7)
    d = deviation**2 - base.variance(observed, base.total)
    return np.where(base.days > 0, d, np.nan)


def drift(series: Series) -> Floats:
    """Return tau^2, the variance of an account's own slow swings in log scale.

    Args:
        series: Any number of accounts. Columns 8 to 41 of their swings are used: newer ones overlap
            the judged weeks.

    Returns:
        Shape (accounts,); .05 squared without any week, >= 0.

    Source:
        detection.md §1.4.
    """
    known: Floats | None = series.memo.get("drift")
    if known is None:
        weekly = series.swings.T[8:SWING_WEEKS]
        there = ~np.isnan(weekly)
        quarter = total(there.astype(np.float64)) / 4
        moved = np.maximum(0.0, total(np.where(there, weekly, 0.0))) / 4
        known = series.memo["drift"] = (6 * 0.05**2 + moved) / (6 + quarter)
        # Others are given the same array.
        known.flags.writeable = False
    return known


def detectable(base: Baseline, drift_variance: Floats) -> Floats:
    """Return the smallest drop that the formula would see, (accounts,), 0..1 (detection.md §1)."""
    return visible(base.variance(base.observed[LAG], base.cap * base.total) + drift_variance)


def visible(variance: Floats) -> Floats:
    """Return the smallest fall that a variance in log scale lets see, 0..1 (detection.md §1)."""
    # expm1 from scipy for the reason of xlogy above
    return cast(Floats, -expm1(-SEEN_FROM * np.sqrt(variance)))


def smallest_fall(base: Baseline, drift_variance: Floats, ratio: float) -> Floats:
    """Return the smallest fall that a rule tells: what can be seen, and what it asks for.

    Args:
        base: From `measure`.
        drift_variance: Shape (accounts,); tau^2 of §1.4.
        ratio: Highest observed / expected that fires, 0..1.

    Returns:
        Shape (accounts,); share of what is usual, 0..1.
    """
    return np.maximum(1 - ratio, detectable(base, drift_variance))


def tellable(base: Baseline) -> Bools:
    """Return where a baseline stands and something is usual, (accounts,)."""
    told: Bools = (base.days >= BASELINE_DAYS) & (base.expected[LAG] > 0)
    return told


def states(series: Series) -> NDArray[np.str_]:
    """Return what the account page says of each series.

    Args:
        series: Any number of accounts.

    Returns:
        Shape (accounts,): `warming_up` (fewer than 112 known or 28 open baseline days), `holiday`
        (fewer than 14 unmasked days in the last 28: the verdict waits), `too_little_volume` (fewer
        than 8 events usual in 28 days, or only drops above 60 % could be seen; a hit still counts),
        else `ok`.

    Source:
        detection.md §1, last paragraph; signals.md B11.
    """
    result = np.full(len(series.known), "warming_up", dtype="<U18")
    rows, old = learned(series)
    if not len(rows):
        return result
    base = measure(old)
    least = settled(detectable(base, drift(old)))
    little = (settled(base.expected[LAG]) < LOW_VOLUME) | (least > UNSEEABLE)
    code = np.where(little, "too_little_volume", "ok")
    code = np.where(base.open_days[LAG] < OPEN_DAYS, "holiday", code)
    result[rows] = np.where(base.days < BASELINE_DAYS, "warming_up", code)
    return result


def smallest_drops(series: Series) -> NDArray[np.int64]:
    """Return the smallest drop that each series would show, as people are told it.

    Args:
        series: Any number of accounts.

    Returns:
        Shape (accounts,); whole percent, rounded up, 1..100; 0 where nothing can be said yet.

    Source:
        detection.md §1, last paragraph.
    """
    result = np.zeros(len(series.known), dtype=np.int64)
    rows, old = learned(series)
    if len(rows):
        base = measure(old)
        least = smallest_fall(base, drift(old), DROP_RATIO)
        percent = np.ceil(settled(100 * least)).astype(np.int64)
        result[rows] = np.where(tellable(base), percent, 0)
    return result
