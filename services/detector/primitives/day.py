"""What a primitive that judges ended days over arrays is given, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

Rearms = Literal["relearned", "cleared", "calm"]
"""What must happen to a new normal before another alert: that what is usual is learned anew from
it; that the condition clears; that it fires no longer."""

SWING_WEEKS = 42
"""Weekly swing numbers per metric; `drop` reads those of 8 to 41 weeks ago (detection.md §1.4)."""


class Params(BaseModel):
    """Parameters of a primitive; a bad one is refused with its bound, an unknown one by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def selector(self) -> str:
        """What it looks at, its `metric`; empty of a condition over no series."""
        return str(getattr(self, "metric", ""))


@dataclass(frozen=True, slots=True)
class Series:
    """Daily counts of one metric for a batch of accounts, ending with the judged day.

    Args:
        day: The judged day, in days since 1970-01-01 (a Thursday) of the accounts' local calendar.
        counts: Shape (accounts, days), units of the metric, >= 0; the last column is `day`.
        masked: Shape (accounts, days); True where a day must not be used (holiday, closure,
            source outage). Missing is never zero: a masked day's count means nothing.
        known: Shape (accounts,); how many of the last columns belong to the account's own history,
            0..days. Earlier columns hold 0 and must be treated as not existing.
        swings: Shape (accounts, SWING_WEEKS); column k is the squared log deviation of the 28-day
            ratio taken at the weekly close that lies k weeks (7k to 7k + 6 days) before `day`;
            NaN where there is none, and of `day` itself.
        active: Shape (accounts,); days with a count in the account's whole life, at least; those
            that have left `counts` are among them.
        whole: Row by row what the row is a part of, over the same days, or None.
        fresh: Shape (accounts,); how many of the last columns say what is usual now: all that are
            known, or those since a level that was accepted as the new normal. None for all.
        memo: What was computed of the arrays, so that primitives share it.
    """

    day: int
    counts: Floats
    masked: Bools
    known: Ints
    swings: Floats
    active: Ints
    whole: "Series | None" = None
    fresh: Ints | None = None
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a primitive says of each account of a `Series`.

    Args:
        fires: Shape (accounts,); the condition holds on the judged day.
        clears: Shape (accounts,); the clear condition holds on the judged day.
        told: Shape (accounts,); False where the data cannot tell (too little history, frozen):
            then nothing fires and nothing clears.
        severity: Shape (accounts,); index into `schemas.alerts.SEVERITIES` where `fires`.
        because: Evidence of one row, plain JSON values (detection.md §7), asked only for rows that
            raise, change or clear an alert.
        ratio: Shape (accounts,); observed / usual of 28 days, NaN where unknown; None of a
            primitive that does not compare them.
        usual: Shape (accounts,); what the row is compared with, in the primitive's own units, where
            that becomes used to what holds within the life of an alert; None of other primitives.
        over: Whether a row is over beside what was usual at another time, such as when its alert
            was raised: what has only become usual has not recovered. None without `usual`.
    """

    fires: Bools
    clears: Bools
    told: Bools
    severity: NDArray[np.int8]
    because: Callable[[int], dict[str, Any]]
    ratio: Floats | None = None
    usual: Floats | None = None
    over: Callable[[int, float], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a primitive finds of the accounts that it looks at: `Verdicts` of them alone.

    Each primitive adds its statistics. What is not None has the shape (accounts looked at,).

    Args:
        fires: The condition holds on the judged day.
        clears: The clear condition holds on the judged day.
        told: False where the data cannot tell.
        severity: Index into `schemas.alerts.SEVERITIES` where `fires`.
        ratio_28: `Verdicts.ratio` of them; None of a primitive that does not compare them.
        usual: `Verdicts.usual` of them, likewise.
        over: `Verdicts.over`, asked by their place among them.
    """

    fires: Bools
    clears: Bools
    told: Bools
    severity: Ints
    ratio_28: Floats | None = None
    usual: Floats | None = None
    over: Callable[[int, float], bool] | None = None


def spread(
    found: Found,
    rows: NDArray[np.intp],
    accounts: int,
    because: Callable[[int], dict[str, Any]],
) -> Verdicts:
    """Return what was found of some accounts as verdicts of all; the others are told nothing.

    Args:
        found: Of the accounts looked at.
        rows: Which of all they are, in that order.
        accounts: How many there are in all.
        because: See `Verdicts`.
    """

    def over_all(column: NDArray[Any], else_: Any) -> NDArray[Any]:
        result = np.full(accounts, else_)
        result[rows] = column
        return result

    over = found.over
    return Verdicts(
        fires=over_all(found.fires, False),
        clears=over_all(found.clears, False),
        told=over_all(found.told, False),
        severity=over_all(found.severity, np.int8(0)),
        because=because,
        ratio=None if found.ratio_28 is None else over_all(found.ratio_28, np.nan),
        usual=None if found.usual is None else over_all(found.usual, np.nan),
        over=over and (lambda row, usual: over(int(np.searchsorted(rows, row)), usual)),
    )


def untold(accounts: int, because: Callable[[int], dict[str, Any]]) -> Verdicts:
    """Return verdicts that tell nothing, for so many accounts, and may still be asked why."""
    nowhere = np.zeros(accounts, dtype=np.bool_)
    return Verdicts(nowhere, nowhere, nowhere, np.zeros(accounts, dtype=np.int8), because)


class DayPrimitive(Protocol):
    """A statistical condition over daily counts, judged when a day has ended."""

    name: ClassVar[str]
    Params: ClassVar[type[Params]]
    combines: ClassVar[bool]
    """True to judge all metrics that a flag selects as one series, False to judge each."""
    adapts: ClassVar[bool]
    """Whether it compares with a past of `history_days` that becomes used to a change: then it may
    cease to fire though nothing is over, and what is older has no part in it."""
    rearms: ClassVar[Rearms]
    """After what it is told again, once it has ended as the new normal."""

    @staticmethod
    def kind(params: Any) -> str:
        """Return the alert kind of formats.md for these parameters."""

    @staticmethod
    def history_days(params: Any) -> int:
        """Return how many days of counts `judge` reads, the judged day included."""

    @staticmethod
    def judge(series: Series, params: Any) -> Verdicts:
        """Judge every account of `series`; row i depends on row i alone."""
