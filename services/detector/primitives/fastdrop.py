"""`fastdrop`: the last week lies far below the eight weeks before it (signals.md, primitives)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from services.detector.primitives import baseline, day, fall, record, weekly
from services.detector.primitives.arrays import pick, settled, share, total
from services.detector.primitives.baseline import Baseline
from services.detector.primitives.day import Floats, Found, Series, Verdicts
from services.detector.primitives.fall import Posterior
from services.detector.primitives.weekly import Weeks

WEEK, BEFORE_WEEKS = 7, 8
"""Days of a week, and weeks 2 to 9, whose median is the level before (signals.md)."""
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
    adapts: ClassVar[bool] = True
    rearms: ClassVar[day.Rearms] = "relearned"

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
        return baseline.judge(series, params, _examine, _because)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found(Found):
    """Statistics of a batch; `level` is the median of weeks 2 to 9, over what is usual.

    `posterior` is that of the true ratio: a and b of its beta-prime distribution, and the odds.
    """

    base: Baseline
    weeks: Weeks
    drift: Floats
    level: Floats
    expected: Floats
    ratio: Floats
    posterior: Posterior


def _examine(series: Series, params: FastDropParams) -> _Found:
    """Return the statistics and verdicts for accounts that have a baseline."""
    base = baseline.measure(series)
    weeks = weekly.measure(series, base, 1 + BEFORE_WEEKS)
    drift = baseline.drift(series)
    level = weekly.median(weeks.level[1:])
    observed, expected = weeks.observed[0], weeks.expected[0] * level
    ratio = settled(share(observed, expected))
    many = np.count_nonzero(weeks.used[1:], axis=0)
    told = baseline.tellable(base) & weeks.used[0] & (many >= LEAST_WEEKS) & (level > 0)
    low = told & (ratio <= settled(np.asarray(1 - params.fall)))
    posterior = fall.posterior_of(base, drift, observed, _behind(weeks), expected)
    week = total(base.usual[:WEEK])
    # What is left of a usual week where some of its days are masked.
    left = settled(share(observed * week, weeks.expected[0]))
    return _Found(
        fires=fall.sure(low, posterior, settled(params.evidence * base.patience)),
        clears=told & (ratio > settled(np.asarray(1 - params.fall / 2))),
        told=told,
        severity=fall.severity(ratio, CRITICAL_RATIO, HIGH_RATIO),
        usual=settled(week * level),
        over=lambda place, usual: bool(left[place] > (1 - params.fall / 2) * usual),
        base=base,
        weeks=weeks,
        drift=drift,
        level=level,
        expected=expected,
        ratio=ratio,
        posterior=posterior,
    )


def _behind(weeks: Weeks) -> Floats:
    """Return how much of the count of the weeks before stands behind their median, (accounts,)."""
    return MEDIAN_SHARE * total(np.where(weeks.used[1:], weeks.observed[1:], 0.0))


def _because(series: Series, params: FastDropParams, row: int) -> dict[str, Any]:
    """Return the evidence of one account; the window is the last week."""
    one = pick(series, np.array([row]))
    found = _examine(one, params)
    base, weeks = found.base, found.weeks
    noise = base.variance(weeks.observed[0], _behind(weeks))
    visible = baseline.visible(noise + found.drift)[0]
    many = np.count_nonzero(weeks.used[1:, 0])
    probability = fall.below(1.0, *found.posterior)
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
        "smallest_detectable_drop": record.plain(max(params.fall, visible)),
        "masked_days": record.masked_days(series.day, one.masked[0], one.known[0], 7),
        **_lead(base),
        "thresholds_in_force": {
            **params.model_dump(exclude={"metric"}),
            "evidence_asked": record.plain(params.evidence * base.patience[0]),
            "clear": record.plain(1 - params.fall / 2),
        },
    }


def _lead(base: Baseline) -> dict[str, Any]:
    """Return since when one account has been low, and the days from then to its cancellation."""
    since = record.since(base, range(1, 15))
    gone = base.day - record.day_of(since)
    return {"since_estimate": since, "lead_days": LEAD_DAYS, "lead_days_left": LEAD_DAYS - gone}
