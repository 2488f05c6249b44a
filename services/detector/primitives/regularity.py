"""Which core features an account uses regularly, and how many of them lately (detection.md §6)."""

from typing import NamedTuple

import numpy as np

from services.detector.primitives.arrays import settled
from services.detector.primitives.day import Bools, Floats, Ints
from services.detector.primitives.open_days import reaches

USED_DAYS, REACH_DAYS = 28, 50
"""Unmasked days in which a use counts, and days back within which these must be found: as of the
people in seats (detection.md §6; data states, signals.md)."""
SKIPPED_DAYS = 84
"""Newest unmasked days that say nothing of how regularly a feature is used: what is lost must count
for as long as its alert may be open, so that its return is seen."""
READ_DAYS = 204
"""Days in which weeks of use are looked for, whatever other rules keep: as many as the shipped rule
reads."""
WEEK, ABSENT_WEEKS = 7, 6
"""Unmasked days of a week of use; and weeks in which what is told as lost was not used: the
fortnight judged by default, and the 28 days before it."""
ORDINARY = 0.01
"""Chance of so many weeks without, at a feature's own rhythm, above which they are ordinary, and
the feature is not counted (docs/detection.md, breadth)."""


class Use(NamedTuple):
    """How regularly features were used before the judged days; each (..., features).

    Attributes:
        weeks: Weeks of seven unmasked days in which it was used.
        of: How many weeks there are.
        counted: Whether six weeks without would be no ordinary absence.
    """

    weeks: Ints
    of: int
    counted: Bools


def use(used: Bools, masked: Bools, known: int) -> Use:
    """Return how regularly features are used, and which of them are so regularly that they count.

    Of a feature that was used in k of n weeks the chance of m weeks without is that of the
    beta-binomial with Jeffreys' prior. Weeks, not days: use comes in bunches.

    Args:
        used: Shape (..., features, days); on which days each was used; the last one is judged.
        masked: Shape (days,).
        known: Days of the account's own history.
    """
    opened = np.flatnonzero(~masked[::-1][: min(known, READ_DAYS)])[SKIPPED_DAYS:]
    n = len(opened) // WEEK
    weeks = used[..., ::-1][..., opened[: WEEK * n]].reshape(*used.shape[:-1], n, WEEK)
    k: Ints = np.count_nonzero(weeks.any(axis=-1), axis=-1)
    chance = np.ones(k.shape)
    for i in range(ABSENT_WEEKS):
        chance *= (n - k + i + 0.5) / (n + i + 1)
    return Use(k, n, settled(chance) <= ORDINARY)


def distinct(used: Bools, masked: Bools, known: int) -> Floats:
    """Return how many of the features that count were used in the 28 unmasked days to each day.

    Args:
        used: Shape (..., features, days); on which days each was used; the last one is judged.
        masked: Shape (days,).
        known: Days of the account's own history.

    Returns:
        Shape (..., days).
    """
    counted = used & use(used, masked, known).counted[..., np.newaxis]
    ends = np.minimum(reaches(masked[np.newaxis], USED_DAYS, REACH_DAYS)[0], len(masked))
    sums = np.zeros((*counted.shape[:-1], len(masked) + 1), dtype=np.int64)
    np.cumsum(counted[..., ::-1], axis=-1, out=sums[..., 1:])
    there = sums[..., ends] > sums[..., :-1]
    found: Floats = np.count_nonzero(there, axis=-2)[..., ::-1].astype(np.float64)
    return found
