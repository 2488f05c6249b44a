"""`ratio` for one account, one number at a time.

Written from detection.md §4 and docs/detection.md (seats): the mean of a fortnight of the distinct
people of four weeks.
"""

from typing import NamedTuple

from tests.unit.detector.primitives.reference.account import Account


class Used(NamedTuple):
    """What is used, and whether that fires or is over."""

    share: float
    fires: bool
    over: bool


def used(one: Account, seats: dict[int, float], low: bool) -> Used | None:
    """Return the share of used seats, None where nothing can be told.

    Args:
        one: `counts` are the distinct people of four weeks, day by day.
        seats: Contracted seats of each day, 0 where unknown.
        low: Whether few used seats are asked for, or many.
    """
    days = [d for d in range(one.t - 13, one.t + 1) if d in one.counts and d not in one.masked]
    reach = [d for d in range(one.t - 49, one.t + 1) if d in one.counts and d not in one.masked]
    if one.t in one.masked or len(days) < 7 or len(reach) < 28 or len(one.counts) < 60:
        return None
    bought = seats.get(one.t, 0)
    for day in range(one.t - 29, one.t + 1):
        before = seats.get(day - 1, 0)
        if 0 < before < seats.get(day, 0):
            return None
    if bought <= 0:
        return None
    people = sum(one.counts[day] for day in days) / len(days)
    share = round(people / bought, 9)
    if low:
        return Used(share, share < 0.6 and round(bought - people, 9) >= 2, share > 0.66)
    return Used(share, share > 0.9, share < 0.84)
