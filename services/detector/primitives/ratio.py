"""`ratio`: the share of contracted seats that people use (detection.md §4)."""

from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from schemas.alerts import SEVERITIES
from services.detector.primitives import day, record
from services.detector.primitives.arrays import by_lag, pick, settled, share, total
from services.detector.primitives.day import Bools, Floats, Ints, Series, Verdicts

ACTIVE_DAYS = 28
"""Unmasked days within which a person must have been active (detection.md §4)."""
REACH_DAYS = 50
"""Days back within which these must be found; people's activity is known for 63."""
MEAN_DAYS, EVALUATED_DAYS = 14, 7
"""Days over which the number of people is averaged, and unmasked ones that there must be: by a
single day's number one entry in eight is left within a fortnight (docs/detection.md, seats)."""
DEEP = 0.3
"""Share of used seats at or below which it is high: half of what is told at all (signals.md C02,
whose map gives no points from 30 % on)."""


class RatioParams(day.Params):
    """Parameters of `ratio`.

    Args:
        metric: `@seats`: people active in 28 days / contracted seats.
        side: `low` fires below `enter`, `high` above it.
        enter: Share of seats beyond which it fires, in (0, 10].
        leave: Share of seats beyond which it is over: not below `enter` on the low side, not above
            it on the high one. The gap keeps a share that wavers from being told twice.
        idle: Seats without anybody that there must be on the low side, >= 0.
        few: Seats below which it is information only, >= 0.
        grace_days: Days after the account began in which nothing is told, 28..210.
        added_days: Days after seats were added in which nothing is told, 0..180.

    Source:
        detection.md §4; signals.md C02, C14, A24.
    """

    metric: Literal["@seats"] = "@seats"
    side: Literal["low", "high"] = "low"
    enter: float = Field(0.6, gt=0, le=10)
    leave: float = Field(0.66, gt=0, le=10)
    idle: int = Field(2, ge=0, le=1000)
    few: int = Field(5, ge=0, le=1000)
    grace_days: int = Field(60, ge=ACTIVE_DAYS, le=210)
    added_days: int = Field(30, ge=0, le=180)

    @model_validator(mode="after")
    def _leaves_beyond_where_it_enters(self) -> Self:
        """Refuse a pair that would fire and clear on the same day."""
        apart = self.leave >= self.enter if self.side == "low" else self.leave <= self.enter
        if not apart:
            where = "not below" if self.side == "low" else "not above"
            raise ValueError(f"leave ({self.leave}) must be {where} enter ({self.enter})")
        return self


class Ratio:
    """Says in which accounts few, or nearly all, of the contracted seats are used.

    Counts the distinct people who were active on any of 28 unmasked days, up to 50 days back, so
    that a holiday or an outage empties no seat, and takes the mean of that number over the last
    fortnight; dwell and clear days of the rule keep single evaluations from counting.

    When it is wrong: it is as right as the seats that were told and as the person ids are unique.
    A person with two ids fills two seats; who is erased leaves theirs. Of people who leave all at
    once it says so 40 days later: until then they were active in the last four weeks. One entry in
    six is left again within four weeks where people come and go (open source teams), none within
    two.

    Source:
        detection.md §4.
    """

    name: ClassVar[str] = "ratio"
    Params: ClassVar[type[day.Params]] = RatioParams
    combines: ClassVar[bool] = False
    adapts: ClassVar[bool] = False
    rearms: ClassVar[day.Rearms] = "cleared"

    @staticmethod
    def kind(params: RatioParams) -> str:
        """Return `seat_utilisation`, or `seat_expansion` for the high side."""
        return "seat_utilisation" if params.side == "low" else "seat_expansion"

    @staticmethod
    def history_days(params: RatioParams) -> int:
        """Return the reach of the activity, or of a grace, whichever is longer."""
        return max(REACH_DAYS + MEAN_DAYS, params.grace_days, params.added_days + 1)

    @staticmethod
    def judge(series: Series, params: RatioParams) -> Verdicts:
        """Judge every account of `series`; row i depends on row i alone.

        Args:
            series: Counts are the distinct people active in the 28 unmasked days up to a day, of
                the last 14 days; `whole` holds the contracted seats of each day, 0 where unknown.
                Without it nothing is told.
            params: Bounds in force.

        Returns:
            Verdicts; not told on a masked day, without seats, while the account is younger than
            its grace, within the grace after seats were added, or where the last 50 days have
            fewer than 28 unmasked ones, or the last 14 fewer than 7.
        """
        if series.whole is None:
            return day.untold(len(series.known), lambda _: {})
        found = _examine(series, series.whole, params)
        return Verdicts(
            fires=found.told & _beyond(found.people, found.seats, params),
            clears=found.told & _over(found, params),
            told=found.told,
            severity=_severity(found, params).astype(np.int8),
            because=lambda row: _because(series, params, row),
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """Statistics of a batch, each (accounts,); `people` is the mean of `open_days` days."""

    people: Floats
    seats: Floats
    used: Floats
    open_days: Floats
    told: Bools


def _examine(series: Series, whole: Series, params: RatioParams) -> _Found:
    """Return the statistics of every account; meaningless where not told."""
    counts, used = by_lag(series, REACH_DAYS)
    open_days = total(used[:MEAN_DAYS])
    people = share(total(counts[:MEAN_DAYS]), open_days)
    seats = whole.counts[:, -1]
    told = (
        (used[0] > 0)
        & (open_days >= EVALUATED_DAYS)
        & (total(used) >= ACTIVE_DAYS)
        & (series.known >= params.grace_days)
        & (seats > 0)
        & ~_added(whole.counts, params.added_days)
    )
    return _Found(people, seats, settled(share(people, seats)), open_days, told)


def _newest(counts: Floats, days: int) -> Floats:
    """Return the last `days` days, (days, accounts), newest first, masked ones too."""
    width = min(days, counts.shape[1])
    found = np.zeros((days, len(counts)))
    found[:width] = counts[:, ::-1][:, :width].T
    return found


def _added(seats: Floats, days: int) -> Bools:
    """Return where seats were added to known ones within the last days."""
    newest = _newest(seats, days + 1)
    after, before = newest[:-1], newest[1:]
    grew = (after > before) & (before > 0)
    return np.asarray(grew.any(axis=0), dtype=np.bool_)


def _beyond(people: Floats, seats: Floats, params: RatioParams) -> Bools:
    """Return where so many people fire."""
    used = settled(share(people, seats))
    if params.side == "high":
        return np.asarray(used > params.enter, dtype=np.bool_)
    empty = np.asarray(settled(seats - people) >= params.idle, dtype=np.bool_)
    return (used < params.enter) & empty


def _over(found: _Found, params: RatioParams) -> Bools:
    over = found.used > params.leave if params.side == "low" else found.used < params.leave
    return np.asarray(over, dtype=np.bool_)


def _severity(found: _Found, params: RatioParams) -> Ints:
    """Return indices into `SEVERITIES`: by how few seats are used, information if they are few."""
    info, low, medium, high = map(SEVERITIES.index, ("info", "low", "medium", "high"))
    if params.side == "high":
        told = np.full(len(found.used), low)
    else:
        told = np.where(found.used <= DEEP, high, medium)
    return np.where(found.seats < params.few, info, told)


def _detectable(found: _Found, params: RatioParams) -> int | None:
    """Return how many active people would fire: the most on the low side, the least on the high."""
    if not found.told[0]:
        return None
    seats = int(found.seats[0])
    near = ceil(params.enter * seats)
    some = range(near + 1, -1, -1) if params.side == "low" else range(max(near - 1, 0), near + 2)
    fires = (n for n in some if _beyond(np.array([float(n)]), found.seats, params)[0])
    return next(fires, None)


def _changed(seats: Floats, newest: int) -> str | None:
    """Return the day on which the seats became what they are, None if that is further back."""
    same = seats[::-1] == seats[-1]
    return None if same.all() else record.iso(newest - int(np.argmin(same)) + 1)


def _because(series: Series, params: RatioParams, row: int) -> dict[str, Any]:
    """Return the evidence of one account; `people` is the mean of the window."""
    one = pick(series, np.array([row]))
    assert one.whole is not None
    found, newest = _examine(one, one.whole, params), series.day
    return {
        "window": record.span(newest - MEAN_DAYS + 1, newest, found.open_days[0]),
        "people": record.plain(found.people[0]),
        "people_now": int(one.counts[0, -1]),
        "seats": int(found.seats[0]),
        "seats_since": _changed(one.whole.counts[0], newest),
        "ratio": record.plain(found.used[0]),
        "idle": record.plain(max(found.seats[0] - found.people[0], 0)),
        "people_that_fire": _detectable(found, params),
        "masked_days": record.masked_days(newest, one.masked[0], one.known[0], MEAN_DAYS),
        "thresholds_in_force": params.model_dump(exclude={"metric"}),
    }
