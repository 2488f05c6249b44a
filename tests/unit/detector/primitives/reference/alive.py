"""BG/NBD for one account, written from Fader, Hardie, Lee 2005."""

import math

from scipy.special import gammaln

from tests.unit.detector.primitives.reference.account import Account


def history(one: Account, days: int) -> tuple[int, int, int]:
    """Return x, t_x and T of the last days: repeats, days from the first to the last, to now."""
    active = [day for day in sorted(one.counts) if day > one.t - days and one.counts[day] > 0]
    if not active:
        return 0, 0, 0
    return len(active) - 1, active[-1] - active[0], one.t - active[0]


def p_alive(x: int, recency: int, age: int, r: float, alpha: float, a: float, b: float) -> float:
    """Return P(alive) of Fader, Hardie, Lee 2005 for x repeats, the last one `recency` days in."""
    if x == 0:
        return 1.0
    quiet: float = (alpha + age) / (alpha + recency)
    return 1 / (1 + a / (b + x - 1) * math.pow(quiet, r + x))


def likelihood(
    x: int, recency: float, age: float, r: float, alpha: float, a: float, b: float
) -> float:
    """Return the logarithm of equation 6 of Fader, Hardie, Lee 2005 for one account."""
    both = math.exp(gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x))
    rate = math.exp(gammaln(r + x) - gammaln(r)) * alpha**r
    stays = both * rate / (alpha + age) ** (r + x)
    left = 0.0
    if x > 0:
        left = a / (b + x - 1) * both * rate / (alpha + recency) ** (r + x)
    return math.log(stays + left)
