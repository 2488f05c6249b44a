"""`expansion` for one account, written from detection.md §1, last paragraph, a number at a time."""

from dataclasses import dataclass

from scipy.special import betainc

from tests.unit.detector.primitives.reference.account import Account
from tests.unit.detector.primitives.reference.drop import Reference


@dataclass(frozen=True)
class Growth:
    """R_28, P(ratio > 1), the ratios of both fortnights and of the last week, and the verdict."""

    ratio: float
    probability: float
    parts: tuple[float, float, float]
    fires: bool


def growth(one: Account) -> Growth | None:
    """Return the mirror of the window test, None where nothing can be told."""
    all_of_it = Reference(one)
    if not all_of_it.told():
        return None

    def usual(length: int, ago: int = 0) -> float:
        return sum(all_of_it.usual(d) for d in all_of_it.open_days(length, ago))

    def ratio(length: int, ago: int = 0) -> float:
        e = usual(length, ago)
        return all_of_it.observed(length, ago) / e if e > 0 else float("nan")

    o, e, b, phi = all_of_it.observed(28), usual(28), all_of_it.bsum, all_of_it.phi
    v = phi / (o + phi / 2) + phi / (b + phi / 2)
    f, x = v / (v + all_of_it.tau2), e / b
    p = 1 - float(betainc(f * (o / phi + 0.5), f * (b / phi + 0.5), x / (1 + x)))
    parts = ratio(14, 14), ratio(14), ratio(7)
    least = round(1 + 0.7 * (ratio(28) - 1), 9)
    up = all(round(part, 9) >= least for part in parts)
    sure = round(ratio(28), 9) >= 1.2 and round(p, 9) >= 0.998
    return Growth(ratio(28), p, parts, sure and up)
