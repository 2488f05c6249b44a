"""Labelled cases, made of real activity: the recipe by which detection is judged.

Tier A draws whole real weeks of one account's steadiest half-year over 104 weeks, so that nothing
lasting changes, thins them by holidays as they were measured, and injects one change. Tier B leaves
real histories alone, and beside them copies with one change. The same seed makes the same cases.
"""

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np

from tests.quality.injecting import CONTROL, SCENARIOS, clairvoyance, inject, steady_weeks, thin
from tests.quality.profiles import Floats, profiles
from tests.quality.sources import COUNTRY, History, Ints, histories

SEED: Final = 20240601
FIRST, WEEKS = date(2022, 1, 3), 104
DAYS: Final = WEEKS * 7
MOST: Final[Mapping[str, int]] = {
    "station": 15,
    "hotel": 45,
    "fhv": 90,
    "fhv_thin": 60,
    "retail": 90,
    "contrib": 60,
}
"""Accounts of each source at most, so that none outweighs the others."""
UNTOUCHED, CHANGED = 5, 3
"""Cases of each account: most of a fleet is healthy."""
THREE_YEARS: Final = 1096
RAW_CHANGES: Final = ("step30", "step50", "ramp50_4w")
FLEETS: Final = 4
"""Copies of the real fleet; in each another quarter of the accounts changes."""


class Case(NamedTuple):
    """One account as a detector sees it, and the truth about it.

    Attributes:
        account_id: Its id, `A00000` or `B00000`.
        tier: `A` drawn and changed, `B` real.
        source: Where its activity comes from.
        source_account: Of which account there.
        scenario: What was done to it.
        onset: Day the change begins, from `start`; -1 without one.
        end: The day after it ends; -1 without one.
        mean_daily: Events a day before anything was done.
        country: Whose public holidays it keeps.
        z_oracle: See `clairvoyance`.
        start: Its first day.
        segment: Accounts with the same one are peers.
        scored: False for copies that only make up a fleet.
        counts: Shape (days,).
    """

    account_id: str
    tier: str
    source: str
    source_account: str
    scenario: str
    onset: int
    end: int
    mean_daily: float
    country: str
    z_oracle: float
    start: date
    segment: str
    scored: bool
    counts: Ints

    @property
    def stratum(self) -> str:
        """How busy it is: low (up to 2 events a day), mid (up to 30), high."""
        return "low" if self.mean_daily <= 2 else "mid" if self.mean_daily <= 30 else "high"


def make(seed: int = SEED) -> list[Case]:
    """Return all cases of a seed, tier A first."""
    pool = histories()
    pool = sorted(pool, key=lambda one: _digest(f"{seed}{one.source}{one.account}"))
    return [
        case._replace(account_id=f"{case.tier}{number:05d}")
        for number, case in enumerate([*_drawn(pool, seed), *_real(pool, seed)])
    ]


def _digest(text: str) -> int:
    return zlib.crc32(text.encode())


def _weeks_of(pool: Sequence[History]) -> Iterator[tuple[str, str, Ints]]:
    """Yield source, account and steady weeks of each account that has them."""
    for one in pool:
        if one.source == "retail" and (one.counts > 0).sum() < 25:
            continue
        weeks = steady_weeks(one.until_last_activity() if one.source == "contrib" else one)
        if weeks is None or weeks.sum() / weeks.size < 0.1:
            continue
        yield one.source, one.account, weeks
        if one.source == "fhv":
            yield "fhv_thin", one.account, weeks


def _drawn(pool: Sequence[History], seed: int) -> Iterator[Case]:
    kept = profiles(pool, [FIRST + timedelta(days=i) for i in range(DAYS)])
    taken: Counter[str] = Counter()
    for source, account, weeks in _weeks_of(pool):
        if taken[source] >= MOST[source]:
            continue
        chance = np.random.default_rng(_digest(f"{seed}|{source}|{account}"))
        if source == "fhv_thin":
            mean = weeks.sum() / weeks.size
            target = chance.choice([0.5, 1, 2, 4])
            if mean < target * 1.5:
                continue
            weeks = chance.binomial(weeks, target / mean)
        yield from _of_account(chance, source, account, weeks, kept[source], taken.total())
        taken[source] += 1


def _of_account(
    chance: np.random.Generator,
    source: str,
    account: str,
    weeks: Ints,
    kept: Floats,
    number: int,
) -> Iterator[Case]:
    """Yield the cases of the account that is taken as the `number`-th."""
    kept = kept ** chance.choice([0.5, 1, 1.5])
    changes = [SCENARIOS[(number * CHANGED + j) % len(SCENARIOS)] for j in range(CHANGED)]
    lumpy = source == "retail"
    for scenario in [CONTROL] * UNTOUCHED + changes:
        counts = weeks[chance.integers(len(weeks), size=WEEKS)].reshape(-1).astype(np.int64)
        counts = thin(chance, counts, kept, lumpy)
        at = int(chance.integers(60 * 7, 84 * 7))
        onset, end = -1, -1
        if scenario == "xmas_deep":
            onset = (date(2022, 12, 20) - FIRST).days
            end = onset + 14
            counts[onset:end] = thin(chance, counts[onset:end], 0.15, lumpy)
        elif scenario != CONTROL:
            counts, onset, end = inject(chance, counts, scenario, at, lumpy, weeks)
        yield Case(
            "", "A", source, account, scenario, onset, end, float(weeks.sum() / weeks.size),
            COUNTRY[source.split("_")[0]], clairvoyance(scenario, weeks), FIRST, f"{source}.A",
            True, counts,
        )  # fmt: skip


def _real(pool: Sequence[History], seed: int) -> Iterator[Case]:
    for one in pool:
        whole = one.until_last_activity() if one.source in ("contrib", "retail", "hotel") else one
        if one.source in ("retail", "contrib") and (whole.counts > 0).sum() < 30:
            continue
        if len(whole.counts) < 112 or whole.counts.mean() < 0.08:
            continue
        for number, part in enumerate(_parts(whole)):
            yield from _fleets(part, number, seed)


def _parts(one: History) -> list[History]:
    """Return a history in pieces of at most three years, where it is much longer."""
    days = len(one.counts)
    if one.source == "station":
        starts = range(0, days - 700, THREE_YEARS)
    elif one.source == "contrib" and days > THREE_YEARS:
        starts = range(days - THREE_YEARS, days, THREE_YEARS)
    else:
        return [one]
    return [
        one._replace(first=one.first + timedelta(days=at), counts=one.counts[at : at + THREE_YEARS])
        for at in starts
    ]


def _fleets(one: History, number: int, seed: int) -> Iterator[Case]:
    """Yield a real account once for each copy of the fleet, changed in one of them."""
    name = f"{one.account}#{number}"
    chance = np.random.default_rng(_digest(f"{seed}|B|{one.source}|{one.account}|{number}"))
    at, days = _onset(chance, len(one.counts)), len(one.counts)
    fixed = _digest(f"{one.source}{one.account}{number}")
    own, change = fixed % FLEETS, RAW_CHANGES[fixed // FLEETS % len(RAW_CHANGES)]
    for fleet in range(FLEETS):
        changed = fleet == own and at > 0
        counts, onset, end = one.counts, at, days
        if changed:
            counts, onset, end = inject(chance, counts, change, at, one.source == "retail")
        yield Case(
            "", "B", one.source, name, change if changed else CONTROL, onset, end,
            float(one.counts.mean()), COUNTRY[one.source], float("nan"), one.first,
            f"{one.source}.{fleet}", changed or fleet == (own + 1) % FLEETS, counts,
        )  # fmt: skip


def _onset(chance: np.random.Generator, days: int) -> int:
    """Return the day on which a real history of so many days would change, -1 if none fits."""
    low, high = (min(200, days - 60), days - 56) if days >= 300 else (64, days - 42)
    return int(chance.integers(low, high)) if high > low + 1 else -1
