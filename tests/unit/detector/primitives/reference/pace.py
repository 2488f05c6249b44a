"""`fastdrop` and `slowdrift` for one account, written from signals.md, one number at a time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist, median

from scipy.special import betainc

from tests.unit.detector.primitives.reference.account import Account
from tests.unit.detector.primitives.reference.drop import Reference


@dataclass(frozen=True)
class Week:
    """One week that counts: how many weeks ago, its count, and that over what is usual."""

    ago: int
    observed: float
    level: float


def weeks(of: Reference, number: int) -> Iterator[Week]:
    """Yield the weeks with four open days or more that lie wholly in the known ones."""
    for ago in range(number):
        first = of.one.t - 7 * ago - 6
        days = of.open_days(7, 7 * ago)
        if first < min(of.one.counts) or len(days) < 4:
            continue
        seen, usual = sum(of.one.counts[d] for d in days), sum(of.usual(d) for d in days)
        if usual > 0:
            yield Week(ago, seen, seen / usual)


@dataclass(frozen=True)
class Fast:
    """Week 1 over the median of weeks 2 to 9, in standard deviations, and the verdict."""

    ratio: float
    evidence: float
    fires: bool


def fast(one: Account) -> Fast | None:
    """Return what `fastdrop` finds, None where nothing can be told."""
    of = Reference(one)
    enough = len(of.baseline) >= 28 and of.expected(28) > 0
    mine = {week.ago: week for week in weeks(of, 9)}
    before = [week for ago, week in mine.items() if ago > 0]
    if not enough or 0 not in mine or len(before) < 5:
        return None
    level = median(week.level for week in before)
    if level <= 0:
        return None
    o, phi = mine[0].observed, of.phi
    e = o / mine[0].level * level if o else _usual(of) * level
    b = 2 / math.pi * sum(week.observed for week in before)
    v = phi / (o + phi / 2) + phi / (b + phi / 2)
    f, x = v / (v + of.tau2), e / b
    p = float(betainc(f * (o / phi + 0.5), f * (b / phi + 0.5), x / (1 + x)))
    z = NormalDist().inv_cdf(min(1 - 1e-12, max(1e-12, p)))
    sure = round(z, 9) >= round(2.75 * of.q, 9)
    return Fast(o / e, z, sure and round(o / e, 9) <= 0.7)


def _usual(of: Reference) -> float:
    return sum(of.usual(d) for d in of.open_days(7))


@dataclass(frozen=True)
class Slow:
    """The line through 13 weeks: slope, fitted fall, its evidence, and the verdict."""

    slope: float
    fall: float
    sunk: float
    spread: float
    fires: bool


def slow(one: Account) -> Slow | None:
    """Return what `slowdrift` finds, None where nothing can be told."""
    of = Reference(one)
    mine = list(weeks(of, 13))
    enough = len(of.baseline) >= 28 and len(of.open_days(28)) >= 14 and of.expected(28) > 0
    if not enough or len(mine) < 10:
        return None
    pairs = combinations(mine, 2)
    slope = round(median((new.level - old.level) / (old.ago - new.ago) for new, old in pairs), 9)
    last = round(median(week.level + slope * week.ago for week in mine), 9)
    first = round(last - 12 * slope, 9)
    if first <= 0:
        return None
    fall = min(1.0, max(-1.0, 1 - max(0.0, last) / first))
    mean = sum(week.observed for week in mine) / len(mine)
    # least squares over 13 points: 12^2 * 12 / (13 * 168); Theil-Sen is .955 as efficient
    noise = 144 * 12 / (13 * 168) / 0.955 * of.phi / (mean + of.phi / 2)
    spread = math.sqrt(noise + 2 * of.tau2)
    middle = first + 6 * slope
    sunk = -12 * slope / middle if middle > 0 else math.nan
    sure = round(sunk, 9) >= round(3.3 * of.q * spread, 9)
    return Slow(slope, fall, sunk, spread, slope < 0 and round(fall, 9) >= 0.2 and sure)
