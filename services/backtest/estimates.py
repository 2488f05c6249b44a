"""Estimates from few cases: a share's interval, quartiles, how long something lasts. Pure."""

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_NORMAL_95: Final = 1.959964


class Interval(NamedTuple):
    """Where a share lies with 95 % confidence, both ends in 0..1."""

    low: float
    high: float


def wilson(hits: int, tries: int) -> Interval | None:
    """Return the 95 % interval of a share that was seen in few cases.

    Args:
        hits: How often it was so, 0 to `tries`.
        tries: How often it was looked at.

    Returns:
        The interval, or None where nothing was looked at.

    Source:
        E. B. Wilson, Probable inference, the law of succession, and statistical inference (1927).

    >>> [round(end, 3) for end in wilson(9, 10)]
    [0.596, 0.982]
    >>> wilson(0, 0) is None
    True
    """
    if tries == 0:
        return None
    share, z2 = hits / tries, _NORMAL_95**2
    middle = share + z2 / (2 * tries)
    reach = _NORMAL_95 * math.sqrt(share * (1 - share) / tries + z2 / (4 * tries**2))
    whole = 1 + z2 / tries
    return Interval(max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole))


class Quartiles(NamedTuple):
    """The values below which a quarter, half and three quarters lie."""

    low: float
    median: float
    high: float


def quartiles(values: Iterable[int]) -> Quartiles | None:
    """Return the quartiles, between two neighbours in proportion; None of nothing.

    >>> quartiles([10, 40, 20, 30])
    Quartiles(low=17.5, median=25.0, high=32.5)
    """
    known = sorted(values)
    if not known:
        return None
    return Quartiles(*(_quantile(known, part) for part in (0.25, 0.5, 0.75)))


def _quantile(known: Sequence[int], part: float) -> float:
    place = (len(known) - 1) * part
    low = math.floor(place)
    rest = place - low
    return known[low] + (known[min(low + 1, len(known) - 1)] - known[low]) * rest


def median_life(ended: Sequence[int], running: Sequence[int]) -> int | None:
    """Return after how many days half have ended, although some still run.

    To leave out what still runs would make lives look shorter than they are.

    Args:
        ended: Days that each of those lasted that are over.
        running: Days that each of those has lasted that still run.

    Returns:
        Days, or None where fewer than half would have ended within what was seen.

    Source:
        Kaplan and Meier, Nonparametric estimation from incomplete observations (1958).

    >>> median_life([10, 20, 30], []), median_life([10, 20, 30], [40, 50, 60]), median_life([], [9])
    (20, 30, None)
    >>> median_life([10], [20, 20]) is None
    True
    """
    left, alive = len(ended) + len(running), 1.0
    for days in sorted({*ended, *running}):
        over = ended.count(days)
        if over:
            alive *= 1 - over / left
            # One half exactly, whatever the product's last bit says.
            if alive <= 0.5 + 1e-12:
                return days
        left -= over + running.count(days)
    return None
