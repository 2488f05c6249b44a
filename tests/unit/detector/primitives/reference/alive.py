"""BG/NBD for one account, written from Fader, Hardie, Lee 2005."""

import math

from scipy.special import gammaln


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
