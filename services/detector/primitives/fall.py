"""How deep and how sure a fall is, and whether it lasts: steps 6 to 8 of detection.md §1."""

from typing import cast

import numpy as np
from scipy.special import betainc, ndtri

from schemas.alerts import SEVERITIES
from services.detector.primitives.arrays import settled, share
from services.detector.primitives.baseline import LAG, Baseline
from services.detector.primitives.day import Bools, Floats, Ints

DIP_DAYS = 14
"""Length of the dip that a lasting fall must beat (detection.md §1.8)."""
LASTING_DAYS = (*range(DIP_DAYS + 1, 29), 31, 35, 42, 49, 56)
"""Ages of a fall that are tried (detection.md §1.8)."""
LAST_WEEK_SHARE = 0.5
"""Share of the window's depth that the last week must have (detection.md §1.6)."""
OTHER_WEEKS_SHARE = 0.7
"""Share of the depth that must remain without the deepest week (detection.md §1.7)."""


Posterior = tuple[Floats, Floats, Floats]
"""a and b of a beta-prime distribution of a true ratio, and the odds at ratio 1."""


def severity(ratio: Floats, critical: float, high: float) -> Ints:
    """Return how bad falls are by their depth.

    Args:
        ratio: Shape (accounts,); observed / expected.
        critical: Ratio up to which a fall is critical.
        high: Ratio up to which it is high; else it is medium.

    Returns:
        Shape (accounts,); indices into `SEVERITIES`.
    """
    worst, bad, else_ = (SEVERITIES.index(name) for name in ("critical", "high", "medium"))
    return np.where(ratio <= critical, worst, np.where(ratio <= high, bad, else_))


def posterior(base: Baseline, drift_variance: Floats, days: int) -> Posterior:
    """Return what is known of the true ratio of a window (detection.md §1.6).

    Args:
        base: From `measure`.
        drift_variance: Shape (accounts,); tau^2 of §1.4.
        days: Length of the window that ends with the judged day, 1..56.

    Returns:
        a and b of its beta-prime distribution and the odds E/B at ratio 1, each (accounts,).
    """
    counts = base.observed[days], base.cap * base.total
    return posterior_of(base, drift_variance, *counts, base.expected[days])


def posterior_of(
    base: Baseline, drift_variance: Floats, observed: Floats, before: Floats, expected: Floats
) -> Posterior:
    """Return what is known of the true ratio of two counts, each (accounts,); see `posterior`.

    Args:
        base: From `measure`; its dispersion is that of both.
        drift_variance: tau^2 of §1.4.
        observed: The count that is judged.
        before: The count that says what is usual.
        expected: What is usual of the first.
    """
    noise = base.variance(observed, before)
    weight = noise / (noise + drift_variance)
    a, b = (weight * (count / base.dispersion + 0.5) for count in (observed, before))
    return a, b, share(expected, before)


def below(ratio: float, a: Floats, b: Floats, odds: Floats) -> Floats:
    """Return P(true ratio < `ratio`) of a posterior, elementwise, 0..1."""
    return cast(Floats, betainc(a, b, ratio * odds / (1 + ratio * odds)))


def evidence(probability: Floats) -> Floats:
    """Return a probability in standard deviations, within +-7."""
    return settled(ndtri(np.clip(probability, 1e-12, 1 - 1e-12)))


def sure(maybe: Bools, known: Posterior, asked: Floats) -> Bools:
    """Return where a fall is as sure as asked, among those that may be one.

    Args:
        maybe: Shape (accounts,); only there it is computed.
        known: Of the true ratio.
        asked: Shape (accounts,); standard deviations.
    """
    result, rows = maybe.copy(), np.flatnonzero(maybe)
    probability = below(1.0, *(part[rows] for part in known))
    result[rows] = evidence(probability) >= asked[rows]
    return result


def still_low(base: Baseline, days: int) -> Bools:
    """Return where the last week has half the depth of the window; masked, it has none (step 6)."""
    return settled(base.ratio(7)) <= settled(1 - LAST_WEEK_SHARE * (1 - base.ratio(days)))


def deep_without_worst(base: Baseline) -> Bools:
    """Return where 70 % of the depth remains without the deepest of the last four weeks (7)."""
    ends = np.arange(0, LAG + 1, 7)
    observed, expected = np.diff(base.observed[ends], axis=0), np.diff(base.expected[ends], axis=0)
    missing = np.where(expected > 0, settled(expected - observed), -np.inf)
    worst = np.argmax(missing, axis=0), np.arange(missing.shape[1])
    rest = share(base.observed[LAG] - observed[worst], base.expected[LAG] - expected[worst])
    return settled(rest) <= settled(1 - OTHER_WEEKS_SHARE * (1 - base.ratio(LAG)))


def lead(base: Baseline) -> Floats:
    """Return Lambda of step 8: how far a lasting fall outdoes the best dip, (accounts,)."""
    ages = list(LASTING_DAYS)
    lasting = gain(base, base.observed[ages], base.expected[ages])
    dips = [sums[DIP_DAYS:] - sums[:-DIP_DAYS] for sums in (base.observed, base.expected)]
    return settled(lasting.max(axis=0) - gain(base, *dips).max(axis=0))


def gain(base: Baseline, observed: Floats, expected: Floats) -> Floats:
    """Return G of step 8: the log likelihood that a fall gains on a stretch of days.

    Args:
        base: From `measure`.
        observed: Shape (stretches, accounts); their counts.
        expected: Shape (stretches, accounts); what would be usual there.

    Returns:
        Shape (stretches, accounts); 0 where there is no fall.
    """
    missing = np.maximum(0.0, expected - observed) ** 2
    unit = 2 * base.dispersion * expected
    return settled(np.divide(missing, unit, out=np.zeros_like(unit), where=unit > 0))
