"""`drop` and `stop` for one account, written from detection.md §1 and §2, a number at a time."""

import math
from statistics import NormalDist

from scipy.special import betainc

from tests.unit.detector.primitives.reference.account import Account


class Reference:
    """Steps 1 to 8 of detection.md §1 for one account that is known for 112 days or more."""

    def __init__(self, one: Account) -> None:
        self.one = one
        start = max(one.t - 28 - 182 + 1, min(one.counts))
        self.baseline = [d for d in range(start, one.t - 28 + 1) if d not in one.masked]
        self.bsum = sum(one.counts[d] for d in self.baseline)
        self._noise()
        self.tau2 = self._drift()

    def usual(self, day: int) -> float:
        same = [d for d in self.baseline if (d + 3) % 7 == (day + 3) % 7] or self.baseline
        return sum(self.one.counts[d] for d in same) / len(same) if same else 0.0

    def open_days(self, length: int, ago: int = 0) -> list[int]:
        last = self.one.t - ago
        return [d for d in range(last - length + 1, last + 1) if d not in self.one.masked]

    def observed(self, length: int, ago: int = 0) -> float:
        return sum(self.one.counts[d] for d in self.open_days(length, ago))

    def expected(self, length: int, ago: int = 0) -> float:
        return self.cap * sum(self.usual(d) for d in self.open_days(length, ago))

    def _noise(self) -> None:
        weeks = []
        for ago in range(28, 28 + 182, 7):
            if self.one.t - ago - 6 < min(self.one.counts):
                break
            y = self.observed(7, ago)
            e = sum(self.usual(d) for d in self.open_days(7, ago))
            if e > 0:
                weeks.append((y, e))
        k = len(weeks)
        spread = sum((y - e) ** 2 / e for y, e in weeks)
        self.phi = max(0.5, (6 + k / max(k - 1, 1) * spread) / (4 + k))
        kept = sum(min(y, e + 2 * math.sqrt(self.phi * e)) for y, e in weeks)
        everything = sum(y for y, _ in weeks)
        self.cap = kept / everything if everything > 0 else 1.0
        self.q = (1 + 6 / max(k, 1)) / (1 + 6 / 26)

    def _drift(self) -> float:
        there = [d for d in self.one.swings[8:42] if not math.isnan(d)]
        return (6 * 0.05**2 + max(0.0, sum(there)) / 4) / (6 + len(there) / 4)

    def d(self) -> float:
        if not self.baseline:
            return math.nan
        o, e, phi = self.observed(28), self.expected(28), self.phi
        step = min(0.7, max(-0.7, math.log((o + 0.5) / (e + 0.5))))
        return step**2 - phi / (o + phi / 2) - phi / (self.bsum + phi / 2)

    def ratio(self, length: int) -> float:
        e = self.expected(length)
        return self.observed(length) / e if e > 0 else math.nan

    def probability(self, length: int) -> float:
        o, e, b, phi = self.observed(length), self.expected(length), self.cap * self.bsum, self.phi
        v = phi / (o + phi / 2) + phi / (b + phi / 2)
        f, x = v / (v + self.tau2), e / b
        return float(betainc(f * (o / phi + 0.5), f * (b / phi + 0.5), x / (1 + x)))

    def hits(self, length: int, line: float, evidence: float) -> bool:
        r = self.ratio(length)
        if math.isnan(r) or round(r, 9) > line:
            return False
        r7 = self.ratio(7)
        r7 = 1.0 if math.isnan(r7) else r7
        p = min(1 - 1e-12, max(1e-12, self.probability(length)))
        sure = round(NormalDist().inv_cdf(p), 9) >= round(evidence * self.q, 9)
        return sure and round(r7, 9) <= round(1 - 0.5 * (1 - r), 9)

    def deep_without_worst(self) -> bool:
        weeks = [(self.observed(7, ago), self.expected(7, ago)) for ago in (0, 7, 14, 21)]
        worst = max((w for w in weeks if w[1] > 0), key=lambda w: round(w[1] - w[0], 9))
        weeks.remove(worst)
        o, e = sum(w[0] for w in weeks), sum(w[1] for w in weeks)
        return e > 0 and round(o / e, 9) <= round(1 - 0.7 * (1 - self.ratio(28)), 9)

    def gain(self, length: int, ago: int) -> float:
        o, e = self.observed(length, ago), self.expected(length, ago)
        return max(0.0, e - o) ** 2 / (2 * self.phi * e) if e > 0 else 0.0

    def lead(self) -> float:
        lasting = max(self.gain(n, 0) for n in (*range(15, 29), 31, 35, 42, 49, 56))
        return lasting - max(self.gain(14, ago) for ago in range(43))

    def told(self) -> bool:
        enough = len(self.baseline) >= 28 and len(self.open_days(28)) >= 14
        return enough and self.expected(28) > 0

    def drop(self, line: float, evidence: float) -> bool:
        return (
            self.told()
            and (self.hits(28, line, evidence) or self.hits(21, line, evidence))
            and self.deep_without_worst()
            and round(self.lead(), 9) >= round(evidence * self.q, 9)
        )

    def stop_told(self) -> bool:
        enough = len(self.baseline) >= 28 and self.expected(28) > 0
        today = self.one.t not in self.one.masked
        seven = self.open_days(28)[-7:]
        return enough and today and len(seven) == 7 and sum(map(self.usual, seven)) > 0

    def stop(self) -> bool:
        if not self.stop_told():
            return False
        seven = self.open_days(28)[-7:]
        o, e = sum(self.one.counts[d] for d in seven), sum(map(self.usual, seven))
        phi, x = max(1.0, self.phi), 0.5 * e / self.bsum
        p = float(betainc(o / phi + 0.5, self.bsum / phi + 0.5, x / (1 + x)))
        return round(o / e, 9) <= 0.1 and round(p, 9) >= 0.999
