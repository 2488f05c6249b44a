"""`stop`: usage has all but ended, all at once (detection.md §2)."""

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from pydantic import Field

from schemas.alerts import SEVERITIES
from services.detector.primitives import baseline, day, fall, record
from services.detector.primitives.arrays import pick, settled, share, total
from services.detector.primitives.baseline import LAG, Baseline
from services.detector.primitives.day import Floats, Found, Series, Verdicts

JUDGED_DAYS = 7
"""Unmasked days that are judged (detection.md §2)."""
HALF = 0.5
"""The true ratio that must be ruled out (detection.md §2)."""


class StopParams(baseline.MetricParams):
    """Parameters of `stop`.

    Args:
        metric: See `MetricParams`.
        ratio: Highest observed / expected of seven unmasked days that fires, in [0, .5).
        probability: Least probability that usage is truly below half, in [.5, 1). It keeps quiet
            accounts out, for which seven empty days say little.
        clear: Lowest ratio of 28 days at which the account has recovered, in [.5, 1].

    Source:
        detection.md §2; the clear condition is that of `drop`, signals.md.
    """

    ratio: float = Field(0.10, ge=0, lt=HALF)
    probability: float = Field(0.999, ge=0.5, lt=1)
    clear: float = Field(0.92, ge=HALF, le=1)


class Stop:
    """Says which accounts have stopped within the last seven days that count.

    When it is wrong: it adds no false alarms to those of `drop` on the accounts measured, and finds
    a silence of a busy account after 7 days instead of 21. Accounts with little usage never
    satisfy it: `silence` is for them.

    Source:
        detection.md §2: the baseline of §1, its dispersion but at least 1, no cap and no drift.
    """

    name: ClassVar[str] = "stop"
    Params: ClassVar[type[day.Params]] = StopParams
    combines: ClassVar[bool] = False
    adapts: ClassVar[bool] = True
    rearms: ClassVar[day.Rearms] = "relearned"

    @staticmethod
    def kind(params: StopParams) -> str:  # noqa: ARG004
        """Return `usage_drop`: for a person it is the same thing, sooner."""
        return "usage_drop"

    @staticmethod
    def history_days(params: StopParams) -> int:  # noqa: ARG004
        """Return 210: four weeks and half a year before them."""
        return baseline.HISTORY_DAYS

    @staticmethod
    def judge(series: Series, params: StopParams) -> Verdicts:
        """Judge every account of `series`; row i depends on row i alone.

        Args:
            series: Up to 210 days are read. The verdicts' `because` reads it again, when asked.
            params: Bounds in force.

        Returns:
            Verdicts, always critical; not told on a masked day, with fewer than 112 known or 28
            open baseline days, fewer than 7 unmasked days in the last 28, or where nothing is
            usual. An account clears only with 14 unmasked days in the last 28, as in `drop`.
        """
        return baseline.judge(series, params, _examine, _because)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found(Found):
    """Statistics of a batch; `span` is the lag of the oldest judged day, `odds` is E/B."""

    base: Baseline
    span: Floats
    observed: Floats
    expected: Floats
    a: Floats
    b: Floats
    odds: Floats
    probability: Floats


def _examine(series: Series, params: StopParams) -> _Found:
    """Return the statistics and verdicts for accounts that have a baseline."""
    base = baseline.measure(series)
    observed, expected, days, span = _last_days(base)
    told = baseline.tellable(base) & (base.used[0] > 0) & (days == JUDGED_DAYS) & (expected > 0)
    noise = np.maximum(1.0, base.dispersion)
    a, b = observed / noise + 0.5, base.total / noise + 0.5
    odds = share(expected, base.total)
    probability = settled(fall.below(HALF, a, b, odds))
    low = settled(share(observed, expected)) <= params.ratio
    ratio = settled(base.ratio(LAG))
    back = (ratio >= params.clear) & (base.open_days[LAG] >= baseline.OPEN_DAYS)
    return _Found(
        fires=told & low & (probability >= params.probability),
        clears=told & back,
        told=told,
        severity=np.full(len(told), SEVERITIES.index("critical")),
        ratio_28=ratio,
        base=base,
        span=span,
        observed=observed,
        expected=expected,
        a=a,
        b=b,
        odds=odds,
        probability=probability,
    )


def _last_days(base: Baseline) -> tuple[Floats, Floats, Floats, Floats]:
    """Return count, usual count, number and oldest lag of the last seven unmasked of 28 days."""
    used = base.used[:LAG]
    judged = used * (np.cumsum(used, axis=0) <= JUDGED_DAYS)
    usual = np.tile(base.usual, (LAG // 7, 1))
    lags = np.arange(LAG, dtype=np.float64)[:, np.newaxis]
    span = cast(Floats, (judged * lags).max(axis=0))
    observed, expected = total(base.counts[:LAG] * judged), total(usual * judged)
    return observed, expected, total(judged), span


def _because(series: Series, params: StopParams, row: int) -> dict[str, Any]:
    """Return the evidence of one account; `drift_sd` describes it and is not in `probability`."""
    one = pick(series, np.array([row]))
    found = _examine(one, params)
    days, drift = int(found.span[0]) + 1, baseline.drift(one)
    return {
        "window": record.span(series.day - days + 1, series.day, JUDGED_DAYS),
        "observed": record.plain(found.observed[0]),
        "expected": record.plain(found.expected[0]),
        "ratio": record.plain(share(found.observed, found.expected)[0]),
        "ratio_28": record.plain(found.base.ratio(LAG)[0]),
        "ratio_interval90": record.interval90(found.a, found.b, found.odds),
        "probability": record.plain(found.probability[0]),
        **record.account(found.base, drift),
        **record.smallest_drop(found.base, drift, params.ratio),
        "dispersion": record.plain(np.maximum(1.0, found.base.dispersion[0])),
        "masked_days": record.masked_days(series.day, one.masked[0], one.known[0], days),
        "since_estimate": record.since(found.base, range(JUDGED_DAYS, baseline.RECENT_DAYS + 1)),
        "thresholds_in_force": params.model_dump(exclude={"metric"}),
    }
