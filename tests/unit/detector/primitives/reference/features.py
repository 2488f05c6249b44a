"""`abandonment` and `breadth` for one account, written from detection.md §6."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from statistics import NormalDist, median

from scipy.special import betainc, betaln

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


def window(last: int, masked: Collection[int]) -> range:
    """Return the 28 unmasked days up to one, and the masked ones between: at most 50 days."""
    first = last + 1
    while last - first + 1 < 50 and sum(d not in masked for d in range(first, last + 1)) < 28:
        first -= 1
    return range(first, last + 1)


def counts(used: Collection[int], t: int, masked: Collection[int], known: int) -> bool:
    """Tell whether a feature used on some days counts: six weeks without are no ordinary absence.

    Weeks are those of seven unmasked days, of the last 204, the newest 84 unmasked left out; the
    chance of six without is that of the beta-binomial, k + 1/2 and n - k + 1/2.
    """
    opened = [d for d in range(t, t - min(known, 204), -1) if d not in masked][84:]
    weeks = [opened[i : i + 7] for i in range(0, len(opened) - 6, 7)]
    k, n = sum(any(d in used for d in week) for week in weeks), len(weeks)
    chance = math.exp(betaln(k + 0.5, n - k + 6.5) - betaln(k + 0.5, n - k + 0.5))
    return round(chance, 9) <= 0.01


def breadth(one: Account) -> tuple[float, float, bool] | None:
    """Return usual breadth, the widest of 14 evaluations and the verdict; None: cannot tell.

    The account's counts are already of distinct features in 28 unmasked days.
    """
    t, masked = one.t, one.masked
    spans = []
    for end in range(t - 42, t - 42 - 5 * 28, -28):
        days = window(end, masked)
        whole = sum(d not in masked for d in days) == 28
        if whole and days[0] > t - len(one.counts):
            spans.append(one.counts[end])
    judged = [d for d in range(t, t - 63, -1) if d not in masked]
    if t in masked or len(judged) < 41 or len(spans) < 3 or median(spans) < 2:
        return None
    widest = max(one.counts[d] for d in judged[:14])
    return median(spans), widest, widest <= median(spans) - 2
