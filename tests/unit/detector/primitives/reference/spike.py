"""`spike` for one account, one number at a time.

Written from detection.md §5 and docs/detection.md (tickets): the mean is the larger one of eight
weeks and half a year, the dispersion that of half a year, and days with any are judged beside the
count.
"""

from statistics import median
from typing import NamedTuple

from scipy.stats import nbinom

from tests.unit.detector.primitives.reference.account import Account


class Week(NamedTuple):
    """The judged week: what is counted, mu, phi, and P(X >= count)."""

    seen: float
    usual: float
    dispersion: float
    chance: float


def told(one: Account) -> bool:
    """Return whether there is enough to tell."""
    known = len(one.counts) >= 63 and one.t not in one.masked
    return known and len(_open(one, 0, 7)) >= 4 and len(_open(one, 7, 63)) >= 28


def week(one: Account, days: bool = False) -> Week:
    """Return the statistics of the count, or of the days with any."""
    seen = sum(_value(one, day, days) for day in _open(one, 0, 7))
    weeks = [ago for ago in range(7, 189, 7) if one.t - ago - 6 >= min(one.counts)]
    usual = max(_usual(one, some, _open(one, 0, 7), days) for some in (weeks[:8], weeks))
    phi = _dispersion(one, weeks, days)
    inside = len(_open(one, 0, 7)) / sum(len(_open(one, ago, ago + 7)) for ago in weeks[:8])
    variance = phi * usual * (1 + inside)
    size = usual**2 / (variance - usual)
    return Week(seen, usual, phi, float(nbinom.sf(seen - 1, size, size / (size + usual))))


def fires(one: Account, probability: float, days_probability: float, least: float) -> bool:
    """Return whether the week is a spike."""
    if not told(one):
        return False
    count, days = week(one), week(one, days=True)
    much = round(count.seen, 9) >= round(max(least, 1.5 * count.usual), 9)
    rare = round(count.chance, 9) < probability
    steady = round(days.chance, 9) < days_probability and days.seen >= least
    return much and (rare or steady)


def calm(one: Account) -> float:
    """Return the greatest count at which a spike is over."""
    length = len(_open(one, 0, 7))
    weeks = [_open(one, ago, ago + 7) for ago in range(7, 63, 7)]
    rates = [sum(one.counts[day] for day in days) * length / len(days) for days in weeks if days]
    return max(1.0, 1.2 * median(rates))


def _open(one: Account, near: int, far: int) -> list[int]:
    """Return the known unmasked days that lie from `near` to before `far` days back."""
    days = range(one.t - far + 1, one.t - near + 1)
    return [day for day in days if day in one.counts and day not in one.masked]


def _value(one: Account, day: int, days: bool) -> float:
    return float(one.counts[day] > 0) if days else one.counts[day]


def _usual(one: Account, weeks: list[int], on: list[int], days: bool) -> float:
    """Return what some days would bring by the weekday means of some weeks."""
    base = [day for ago in weeks for day in _open(one, ago, ago + 7)]
    if not base:
        return 0.0
    total = 0.0
    for day in on:
        same = [other for other in base if (other - day) % 7 == 0] or base
        total += sum(_value(one, other, days) for other in same) / len(same) + 0.5 / len(base)
    return total


def _dispersion(one: Account, weeks: list[int], days: bool) -> float:
    excess, k = 0.0, 0
    for ago in weeks:
        inside = _open(one, ago, ago + 7)
        expected = _usual(one, weeks, inside, days)
        if expected > 0:
            seen = sum(_value(one, day, days) for day in inside)
            excess += (seen - expected) ** 2 / expected
            k += 1
    prior = 4 * (1.0 if days else 1.5)
    return max(1.0, (prior + excess) / (4 + max(k - 1, 0)))
