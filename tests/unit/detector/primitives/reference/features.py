"""`abandonment` and `breadth` for one account, written from detection.md §6."""

import math
from dataclasses import dataclass
from statistics import NormalDist, median

from scipy.special import betainc

from tests.unit.detector.primitives.reference.account import Account
from tests.unit.detector.primitives.reference.drop import Reference


class Lowered(Reference):
    """§1 with what is expected lowered by the account's own ratio."""

    def __init__(self, one: Account, own: float) -> None:
        self.own = own
        super().__init__(one)

    def expected(self, length: int, ago: int = 0) -> float:
        return self.own * super().expected(length, ago)


@dataclass(frozen=True)
class Given:
    """g, the feature's ratio beside it, evidence and lead, and the verdict."""

    own: float
    ratio: float
    evidence: float
    lead: float
    fires: bool


def own_ratio(whole: Account | None) -> float:
    """Return g: the total ratio of the account, at most 1; 1 where it cannot be told."""
    if whole is None or len(whole.counts) < 112:
        return 1.0
    total = Reference(whole)
    return min(1.0, total.ratio(28)) if total.told() else 1.0


def given_up(one: Account, whole: Account | None) -> Given | None:
    """Return what `abandonment` finds, None where nothing can be told."""
    if not Reference(one).told():
        return None
    own = own_ratio(whole)
    of = Lowered(one, own)
    ratio = of.ratio(28)
    if math.isnan(ratio):
        return Given(own, ratio, math.nan, of.lead(), False)
    o, e, b, phi = of.observed(28), of.expected(28), of.cap * of.bsum, of.phi
    v = phi / (o + phi / 2) + phi / (b + phi / 2)
    f, x = v / (v + of.tau2), e / b
    p = float(betainc(f * (o / phi + 0.5), f * (b / phi + 0.5), x / (1 + x)))
    z = NormalDist().inv_cdf(min(1 - 1e-12, max(1e-12, p)))
    asked = NormalDist().inv_cdf(0.998) * of.q
    r7 = 1.0 if math.isnan(of.ratio(7)) else of.ratio(7)
    low = round(ratio, 9) <= 0.5 and round(r7, 9) <= round(1 - 0.5 * (1 - ratio), 9)
    sure = round(z, 9) >= round(asked, 9) and round(of.lead(), 9) >= round(asked, 9)
    return Given(own, ratio, z, of.lead(), low and sure and of.deep_without_worst())


def breadth(one: Account) -> tuple[float, float, bool] | None:
    """Return usual breadth, the widest of the last 14 days and the verdict; None: cannot tell.

    The account's counts are already of distinct features in 28 days.
    """
    known = len(one.counts)
    spans = [one.counts[one.t - k] for k in range(42, 42 + 5 * 28, 28) if known >= k + 28]
    open_days = [d for d in range(one.t - 27, one.t + 1) if d not in one.masked]
    if len(spans) < 3 or len(open_days) < 14 or median(spans) < 2:
        return None
    widest = max(one.counts[one.t - k] for k in range(14))
    return median(spans), widest, widest <= median(spans) - 2
