"""`slowdrift`: usage has been sinking for a whole quarter (signals.md, primitives and B28)."""

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from pydantic import Field

from schemas.alerts import SEVERITIES
from services.detector.primitives import baseline, day, record, weekly
from services.detector.primitives.arrays import pick, settled, share, total
from services.detector.primitives.baseline import LAG, Baseline
from services.detector.primitives.day import Floats, Found, Series, Verdicts
from services.detector.primitives.weekly import Weeks

WEEKS = 13
"""A quarter (signals.md B28)."""
LEAST_WEEKS = 10
"""Weeks that must count: with fewer the ends of the line hang in the air."""
ENDS_VARIANCE = 144 * 12 / (WEEKS * (WEEKS**2 - 1)) / 0.955
"""Variance of the fitted change over 12 steps, in that of one week: least squares over 13 points,
by the efficiency of Theil-Sen beside it (Sen 1968)."""
ENDS = 2
"""Both ends of the line lie on the account's slow swings, so that their variance counts twice."""
HIGH_FALL = 0.5
"""Fitted fall from which it is high."""


class SlowDriftParams(baseline.MetricParams):
    """Parameters of `slowdrift`.

    Args:
        metric: See `MetricParams`.
        fall: Share of the fitted first week that the fitted last week must miss, in (0, 1).
        evidence: Standard deviations of noise and drift that the fitted fall must exceed, > 0. A
            line is looked at every day for as long as it sinks, so that more is asked than by
            `drop`: at 2.75 false alarms are 2.6 times as many.

    Source:
        signals.md, primitives, and B28.
    """

    fall: float = Field(0.2, gt=0, lt=1)
    evidence: float = Field(3.3, gt=0, le=10)


class SlowDrift:
    """Says which accounts have been sinking slowly, week by week, for a quarter.

    Fits the Theil-Sen line, the median of all slopes between two weeks, to 13 weekly levels; one
    odd week moves it little. A masked day is out on both sides of its week; a week with fewer than
    four open days is left out, which the line bears, rather than scaled up. The fitted fall is
    weighed by the account's own weekly noise and drift, as in `drop`.

    When it is wrong: a season that fades looks the same as a customer who does, and a step, too:
    `drop` tells steps sooner. It sees nothing below two standard deviations more than a week's
    noise, and is not judged at the end of a holiday season.

    Source:
        signals.md, primitives and B28; Theil 1950, Sen 1968; noise and drift: detection.md §1.
    """

    name: ClassVar[str] = "slowdrift"
    Params: ClassVar[type[day.Params]] = SlowDriftParams
    combines: ClassVar[bool] = False
    adapts: ClassVar[bool] = True
    rearms: ClassVar[day.Rearms] = "relearned"

    @staticmethod
    def kind(params: SlowDriftParams) -> str:  # noqa: ARG004
        """Return `usage_drop`: for a person it is the same thing, slower."""
        return "usage_drop"

    @staticmethod
    def history_days(params: SlowDriftParams) -> int:  # noqa: ARG004
        """Return 210: the noise is that of half a year."""
        return baseline.HISTORY_DAYS

    @staticmethod
    def judge(series: Series, params: SlowDriftParams) -> Verdicts:
        """Judge every account of `series`; row i depends on row i alone.

        Args:
            series: Up to 210 days are read. The verdicts' `because` reads it again, when asked.
            params: Bounds in force.

        Returns:
            Verdicts; not told with fewer than 112 known or 28 open baseline days, fewer than 14
            unmasked days in the last 28, fewer than ten weeks that count, or where nothing is
            usual. It clears while the slope is not negative: the rule says for how many days.
        """
        return baseline.judge(series, params, _examine, _because)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found(Found):
    """Statistics of a batch; slope and ends are levels, in what is usual, per week."""

    base: Baseline
    weeks: Weeks
    drift: Floats
    slope: Floats
    first: Floats
    last: Floats
    fall: Floats
    sunk: Floats
    spread: Floats


def _examine(series: Series, params: SlowDriftParams) -> _Found:
    """Return the statistics and verdicts for accounts that have a baseline."""
    base = baseline.measure(series)
    weeks = weekly.measure(series, base, WEEKS)
    drift = baseline.drift(series)
    slope, first, last = _line(weeks.level)
    fell = settled(np.clip(1 - share(last, first), -1.0, 1.0))
    many, spread = np.count_nonzero(weeks.used, axis=0), _spread(base, weeks, drift)
    middle = first + slope * ((WEEKS - 1) / 2)
    sunk = settled(share(-slope * (WEEKS - 1), middle))
    sure = sunk >= settled(params.evidence * base.patience * spread)
    enough = (many >= LEAST_WEEKS) & (base.open_days[LAG] >= baseline.OPEN_DAYS)
    told = baseline.tellable(base) & enough & (first > 0)
    high, medium = SEVERITIES.index("high"), SEVERITIES.index("medium")
    return _Found(
        fires=told & (slope < 0) & (fell >= params.fall) & sure,
        clears=told & (slope >= 0),
        told=told,
        severity=np.where(fell >= HIGH_FALL, high, medium),
        base=base,
        weeks=weeks,
        drift=drift,
        slope=slope,
        first=first,
        last=last,
        fall=fell,
        sunk=sunk,
        spread=spread,
    )


def _spread(base: Baseline, weeks: Weeks, drift: Floats) -> Floats:
    """Return the standard deviation of the fitted change in log scale, (accounts,)."""
    many = np.maximum(np.count_nonzero(weeks.used, axis=0), 1)
    mean = total(np.where(weeks.used, weeks.observed, 0.0)) / many
    noise = base.dispersion / (mean + 0.5 * base.dispersion)
    return cast(Floats, np.sqrt(ENDS_VARIANCE * noise + ENDS * drift))


def _line(level: Floats) -> tuple[Floats, Floats, Floats]:
    """Return slope per week, and the fitted first and last week, of levels newest first."""
    newer, older = np.triu_indices(len(level), 1)
    gaps = (older - newer).astype(np.float64)[:, np.newaxis]
    slope = settled(weekly.median((level[newer] - level[older]) / gaps))
    ago = np.arange(len(level), dtype=np.float64)[:, np.newaxis]
    last = settled(weekly.median(level + slope * ago))
    return slope, settled(last - slope * (len(level) - 1)), np.maximum(last, 0.0)


def _because(series: Series, params: SlowDriftParams, row: int) -> dict[str, Any]:
    """Return the evidence of one account; the window is the quarter."""
    one = pick(series, np.array([row]))
    found = _examine(one, params)
    base, weeks = found.base, found.weeks
    # What the line must lose of its middle, as a share of its first end.
    asked = params.evidence * base.patience[0] * found.spread[0]
    visible = min(1.0, asked / (1 + asked / 2))
    days = 7 * WEEKS
    left_out = record.masked_days(series.day, one.masked[0], one.known[0], days)
    return {
        "window": record.span(series.day - days + 1, series.day, days - len(left_out)),
        "slope": record.plain(found.slope[0]),
        "weeks": _weeks(weeks),
        "weeks_used": int(np.count_nonzero(weeks.used[:, 0])),
        "first_level": record.plain(found.first[0]),
        "last_level": record.plain(found.last[0]),
        "fall": record.plain(found.fall[0]),
        "evidence": record.plain(share(found.sunk, found.spread)[0]),
        "spread": record.plain(found.spread[0]),
        **record.account(base, found.drift),
        "smallest_detectable_drop": record.plain(max(params.fall, visible)),
        "masked_days": left_out,
        "thresholds_in_force": {
            **params.model_dump(exclude={"metric"}),
            "evidence_asked": record.plain(params.evidence * base.patience[0]),
        },
    }


def _weeks(weeks: Weeks) -> list[dict[str, float | None]]:
    """Return the weeks of one account, oldest first; one that does not count has nothing usual."""
    usual = np.where(weeks.used[:, 0], weeks.expected[:, 0], np.nan)
    return [
        {"observed": record.plain(observed), "expected": record.plain(expected)}
        for observed, expected in zip(weeks.observed[::-1, 0], usual[::-1], strict=True)
    ]
