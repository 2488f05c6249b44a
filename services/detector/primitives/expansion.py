"""`expansion`: usage has risen and stays up (detection.md §1, last paragraph)."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.special import expm1

from schemas.alerts import SEVERITIES
from services.detector.primitives import baseline, day, fall, record
from services.detector.primitives.arrays import pick, settled, share
from services.detector.primitives.baseline import LAG, Baseline
from services.detector.primitives.day import Bools, Floats, Found, Series, Verdicts

FORTNIGHT = 14


class ExpansionParams(baseline.MetricParams):
    """Parameters of `expansion`.

    Args:
        metric: See `MetricParams`.
        ratio: Lowest observed / expected of 28 days that fires, in (1, 10].
        probability: Least P(true ratio > 1), in [.5, 1).
        lasting: Share of the rise that each fortnight and the last week must have, in [0, 1]. At
            .7 no fortnight of higher use passes, wherever it lies in the 28 days.
        clear: Ratio of 28 days below which the rise is over, in (0, ratio).

    Source:
        detection.md §1, last paragraph; signals.md A24.
    """

    ratio: float = Field(1.2, gt=1, le=10)
    probability: float = Field(0.998, ge=0.5, lt=1)
    lasting: float = Field(0.7, ge=0, le=1)
    clear: float = Field(1.1, gt=0, le=10)

    @model_validator(mode="after")
    def _clears_below_where_it_fires(self) -> Self:
        """Refuse a pair that would fire and clear on the same day."""
        if self.clear >= self.ratio:
            raise ValueError(f"clear ({self.clear}) must be below ratio ({self.ratio})")
        return self


class Expansion:
    """Says which accounts use clearly more than their half-year level, and keep doing so.

    The mirror of the window test of `drop`: the last 28 days against what these weekdays brought
    over half a year, weighed by the account's own noise and drift. Strong weeks of the baseline
    are not cut, as they are for a fall: growth of what was cut would be no growth.

    When it is wrong: a spike of four weeks and a season that begins look like growth; the growth
    of an account that swings by itself, or of fewer than a handful of events a month, is missed.

    Source:
        detection.md §1, last paragraph.
    """

    name: ClassVar[str] = "expansion"
    Params: ClassVar[type[day.Params]] = ExpansionParams
    combines: ClassVar[bool] = False
    adapts: ClassVar[bool] = True
    rearms: ClassVar[day.Rearms] = "relearned"

    @staticmethod
    def kind(params: ExpansionParams) -> str:  # noqa: ARG004
        """Return `expansion`."""
        return "expansion"

    @staticmethod
    def history_days(params: ExpansionParams) -> int:  # noqa: ARG004
        """Return 210: four judged weeks and half a year before them."""
        return baseline.HISTORY_DAYS

    @staticmethod
    def judge(series: Series, params: ExpansionParams) -> Verdicts:
        """Judge every account of `series`; row i depends on row i alone.

        Args:
            series: Up to 210 days are read. The verdicts' `because` reads it again, when asked.
            params: Bounds in force.

        Returns:
            Verdicts, always low: nothing is at risk; not told with fewer than 112 known or 28 open
            baseline days, fewer than 14 unmasked days in the last 28, or where nothing is usual.
        """
        return baseline.judge(series, params, _examine, _because)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found(Found):
    """Statistics of a batch; `base` is without the cap."""

    base: Baseline
    drift: Floats
    ratio: Floats


def _examine(series: Series, params: ExpansionParams) -> _Found:
    """Return the statistics and verdicts for accounts that have a baseline."""
    capped = baseline.measure(series)
    base = replace(capped, expected=capped.expected / capped.cap, cap=np.ones_like(capped.cap))
    drift = baseline.drift(series)
    ratio = settled(base.ratio(LAG))
    told = baseline.tellable(base) & (base.open_days[LAG] >= baseline.OPEN_DAYS)
    fires = told & (ratio >= params.ratio) & _stays(base, params)
    rows = np.flatnonzero(fires)
    posterior = (part[rows] for part in fall.posterior(base, drift, LAG))
    fires[rows] = _probability(*posterior) >= params.probability
    return _Found(
        fires=fires,
        clears=told & (ratio < params.clear),
        told=told,
        severity=np.full(len(told), SEVERITIES.index("low")),
        base=base,
        drift=drift,
        ratio=ratio,
    )


def _probability(a: Floats, b: Floats, odds: Floats) -> Floats:
    """Return P(true ratio > 1) of a posterior."""
    return settled(1.0 - fall.below(1.0, a, b, odds))


def _stays(base: Baseline, params: ExpansionParams) -> Bools:
    """Return where both fortnights and the last week have their share of the rise.

    A stretch that is masked whole is not known to be up.
    """
    least = settled(1 + params.lasting * (base.ratio(LAG) - 1))
    first, last = (side[LAG] - side[FORTNIGHT] for side in (base.observed, base.expected))
    up: Bools = settled(share(first, last)) >= least
    return up & (settled(base.ratio(FORTNIGHT)) >= least) & (settled(base.ratio(7)) >= least)


def _because(series: Series, params: ExpansionParams, row: int) -> dict[str, Any]:
    """Return the evidence of one account."""
    one = pick(series, np.array([row]))
    found = _examine(one, params)
    base = found.base
    posterior = fall.posterior(base, found.drift, LAG)
    noise = base.variance(base.observed[LAG], base.total)
    seen = expm1(baseline.SEEN_FROM * np.sqrt(noise + found.drift))[0]
    return {
        "window": record.span(series.day - LAG + 1, series.day, base.open_days[LAG, 0]),
        "observed": record.plain(base.observed[LAG, 0]),
        "expected": record.plain(base.expected[LAG, 0]),
        "ratio": record.plain(found.ratio[0]),
        "ratio_interval90": record.interval90(*posterior),
        "probability": record.plain(_probability(*posterior)[0]),
        "ratio_first_fortnight": record.plain(
            share(base.observed[28] - base.observed[14], base.expected[28] - base.expected[14])[0]
        ),
        "ratio_last_fortnight": record.plain(base.ratio(FORTNIGHT)[0]),
        "ratio_last_week": record.plain(base.ratio(7)[0]),
        **record.account(base, found.drift),
        "smallest_detectable_rise": record.plain(max(params.ratio - 1, seen)),
        "masked_days": record.masked_days(series.day, one.masked[0], one.known[0], LAG),
        "thresholds_in_force": params.model_dump(exclude={"metric"}),
    }
