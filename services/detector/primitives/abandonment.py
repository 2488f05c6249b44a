"""`abandonment`: a tracked feature is hardly used any more, while the account goes on (§6)."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.special import ndtri

from schemas.alerts import SEVERITIES
from services.detector.primitives import baseline, day, fall, record
from services.detector.primitives.arrays import pick, settled, share
from services.detector.primitives.baseline import LAG, Baseline
from services.detector.primitives.day import Floats, Found, Series, Verdicts

GONE_RATIO = 0.1
"""Ratio at or below which a feature is as good as given up, and the alert high."""


class AbandonmentParams(day.Params):
    """Parameters of `abandonment`.

    Args:
        metric: `@features`: every feature that `metrics.toml` names.
        ratio: Highest observed / expected of 28 days that fires, in (0, 1), after the account's
            own fall is taken out of what is expected.
        probability: Least P(true ratio < the account's own), in [.5, 1).
        clear: Lowest such ratio at which the feature is back, in (ratio, 1].

    Source:
        detection.md §6.
    """

    metric: Literal["@features"] = "@features"
    ratio: float = Field(0.5, gt=0, lt=1)
    probability: float = Field(0.998, ge=0.5, lt=1)
    clear: float = Field(0.75, gt=0, le=1)

    @model_validator(mode="after")
    def _clears_above_where_it_fires(self) -> Self:
        """Refuse a pair that would fire and clear on the same day."""
        if self.clear <= self.ratio:
            raise ValueError(f"clear ({self.clear}) must be above ratio ({self.ratio})")
        return self


class Abandonment:
    """Says which features an account has given up, beyond what it has given up as a whole.

    Asks of each feature what `drop` asks of a metric, with what is expected lowered to the
    account's own total ratio (never raised): a general fall is told once, by `drop`, and not once
    for every feature. Rows are features; `Series.whole` holds their account's meaningful usage.

    When it is wrong: a feature that was most of the usage takes the total with it, and is then
    told by `drop` alone; work that is done once a quarter looks given up in between, until half a
    year has shown the account's own swings; a renamed feature that nobody declared is a loss.

    Source:
        detection.md §6; §1 steps 1 to 8.
    """

    name: ClassVar[str] = "abandonment"
    Params: ClassVar[type[day.Params]] = AbandonmentParams
    combines: ClassVar[bool] = False
    adapts: ClassVar[bool] = True
    rearms: ClassVar[day.Rearms] = "cleared"

    @staticmethod
    def kind(params: AbandonmentParams) -> str:  # noqa: ARG004
        """Return `feature_abandoned`."""
        return "feature_abandoned"

    @staticmethod
    def history_days(params: AbandonmentParams) -> int:  # noqa: ARG004
        """Return 210: four judged weeks and half a year before them."""
        return baseline.HISTORY_DAYS

    @staticmethod
    def judge(series: Series, params: AbandonmentParams) -> Verdicts:
        """Judge every feature of `series`; row i depends on row i alone, and its `whole`.

        Args:
            series: Up to 210 days are read. The verdicts' `because` reads it again, when asked.
            params: Bounds in force.

        Returns:
            Verdicts; not told with fewer than 112 known or 28 open baseline days, fewer than 14
            unmasked days in the last 28, or where nothing is usual. Where the total cannot be
            told, or there is none, the feature is judged by itself.
        """
        return baseline.judge(series, params, _examine, _because)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found(Found):
    """Statistics of a batch; `base` expects what is left to expect of the account's total."""

    base: Baseline
    drift: Floats
    own: Floats
    ratio: Floats
    alone: Floats
    lead: Floats
    asked: Floats


def _examine(series: Series, params: AbandonmentParams) -> _Found:
    """Return the statistics and verdicts for features that have a baseline."""
    alone = baseline.measure(series)
    drift, own = baseline.drift(series), own_ratio(series)
    base = replace(alone, expected=alone.expected * own)
    ratio = settled(base.ratio(LAG))
    asked = settled(ndtri(params.probability) * base.patience)
    lead = fall.lead(base)
    told = baseline.tellable(alone) & (base.open_days[LAG] >= baseline.OPEN_DAYS)
    low = told & (ratio <= params.ratio) & (lead >= asked)
    low &= fall.still_low(base, LAG) & fall.deep_without_worst(base)
    high, medium = SEVERITIES.index("high"), SEVERITIES.index("medium")
    still = settled(alone.ratio(LAG))
    return _Found(
        fires=fall.sure(low, fall.posterior(base, drift, LAG), asked),
        clears=told & (ratio >= params.clear),
        told=told,
        severity=np.where(ratio <= GONE_RATIO, high, medium),
        usual=settled(own),
        over=lambda place, usual: bool(still[place] >= params.clear * max(own[place], usual)),
        base=base,
        drift=drift,
        own=own,
        ratio=ratio,
        alone=still,
        lead=lead,
        asked=asked,
    )


def own_ratio(series: Series) -> Floats:
    """Return g of detection.md §6: the account's own total ratio of 28 days, at most 1.

    Args:
        series: Features; `whole` holds the total of each one's account.

    Returns:
        Shape (features,); 1 where the total cannot be told.
    """
    own = np.ones(len(series.known))
    if series.whole is None:
        return own
    rows, old = baseline.learned(series.whole)
    if len(rows):
        base = baseline.measure(old)
        told = baseline.tellable(base) & (base.open_days[LAG] >= baseline.OPEN_DAYS)
        own[rows] = np.where(told, np.minimum(1.0, np.where(told, base.ratio(LAG), 1.0)), 1.0)
    return own


def _because(series: Series, params: AbandonmentParams, row: int) -> dict[str, Any]:
    """Return the evidence of one feature."""
    one = pick(series, np.array([row]))
    found = _examine(one, params)
    base, posterior = found.base, fall.posterior(found.base, found.drift, LAG)
    probability = fall.below(1.0, *posterior)
    return {
        "window": record.span(series.day - LAG + 1, series.day, base.open_days[LAG, 0]),
        "observed": record.plain(base.observed[LAG, 0]),
        "expected": record.plain(base.expected[LAG, 0]),
        "expected_alone": record.plain(share(base.expected[LAG], found.own)[0]),
        "ratio": record.plain(found.ratio[0]),
        "ratio_alone": record.plain(found.alone[0]),
        "account_ratio": record.plain(found.own[0]),
        "ratio_interval90": record.interval90(*posterior),
        "probability": record.plain(probability[0]),
        "evidence": record.plain(fall.evidence(probability)[0]),
        "lasting": record.plain(found.lead[0]),
        **record.account(base, found.drift),
        **record.smallest_drop(base, found.drift, params.ratio),
        "masked_days": record.masked_days(series.day, one.masked[0], one.known[0], LAG),
        "since_estimate": record.since(base, fall.LASTING_DAYS),
        "thresholds_in_force": {
            **params.model_dump(exclude={"metric"}),
            "evidence_asked": record.plain(found.asked[0]),
        },
    }
