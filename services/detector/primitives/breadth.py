"""`breadth`: an account uses fewer of the core features than it used to (detection.md §6)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from schemas.alerts import SEVERITIES
from services.detector.primitives import day, record, weekly
from services.detector.primitives.arrays import pick
from services.detector.primitives.day import Bools, Floats, Series, Verdicts

USED_DAYS = 28
"""Days in which a use counts; `Series.counts` is of so many days (detection.md §6)."""
SPANS = 5
"""Spans of 28 days before the judged ones, half a year with them, whose median is usual."""
LEAST_SPANS = 3
"""Spans that must be known: of fewer a median is a single month."""
OPEN_DAYS = 14
"""Unmasked days among the last 28 below which the state is frozen (detection.md §1.9)."""


class BreadthParams(day.Params):
    """Parameters of `breadth`.

    Args:
        metric: `@core_features`: the features that `metrics.toml` calls core.
        fewer: How many features fewer than usual it takes, 1..20.
        days: For how many evaluations running, 1..28. What is usual lies wholly before them.

    Source:
        detection.md §6.
    """

    metric: Literal["@core_features"] = "@core_features"
    fewer: int = Field(2, ge=1, le=20)
    days: int = Field(14, ge=1, le=28)


class Breadth:
    """Says which accounts have given up two of the core features or more, for two weeks.

    `Series.counts` holds, for each day, how many distinct core features were used in the 28 days up
    to it. Usual is the median of that number at the ends of the five months before the judged days;
    one odd month moves it nowhere. It fires when each of the last fourteen evaluations lies two
    below that.

    When it is wrong: features used once a month or less come and go by themselves, and an account
    that stops loses all of them at once: the rule yields to those that tell that. It cannot see
    what a company has not named as core.

    Source:
        detection.md §6.
    """

    name: ClassVar[str] = "breadth"
    Params: ClassVar[type[day.Params]] = BreadthParams
    combines: ClassVar[bool] = True
    adapts: ClassVar[bool] = True

    @staticmethod
    def kind(params: BreadthParams) -> str:  # noqa: ARG004
        """Return `breadth`."""
        return "breadth"

    @staticmethod
    def history_days(params: BreadthParams) -> int:
        """Return the judged days, five spans before them, and the 28 days of the oldest count."""
        return params.days + USED_DAYS * (SPANS + 1)

    @staticmethod
    def judge(series: Series, params: BreadthParams) -> Verdicts:
        """Judge every account of `series`; row i depends on row i alone.

        Args:
            series: Distinct core features of the 28 days up to each day. The verdicts' `because`
                reads it again, when asked.
            params: Bounds in force.

        Returns:
            Verdicts; not told with fewer than three known spans before the judged days, fewer than
            14 unmasked days in the last 28, or where no more features are usual than must be lost.
            It clears once fewer than that are missing.
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
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """What is usual for each account, what is now, and the highest of the judged days."""

    spans: Floats
    usual: Floats
    now: Floats
    highest: Floats
    told: Bools


def _examine(series: Series, params: BreadthParams) -> _Found:
    reach = Breadth.history_days(params) - USED_DAYS + 1
    counts = np.zeros((reach, len(series.known)))
    newest = series.counts[:, ::-1][:, :reach].T
    counts[: len(newest)] = newest
    ends = USED_DAYS + params.days + USED_DAYS * np.arange(SPANS)
    known = ends[:, np.newaxis] + USED_DAYS <= series.known
    spans = np.where(known, counts[np.minimum(ends, reach - 1)], np.nan)
    usual = weekly.median(spans)
    open_days = np.count_nonzero(~series.masked[:, -USED_DAYS:], axis=1)
    enough = (np.count_nonzero(known, axis=0) >= LEAST_SPANS) & (open_days >= OPEN_DAYS)
    return _Found(
        spans=spans,
        usual=usual,
        now=counts[0],
        highest=counts[: params.days].max(axis=0),
        told=enough & (usual >= params.fewer),
    )


def _because(series: Series, params: BreadthParams, row: int) -> dict[str, Any]:
    """Return the evidence of one account; which features they are, the caller knows."""
    one = pick(series, np.array([row]))
    found = _examine(one, params)
    first = series.day - params.days - USED_DAYS + 2
    return {
        "window": record.span(first, series.day, params.days + USED_DAYS - 1),
        "used": record.plain(found.now[0]),
        "most_of_late": record.plain(found.highest[0]),
        "usual": record.plain(found.usual[0]),
        "by_month": [record.plain(number) for number in found.spans[::-1, 0]],
        "smallest_detectable_loss": params.fewer,
        "masked_days": record.masked_days(series.day, one.masked[0], one.known[0], USED_DAYS),
        "thresholds_in_force": params.model_dump(exclude={"metric"}),
    }
