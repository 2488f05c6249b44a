"""`breadth`: an account uses fewer of the core features than it used to (detection.md §6)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from schemas.alerts import SEVERITIES
from services.detector.primitives import day, record, weekly
from services.detector.primitives.arrays import pick
from services.detector.primitives.day import Bools, Floats, Ints, Series, Verdicts
from services.detector.primitives.open_days import reaches
from services.detector.primitives.regularity import REACH_DAYS, USED_DAYS

SPANS = 5
"""Spans of 28 days before the judged ones, half a year with them, whose median is usual."""
LEAST_SPANS = 3
"""Spans that must be known: of fewer a median is a single month."""


class BreadthParams(day.Params):
    """Parameters of `breadth`.

    Args:
        metric: `@core_features`: the features that `metrics.toml` calls core.
        fewer: How many features fewer than usual it takes, 1..20.
        days: For how many evaluations running, 1..28; masked days are none.

    Source:
        detection.md §6.
    """

    metric: Literal["@core_features"] = "@core_features"
    fewer: int = Field(2, ge=1, le=20)
    days: int = Field(14, ge=1, le=28)


class Breadth:
    """Says which accounts have given up two of the core features or more, for two weeks.

    `Series.counts` holds, for each day, how many distinct core features were used in the 28
    unmasked days up to it (`regularity.distinct`). Usual is the median of that number at the
    ends of the five months before; one odd month moves it nowhere. It fires when each of the last
    fourteen unmasked evaluations lies two below that.

    When it is wrong: of features whose own rhythm makes six weeks without ordinary it says nothing,
    so it is blind where all are used less than every other week or so. An account that stops loses
    all features at once: the rule yields to those that tell that. It cannot see what a company has
    not named as core.

    Source:
        detection.md §6; what it adds to it, and its figures: docs/detection.md, breadth.
    """

    name: ClassVar[str] = "breadth"
    Params: ClassVar[type[day.Params]] = BreadthParams
    combines: ClassVar[bool] = True
    adapts: ClassVar[bool] = True
    rearms: ClassVar[day.Rearms] = "cleared"

    @staticmethod
    def kind(params: BreadthParams) -> str:  # noqa: ARG004
        """Return `breadth`."""
        return "breadth"

    @staticmethod
    def history_days(params: BreadthParams) -> int:
        """Return the judged days, five spans before them, and the reach of the oldest count."""
        return params.days + USED_DAYS * SPANS + REACH_DAYS

    @staticmethod
    def judge(series: Series, params: BreadthParams) -> Verdicts:
        """Judge every account of `series`; row i depends on row i alone.

        Args:
            series: Distinct core features of the 28 unmasked days up to each day. The verdicts'
                `because` reads it again, when asked.
            params: Bounds in force.

        Returns:
            Verdicts; not told on a masked day, with fewer than three known spans before the judged
            days, where the judged windows have not all their unmasked days in the last 63, or where
            no more features are usual than must be lost. It clears once fewer than that are
            missing.
        """
        found = _examine(series, params)
        lost_half = found.usual - found.now >= found.usual / 2
        high, medium = SEVERITIES.index("high"), SEVERITIES.index("medium")
        return Verdicts(
            fires=found.told & (found.highest <= found.usual - params.fewer),
            clears=found.told & (found.now > found.usual - params.fewer),
            told=found.told,
            severity=np.where(lost_half, high, medium).astype(np.int8),
            because=lambda row: _because(series, params, row),
            usual=found.usual,
            over=lambda row, usual: bool(found.now[row] > usual - params.fewer),
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """What is usual for each account, what is now, and the highest of the judged days.

    `first` is how many days before the judged one the oldest judged window begins, and `newest` the
    newest.
    """

    spans: Floats
    usual: Floats
    now: Floats
    highest: Floats
    told: Bools
    first: Ints
    newest: Ints


def _examine(series: Series, params: BreadthParams) -> _Found:
    counts, opened = series.counts[:, ::-1], ~series.masked[:, ::-1]
    ends = reaches(series.masked, USED_DAYS, REACH_DAYS)
    judged = opened & (np.cumsum(opened, axis=1) <= params.days)
    spans = _spans(series, ends, params)
    usual = weekly.median(spans)
    union = np.count_nonzero(opened[:, : REACH_DAYS + params.days - 1], axis=1)
    whole = opened[:, 0] & (union >= USED_DAYS + params.days - 1)
    enough = np.count_nonzero(~np.isnan(spans), axis=0) >= LEAST_SPANS
    return _Found(
        spans=spans,
        usual=usual,
        now=counts[:, 0],
        highest=np.where(judged, counts, 0).max(axis=1),
        told=whole & enough & (usual >= params.fewer),
        first=np.where(judged, ends, 0).max(axis=1),
        newest=ends[:, 0],
    )


def _spans(series: Series, ends: Ints, params: BreadthParams) -> Floats:
    """Return the counts at the ends of the months before, (5, accounts), NaN where unknown."""
    width = series.counts.shape[1]
    days = np.zeros((len(ends), width + 1), dtype=np.int64)
    np.cumsum(~series.masked[:, ::-1], axis=1, out=days[:, 1:])
    rows = np.arange(len(ends))
    spans = np.full((SPANS, len(ends)), np.nan)
    for place, lag in enumerate(USED_DAYS * np.arange(1, SPANS + 1) + params.days):
        if lag >= width:
            break
        end = ends[:, lag]
        open_days = days[rows, np.minimum(end, width)] - days[:, lag]
        known = (end <= series.known) & (open_days == USED_DAYS)
        spans[place] = np.where(known, series.counts[:, width - 1 - lag], np.nan)
    return spans


def _because(series: Series, params: BreadthParams, row: int) -> dict[str, Any]:
    """Return the evidence of one account; which features they are, the caller knows."""
    one = pick(series, np.array([row]))
    found = _examine(one, params)
    newest = series.day - int(found.newest[0]) + 1
    reach = int(found.first[0])
    return {
        "window": record.span(series.day - reach + 1, series.day, params.days + USED_DAYS - 1),
        "used_since": record.iso(newest),
        "used": record.plain(found.now[0]),
        "most_of_late": record.plain(found.highest[0]),
        "usual": record.plain(found.usual[0]),
        "by_month": [record.plain(number) for number in found.spans[::-1, 0]],
        "smallest_detectable_loss": params.fewer,
        "masked_days": record.masked_days(series.day, one.masked[0], one.known[0], reach),
        "thresholds_in_force": params.model_dump(exclude={"metric"}),
    }
