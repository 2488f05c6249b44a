"""river's ADWIN on ratios free of weekdays and holidays: the best of what is ready-made."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from tests.quality.cases import Case
from tests.quality.plain import Bools, Floats, ordinary

DELTA: Final = 0.15
"""ADWIN's confidence; of those tried in detection.md §0 the one with the best balance."""
NAME: Final = "river's ADWIN .15, on ratios without weekdays and holidays"
BASELINE, LEARNING = 182, 84
HIGHEST: Final = 3.0
"""A day counts for so many usual ones at most: a burst must not make all that follows low."""


def installed() -> bool:
    """Tell whether river is there: nothing of the product needs it."""
    return find_spec("river") is not None


def falls(case: Case) -> Bools:
    """Return where ADWIN finds that the level has changed, and it is lower than before.

    Args:
        case: The case; public holidays and Christmas are left out.

    Returns:
        Shape (days,).
    """
    detector: Any = import_module("river.drift").ADWIN(delta=DELTA, clock=1)
    fallen = np.zeros(len(case.counts), dtype=np.bool_)
    for day, ratio in enumerate(_ratios(case)):
        if np.isnan(ratio):
            continue
        before = detector.estimation
        detector.update(float(min(ratio, HIGHEST)))
        fallen[day] = detector.drift_detected and detector.estimation < before
    return fallen


def _ratios(case: Case) -> Floats:
    """Return each day over the mean of its weekday in the half-year before, NaN where unknown."""
    used = ordinary(case)
    weekdays = (np.arange(len(used)) + case.start.weekday()) % 7
    usual = np.full(len(used), np.nan)
    for weekday in range(7):
        own = used & (weekdays == weekday)
        means = _trailing(case.counts * own, own)
        usual[own] = means[own]
    known = (usual > 0) & (np.arange(len(used)) >= LEARNING)
    found: Floats = np.divide(case.counts, usual, out=np.full(len(used), np.nan), where=known)
    return found


def _trailing(counts: Floats, used: Bools) -> Floats:
    """Return the mean of the used days among the half-year before each day."""
    sums, days = (np.concatenate([[0.0], np.cumsum(part)]) for part in (counts, used))
    last = np.arange(len(used))
    first = np.maximum(0, last - BASELINE)
    total, number = sums[last] - sums[first], days[last] - days[first]
    found: Floats = np.divide(total, number, out=np.full(len(used), np.nan), where=number > 0)
    return found
