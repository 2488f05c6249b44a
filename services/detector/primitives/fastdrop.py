"""`fastdrop`: the last week lies far below the eight weeks before it (signals.md, primitives)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from schemas.alerts import SEVERITIES
from services.detector.primitives import baseline, day, fall, record, weekly
from services.detector.primitives.arrays import pick, settled, share, total
from services.detector.primitives.baseline import Baseline
from services.detector.primitives.day import Bools, Floats, Ints, Series, Verdicts
from services.detector.primitives.weekly import Weeks

BEFORE_WEEKS = 8
"""Weeks 2 to 9, whose median is the level before (signals.md)."""
LEAST_WEEKS = 5
"""Of these, how many must count: with fewer the median is that of half a holiday season."""
MEDIAN_SHARE = 2 / np.pi
"""Efficiency of a median beside a mean for normal noise: how much of the count stands behind it."""
LEAD_DAYS = 42
"""Days from a fall of usage to the cancellation call (signals.md A26)."""
HIGH_RATIO, CRITICAL_RATIO = 0.5, 0.25
"""Ratios of the week at or below which it is high or critical."""


class FastDropParams(baseline.MetricParams):
    """Parameters of `fastdrop`.

    Args:
        metric: See `MetricParams`.
        fall: Share of the level that must be missing, in (0, 1). Half of it ends the alert.
        evidence: Standard deviations by which noise and drift must be ruled out, > 0; as `drop`.

    Source:
        signals.md, primitives, and A26.
    """

    fall: float = Field(0.3, gt=0, lt=1)
    evidence: float = Field(2.75, gt=0, le=10)


class FastDrop:
    """Says which accounts used far less last week than in the median of the eight weeks before.

    Weeks are compared by their ordinary weekdays: masked days are out on both sides, and a week
    with fewer than four open days is left out. The gap is weighed by the account's own weekly
    noise and drift, as in `drop`; nothing asks whether it lasts, and that is its price.

    When it is wrong: a single quiet week is a true fall of that week, so it fires on most dips
    that `drop` waits out; hence it ships in shadow. It is blind to slow falls: the median follows.

    Source:
        signals.md, primitives and A26; noise and drift: detection.md §1.
    """

    name: ClassVar[str] = "fastdrop"
    Params: ClassVar[type[day.Params]] = FastDropParams
    combines: ClassVar[bool] = False

    @staticmethod
    def kind(params: FastDropParams) -> str:  # noqa: ARG004
        """Return `usage_drop`: for a person it is the same thing, sooner."""
        return "usage_drop"

    @staticmethod
    def history_days(params: FastDropParams) -> int:  # noqa: ARG004
        """Return 210: the noise is that of half a year."""
        return baseline.HISTORY_DAYS

    @staticmethod
    def judge(series: Series, params: FastDropParams) -> Verdicts:
        """Judge every account of `series`; row i depends on row i alone.

        Args:
            series: Up to 210 days are read. The verdicts' `because` reads it again, when asked.
            params: Bounds in force.

        Returns:
            Verdicts; not told with fewer than 112 known or 28 open baseline days, fewer than four
            open days in the last week, fewer than five weeks before it that count, or where
            nothing is usual in them.
        """
        rows, old = baseline.learned(series)
        if not len(rows):
            return day.untold(len(series.known), lambda row: _because(series, params, row))
        found, size = _examine(old, params), len(series.known)
        fires, clears, told = np.zeros((3, size), dtype=np.bool_)
        severity = np.zeros(size, dtype=np.int8)
        fires[rows], clears[rows], told[rows] = found.fires, found.clears, found.told
        severity[rows] = _severity(found.ratio)
        return Verdicts(fires, clears, told, severity, lambda row: _because(series, params, row))


@dataclass(frozen=True, slots=True)
class _Found:
    """Statistics of a batch; `level` is the median of weeks 2 to 9, over what is usual.

    `posterior` is that of the true ratio: a and b of its beta-prime distribution, and the odds.
    """

    base: Baseline
    weeks: Weeks
    drift: Floats
    level: Floats
    expected: Floats
    ratio: Floats
    noise: Floats
    posterior: tuple[Floats, Floats, Floats]
    fires: Bools
    clears: Bools
    told: Bools


def _examine(series: Series, params: FastDropParams) -> _Found:
    """Return the statistics and verdicts for accounts that have a baseline."""
    base = baseline.measure(series)
    weeks = weekly.measure(series, base, 1 + BEFORE_WEEKS)
    drift = baseline.drift(series.swings)
    level = weekly.median(weeks.level[1:])
    observed, expected = weeks.observed[0], weeks.expected[0] * level
    behind = MEDIAN_SHARE * total(np.where(weeks.used[1:], weeks.observed[1:], 0.0))
    noise = base.variance(observed, behind)
    ratio = settled(share(observed, expected))
    many = np.count_nonzero(weeks.used[1:], axis=0)
    told = baseline.tellable(base) & weeks.used[0] & (many >= LEAST_WEEKS) & (level > 0)
    weight = noise / (noise + drift)
    a, b = (weight * (count / base.dispersion + 0.5) for count in (observed, behind))
    odds = share(expected, behind)
    fires = told & (ratio <= settled(np.asarray(1 - params.fall)))
    rows = np.flatnonzero(fires)
    sure = fall.evidence(fall.below(1.0, a[rows], b[rows], odds[rows]))
    fires[rows] = sure >= settled(params.evidence * base.patience[rows])
    return _Found(
        base=base,
        weeks=weeks,
        drift=drift,
        level=level,
        expected=expected,
        ratio=ratio,
        noise=noise,
        posterior=(a, b, odds),
        fires=fires,
        clears=told & (ratio > settled(np.asarray(1 - params.fall / 2))),
        told=told,
    )


def _severity(ratio: Floats) -> Ints:
    """Return indices into `SEVERITIES` by depth."""
    medium, high, critical = (SEVERITIES.index(name) for name in ("medium", "high", "critical"))
    return np.where(ratio <= CRITICAL_RATIO, critical, np.where(ratio <= HIGH_RATIO, high, medium))


def _because(series: Series, params: FastDropParams, row: int) -> dict[str, Any]:
    """Return the evidence of one account; the window is the last week."""
    one = pick(series, np.array([row]))
    found = _examine(one, params)
    base, weeks = found.base, found.weeks
    seen = float(-np.expm1(-2.9 * np.sqrt(found.noise[0] + found.drift[0])))
    many = np.count_nonzero(weeks.used[1:, 0])
    probability = fall.below(1.0, *found.posterior)
    since = record.since(base, range(1, 15))
    return {
        "window": record.span(series.day - 6, series.day, base.open_days[7, 0]),
        "before": record.span(series.day - 7 * (1 + BEFORE_WEEKS) + 1, series.day - 7, 7 * many),
        "observed": record.plain(weeks.observed[0, 0]),
        "expected": record.plain(found.expected[0]),
        "ratio": record.plain(found.ratio[0]),
        "ratio_interval90": record.interval90(*found.posterior),
        "probability": record.plain(probability[0]),
        "evidence": record.plain(fall.evidence(probability)[0]),
        "weeks_before": int(many),
        "week_levels": [record.plain(level) for level in weeks.level[::-1, 0]],
        "median_level": record.plain(found.level[0]),
        **record.account(base, found.drift),
        "smallest_detectable_drop": record.plain(max(params.fall, seen)),
        "masked_days": record.masked_days(series.day, one.masked[0], one.known[0], 7),
        "since_estimate": since,
        "lead_days": LEAD_DAYS,
        "lead_days_left": LEAD_DAYS - (series.day - record.day_of(since)),
        "thresholds_in_force": {
            **params.model_dump(exclude={"metric"}),
            "evidence_asked": record.plain(params.evidence * base.patience[0]),
            "clear": record.plain(1 - params.fall / 2),
        },
    }
