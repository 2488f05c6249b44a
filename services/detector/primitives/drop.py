"""`drop`: usage has fallen and stays down (detection.md §1)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from services.detector.primitives import baseline, day, fall, record
from services.detector.primitives.arrays import pick, settled
from services.detector.primitives.baseline import DROP_RATIO, LAG, Baseline
from services.detector.primitives.day import Bools, Floats, Found, Series, Verdicts

WINDOWS = (28, 21)
"""Days of the two windows that may hit (detection.md §1.6); evidence names the first that does."""
WATCH_EVIDENCE = 2.33
"""Standard deviations from which a fall is shown, and not told yet (detection.md §1)."""
CRITICAL_RATIO, HIGH_RATIO = 0.5, 0.7
"""Ratios of 28 days at or below which a drop is critical or high (detection.md §1)."""


class DropParams(baseline.MetricParams):
    """Parameters of `drop`.

    Args:
        metric: See `MetricParams`.
        ratio: Highest observed / expected that fires, in (0, 1). A true 20 % fall is measured below
            .80 only half the time, hence .85. Higher finds smaller falls and alarms more.
        evidence: Standard deviations, and in log units the lead of the lasting fall over a dip,
            > 0. 2.75 is the measured default; 2.33 is the watch level.
        clear: Lowest ratio of 28 days at which the account has recovered, in (ratio, 1].

    Source:
        detection.md §1; signals.md B11.
    """

    ratio: float = Field(DROP_RATIO, gt=0, lt=1)
    evidence: float = Field(2.75, gt=0, le=10)
    clear: float = Field(0.92, gt=0, le=1)

    @model_validator(mode="after")
    def _clears_above_where_it_fires(self) -> Self:
        """Refuse a pair that would fire and clear on the same day."""
        if self.clear <= self.ratio:
            raise ValueError(f"clear ({self.clear}) must be above ratio ({self.ratio})")
        return self


class Drop:
    """Says which accounts have fallen below their half-year level and stay there.

    Compares the last 21 and 28 days with what these weekdays brought over half a year, weighs the
    gap by the account's own noise and drift, and asks whether a lasting fall explains the last
    eight weeks far better than any two-week dip.

    When it is wrong: .41 false alarms per 100 account-months on real accounts (.18 under 2 events
    a day, .82 at 2 to 30, .63 above), 3 % of fortnight dips, up to twice that on heavy-tailed
    sources; it misses 6 % of drops that could be seen at all, and a step of 30 % takes 20 days.

    Source:
        detection.md §1; figures of §0.
    """

    name: ClassVar[str] = "drop"
    Params: ClassVar[type[day.Params]] = DropParams
    combines: ClassVar[bool] = False
    adapts: ClassVar[bool] = True
    rearms: ClassVar[day.Rearms] = "relearned"

    @staticmethod
    def kind(params: DropParams) -> str:  # noqa: ARG004
        """Return `usage_drop`."""
        return "usage_drop"

    @staticmethod
    def history_days(params: DropParams) -> int:  # noqa: ARG004
        """Return 210: four judged weeks and half a year before them."""
        return baseline.HISTORY_DAYS

    @staticmethod
    def judge(series: Series, params: DropParams) -> Verdicts:
        """Judge every account of `series`; row i depends on row i alone.

        Args:
            series: Up to 210 days are read. The verdicts' `because` reads it again, when asked.
            params: Bounds in force.

        Returns:
            Verdicts; not told with fewer than 112 known or 28 open baseline days, fewer than 14
            unmasked days in the last 28, or where nothing is usual.
        """
        return baseline.judge(series, params, _examine, _because)


def weekly_swing(series: Series) -> Floats:
    """Return the number that the core keeps each week and gives back in `Series.swings`.

    Args:
        series: Accounts on the day of the weekly close; `swings` is not read.

    Returns:
        Shape (accounts,); d of detection.md §1.4, NaN where it is not defined.
    """
    swings = np.full(len(series.known), np.nan)
    rows, old = baseline.learned(series)
    if len(rows):
        swings[rows] = baseline.swing(baseline.measure(old))
    return swings


def watched(series: Series) -> Bools:
    """Return which series seem to fall, but not so surely that it is told: the watch level.

    Args:
        series: Accounts on the judged day.

    Returns:
        Shape (accounts,); True where `Drop` fires with `WATCH_EVIDENCE` in the place of its default
        evidence, and not with that.

    Source:
        detection.md §1, "Watch"; shown on the account's page, never sent.
    """
    result = np.zeros(len(series.known), dtype=np.bool_)
    rows, old = baseline.learned(series)
    if len(rows):
        result[rows] = _examine(old, _WATCH).fires & ~_examine(old, _DEFAULT).fires
    return result


_DEFAULT = DropParams(metric="@meaningful")
_WATCH = DropParams(metric="@meaningful", evidence=WATCH_EVIDENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found(Found):
    """Statistics of a batch; `hits` is (windows, accounts), `lead` Lambda of step 8."""

    base: Baseline
    drift: Floats
    hits: Bools
    lead: Floats


def _examine(series: Series, params: DropParams) -> _Found:
    """Return steps 1 to 9 for accounts that have a baseline."""
    # Rules of other metrics often ask the same of the same accounts.
    key = f"drop {params.ratio} {params.evidence} {params.clear}"
    known: _Found | None = series.memo.get(key)
    if known is None:
        known = series.memo[key] = _examined(series, params)
    return known


def _examined(series: Series, params: DropParams) -> _Found:
    base, drift = baseline.measure(series), baseline.drift(series)
    hits = np.stack([_hits(base, drift, days, params) for days in WINDOWS])
    lead, ratio = fall.lead(base), settled(base.ratio(LAG))
    told = baseline.tellable(base) & (base.open_days[LAG] >= baseline.OPEN_DAYS)
    lasts = fall.deep_without_worst(base) & (lead >= _bar(base, params))
    return _Found(
        fires=told & hits.any(axis=0) & lasts,
        clears=told & (ratio >= params.clear),
        told=told,
        severity=fall.severity(ratio, CRITICAL_RATIO, HIGH_RATIO),
        ratio_28=ratio,
        base=base,
        drift=drift,
        hits=hits,
        lead=lead,
    )


def _bar(base: Baseline, params: DropParams) -> Floats:
    """Return the evidence asked of each account: more while the history is short (step 5)."""
    return settled(params.evidence * base.patience)


def _hits(base: Baseline, drift: Floats, days: int, params: DropParams) -> Bools:
    """Return where the window of so many days hits (step 6)."""
    low = (settled(base.ratio(days)) <= params.ratio) & fall.still_low(base, days)
    return fall.sure(low, fall.posterior(base, drift, days), _bar(base, params))


def _because(series: Series, params: DropParams, row: int) -> dict[str, Any]:
    """Return the evidence of one account: the first window that hits, else the longer one."""
    one = pick(series, np.array([row]))
    found = _examine(one, params)
    base = found.base
    days = next((d for d, hit in zip(WINDOWS, found.hits[:, 0], strict=True) if hit), WINDOWS[0])
    a, b, odds = fall.posterior(base, found.drift, days)
    probability = fall.below(1.0, a, b, odds)
    return {
        "window": record.span(series.day - days + 1, series.day, base.open_days[days, 0]),
        "observed": record.plain(base.observed[days, 0]),
        "expected": record.plain(base.expected[days, 0]),
        "ratio": record.plain(base.ratio(days)[0]),
        "ratio_28": record.plain(settled(base.ratio(LAG))[0]),
        "ratio_interval90": record.interval90(a, b, odds),
        "probability": record.plain(probability[0]),
        "evidence": record.plain(fall.evidence(probability)[0]),
        "lasting": record.plain(found.lead[0]),
        **record.account(base, found.drift),
        **record.smallest_drop(base, found.drift, params.ratio),
        "masked_days": record.masked_days(series.day, one.masked[0], one.known[0], days),
        "since_estimate": record.since(base, fall.LASTING_DAYS),
        "thresholds_in_force": {
            **params.model_dump(exclude={"metric"}),
            "evidence_asked": record.plain(_bar(base, params)[0]),
        },
    }
