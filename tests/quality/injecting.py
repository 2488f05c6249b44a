"""Changes that are put into real activity, so that their truth is exact."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tests.quality.sources import History, Ints

CONTROL: Final = "control"
STEPS: Final[Mapping[str, float]] = {"step20": 0.2, "step30": 0.3, "step50": 0.5, "silence": 1.0}
"""Share that is lost at once and for good."""
RAMPS: Final[Mapping[str, tuple[float, int]]] = {
    "ramp50_4w": (0.5, 28),
    "ramp50_8w": (0.5, 56),
    "ramp30_8w": (0.3, 56),
    "ramp30_13w": (0.3, 91),
}
"""Share that is lost for good, and over how many days."""
DROPS: Final = (*STEPS, *RAMPS)
HARMLESS: Final = ("own_dip14", "xmas_deep", "spike14")
"""What recovers by itself: a private fortnight at 40 %, a deep Christmas, two and a half times the
usual for a fortnight."""
SCENARIOS: Final = (
    "step20",
    "step30",
    "step50",
    "ramp50_4w",
    "ramp50_8w",
    "ramp30_8w",
    "ramp30_13w",
    "silence",
    "own_dip14",
    "xmas_deep",
    "spike14",
    "growth50",
)
"""In the order in which accounts get them."""
FORTNIGHT: Final = 14
CREDIT_WEEKS: Final = 8
"""Weeks after a change is complete in which it should have been found."""


def steady_weeks(history: History) -> Ints | None:
    """Return the half-year (at least 8 weeks) of a history whose level is steadiest.

    Args:
        history: One account's life.

    Returns:
        Shape (weeks, 7), Monday first, without the weeks around Christmas; None if too short.
    """
    skipped = -history.first.weekday() % 7
    whole = (len(history.counts) - skipped) // 7
    if whole < 8:
        return None
    weeks = history.counts[skipped : skipped + whole * 7].reshape(whole, 7)
    mondays = np.datetime64(history.first) + skipped + 7 * np.arange(whole)
    weeks = weeks[~_christmas(mondays)]
    if len(weeks) < 8:
        return None
    return _steadiest(weeks, min(26, len(weeks)))


def _christmas(mondays: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    month = mondays.astype("datetime64[M]").astype(int) % 12 + 1
    day = (mondays - mondays.astype("datetime64[M]")).astype(int) + 1
    found: NDArray[np.bool_] = ((month == 12) & (day >= 12)) | ((month == 1) & (day <= 6))
    return found


def _steadiest(weeks: Ints, length: int) -> Ints | None:
    """Return the stretch of so many weeks whose months differ least."""
    usual = np.median(weeks.sum(1))
    best: tuple[float, Ints] | None = None
    for at in range(0, len(weeks) - length + 1, 2):
        sums = weeks[at : at + length].sum(1)
        months = sums[: len(sums) // 4 * 4].reshape(-1, 4).sum(1)
        if months.mean() <= 0 or sums.sum() < 12 or sums.mean() < 0.5 * usual:
            continue
        unrest = float(months.std() / months.mean() + 0.3 * (months == 0).mean())
        if best is None or unrest < best[0]:
            best = unrest, weeks[at : at + length]
    return None if best is None else best[1]


def thin(chance: np.random.Generator, counts: Ints, kept: ArrayLike, lumpy: bool) -> Ints:
    """Return counts of which only a share is left.

    Args:
        chance: Where randomness comes from.
        counts: Shape (days,).
        kept: Share that stays, for all days or each, clipped to 0..1.
        lumpy: True where whole days of orders vanish, False where single events do.
    """
    share = np.broadcast_to(np.clip(kept, 0, 1), counts.shape)
    if lumpy:
        return np.where(chance.random(counts.shape) < share, counts, 0)
    return np.asarray(chance.binomial(counts, share), dtype=np.int64)


def inject(
    chance: np.random.Generator,
    counts: Ints,
    scenario: str,
    at: int,
    lumpy: bool,
    weeks: Ints | None = None,
) -> tuple[Ints, int, int]:
    """Return counts with a change in them, and the day it begins and the one after it ends.

    Args:
        chance: Where randomness comes from.
        counts: Shape (days,); left as it is.
        scenario: Any of `SCENARIOS` but `xmas_deep`, whose days are those of the calendar.
        at: The day it begins.
        lumpy: See `thin`.
        weeks: Shape (weeks, 7); what growth and spikes are made of.

    Raises:
        KeyError: For a scenario that is not known.
    """
    result, days = counts.copy(), len(counts)
    if scenario in STEPS:
        result[at:] = thin(chance, result[at:], 1 - STEPS[scenario], lumpy)
        return result, at, days
    if scenario in RAMPS:
        depth, length = RAMPS[scenario]
        kept = np.ones(days)
        kept[at:] = 1 - depth * np.minimum(1, (np.arange(days - at) + 1) / length)
        return thin(chance, result, kept, lumpy), at, days
    if scenario == "own_dip14":
        stretch = slice(at, at + FORTNIGHT)
        result[stretch] = thin(chance, result[stretch], 0.4, lumpy)
        return result, at, at + FORTNIGHT
    if weeks is None or scenario not in ("spike14", "growth50"):
        raise KeyError(scenario)
    return _more(chance, result, scenario, at, lumpy, weeks)


def _more(
    chance: np.random.Generator, counts: Ints, scenario: str, at: int, lumpy: bool, weeks: Ints
) -> tuple[Ints, int, int]:
    days = len(counts)
    if scenario == "growth50":
        extra = np.array([weeks[chance.integers(len(weeks)), i % 7] for i in range(at, days)])
        counts[at:] += thin(chance, extra, 0.5, lumpy)
        return counts, at, days
    for i in range(at, at + FORTNIGHT):
        whole = weeks[chance.integers(len(weeks)), i % 7]
        half = np.asarray(weeks[chance.integers(len(weeks)), i % 7])
        counts[i] += whole + thin(chance, half, 0.5, lumpy)
    return counts, at, at + FORTNIGHT


def clairvoyance(scenario: str, weeks: Ints) -> float:
    """Return how many standard deviations a drop is for one who knows everything but the noise.

    Args:
        scenario: Any.
        weeks: Shape (weeks, 7); the account's undisturbed weeks.

    Returns:
        The deficit expected until eight weeks after the change is complete, over the standard
        deviation of as many undisturbed weeks; NaN for what is no drop. Below 4 nobody could tell.
    """
    sums = weeks.sum(1)
    mean, spread = sums.mean(), max(sums.std(ddof=1), 1e-9)
    if scenario in STEPS:
        return float(STEPS[scenario] * CREDIT_WEEKS * mean / (spread * np.sqrt(CREDIT_WEEKS)))
    if scenario in RAMPS:
        depth, length = RAMPS[scenario]
        over = length // 7 + CREDIT_WEEKS
        lost = depth * np.minimum(1, (np.arange(over * 7) + 1) / length).reshape(over, 7).mean(1)
        return float((lost * mean).sum() / (spread * np.sqrt(over)))
    return float("nan")
