"""`spike`: far more in a week than the weeks before explain (detection.md §5)."""

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from pydantic import Field, field_validator
from scipy.special import betainc

from schemas.alerts import SEVERITIES
from services.detector.primitives import day, record, weekly
from services.detector.primitives.arrays import by_lag, pick, settled, share, total
from services.detector.primitives.day import Bools, Floats, Series, Verdicts

DAYS, WEEKS = 7, 8
"""Days that are judged, and weeks before them that say what is usual (detection.md §5)."""
LONG_WEEKS = 26
"""Weeks before the judged one that say how restless the account is: half a year of its own
dispersion halves the false alarms at the same spikes found (docs/detection.md, tickets)."""
KNOWN_DAYS = DAYS * (1 + WEEKS)
"""Days of own history below which an account is still being learned."""
HISTORY_DAYS = DAYS * (1 + LONG_WEEKS)
"""Days of counts that are read, the judged day included."""
OPEN_DAYS, BASELINE_DAYS = 4, 28
"""Unmasked days among the last 7, and in the 56 before, below which nothing can be told: most of a
week, and half of the eight."""
PRIOR = 0.5
"""Count added to the weeks before, so that nothing seen is not nothing possible (§5)."""
PRIOR_WEIGHT = 4.0
"""Weeks' worth of the dispersion to which each account's own is shrunk (§5)."""
PRIOR_DISPERSION, PRIOR_DAYS_DISPERSION = 1.5, 1.0
"""That dispersion: of weekly counts (§5), and of days with any, which cannot come in bunches."""
CLEAR_RATIO = 1.2
"""Times the median week at which a spike is over (signals.md, primitives)."""
CLEAR_COUNT = 1.0
"""A count that is no spike whatever the median, which is 0 where most weeks bring nothing."""

HARDLY_EVER = 1e-6
"""A chance that is no number for a person any more."""

_RESERVED = ("@tickets", "@tickets_high")


class SpikeParams(day.Params):
    """Parameters of `spike`.

    Args:
        metric: `@tickets`, `@tickets_high` (priority 1 and 2), or a metric's name.
        probability: Chance of such a count in an ordinary week below which it fires, in (0, .1].
            Lower waits for more and alarms less.
        days_probability: The same of so many days with any in a week, in [0, .1]: what comes day
            after day is told sooner than what comes at once. 0 judges the count alone.
        least: Least count, and least days, of a week that fires, 1..1000.
        ratio: Least count / usual that fires, >= 1.

    Source:
        detection.md §5; signals.md C04; `days_probability`: docs/detection.md, tickets.
    """

    metric: str = Field("@tickets", min_length=1)
    probability: float = Field(0.001, gt=0, le=0.1)
    days_probability: float = Field(0.0125, ge=0, le=0.1)
    least: int = Field(3, ge=1, le=1000)
    ratio: float = Field(1.5, ge=1, le=100)

    @field_validator("metric")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        """Refuse a flag: a spike is of one thing."""
        if value.startswith("@") and value not in _RESERVED:
            raise ValueError(f"{value!r} is neither a metric nor one of {', '.join(_RESERVED)}")
        return value


class Spike:
    """Says which accounts had far more in the last seven days than the weeks before explain.

    Compares the count of a week, and the days with any, with the negative binomials that the
    account's own mean and week-to-week dispersion predict. The mean is that of eight weeks or of
    half a year, whichever is more: a return to what once was usual is no spike. Days that were
    left out of the week are left out of what is usual too.

    When it is wrong: on bootstrapped real tickets 1.8 false alarms per 100 account-months and .82
    of the weeks with five times the usual tickets found (§5 as it stands: 3.3 and .71; "twice the
    four-week mean": 59), 2.3 and .74 under a ticket in three days. Restless accounts hide a
    doubling: the evidence says what would have been seen. A slow rise becomes usual before it
    stands out.

    Source:
        detection.md §5: variance phi * mu * (1 + 1/8), phi shrunk to 1.5 with weight 4.
    """

    name: ClassVar[str] = "spike"
    Params: ClassVar[type[day.Params]] = SpikeParams
    combines: ClassVar[bool] = False
    adapts: ClassVar[bool] = True
    rearms: ClassVar[day.Rearms] = "cleared"

    @staticmethod
    def kind(params: SpikeParams) -> str:
        """Return `ticket_spike` for tickets, else `spike`."""
        return "ticket_spike" if params.metric in _RESERVED else Spike.name

    @staticmethod
    def history_days(params: SpikeParams) -> int:  # noqa: ARG004
        """Return 189: the judged week and half a year before it."""
        return HISTORY_DAYS

    @staticmethod
    def judge(series: Series, params: SpikeParams) -> Verdicts:
        """Judge every account of `series`; row i depends on row i alone.

        Args:
            series: The last 189 days are read. The verdicts' `because` reads it again, when asked.
            params: Bounds in force.

        Returns:
            Verdicts, always medium; not told on a masked day, with fewer than 63 known days, 4
            unmasked days in the last 7, or 28 in the 56 before.
        """
        found = _examine(series)
        fires = found.told & _stands_out(found, found.count.seen, found.days.seen, params)
        seen, calm = settled(found.count.seen), settled(_calm(found))
        return Verdicts(
            fires=fires,
            clears=found.told & (seen <= calm) & ~fires,
            told=found.told,
            severity=np.full(len(fires), SEVERITIES.index("medium"), dtype=np.int8),
            because=lambda row: _because(series, params, row),
            usual=calm,
            over=lambda row, usual: bool(seen[row] <= usual),
        )


@dataclass(frozen=True, slots=True)
class _Week:
    """A statistic of the judged week, each (accounts,): `usual` is mu, `size` r of the tail.

    `weeks`, (8, accounts), are those before it, newest first, NaN where unusable.
    """

    seen: Floats
    usual: Floats
    dispersion: Floats
    size: Floats
    weeks: Floats


@dataclass(frozen=True, slots=True)
class _Found:
    """Statistics of a batch; meaningless where not told."""

    count: _Week
    days: _Week
    open_days: Floats
    base_days: Floats
    told: Bools


def _examine(series: Series) -> _Found:
    counts, used = by_lag(series, HISTORY_DAYS)
    open_days, base_days = total(used[:DAYS]), total(used[DAYS:KNOWN_DAYS])
    whole = np.arange(2 * DAYS, HISTORY_DAYS + 1, DAYS)[:, np.newaxis] <= series.known
    told = (series.known >= KNOWN_DAYS) & (used[0] > 0)
    return _Found(
        count=_week(counts, used, whole, PRIOR_DISPERSION),
        days=_week((counts > 0).astype(np.float64), used, whole, PRIOR_DAYS_DISPERSION),
        open_days=open_days,
        base_days=base_days,
        told=told & (open_days >= OPEN_DAYS) & (base_days >= BASELINE_DAYS),
    )


def _week(counts: Floats, used: Floats, whole: Bools, prior: float) -> _Week:
    """Return the judged week beside what is usual; `whole` says which weeks are known, (26, n)."""
    shape = (LONG_WEEKS, DAYS, counts.shape[1])
    opened = used[DAYS:].reshape(shape) * whole[:, np.newaxis]
    before = counts[DAYS:].reshape(shape) * whole[:, np.newaxis]
    long = _daily(before, opened)
    short = _daily(before[:WEEKS], opened[:WEEKS])
    usual = np.maximum(total(short * used[:DAYS]), total(long * used[:DAYS]))
    weeks = np.stack([total(one) for one in before])
    lengths = np.stack([total(one) for one in opened])
    dispersion = _dispersion(weeks, np.stack([total(long * one) for one in opened]), prior)
    # phi * mu * (1 + 1/8): what is usual is itself known from eight weeks only.
    reach = share(total(used[:DAYS]), total(lengths[:WEEKS]))
    variance = dispersion * usual * (1 + reach)
    rates = share(weeks[:WEEKS] * total(used[:DAYS]), lengths[:WEEKS])
    return _Week(
        seen=total(counts[:DAYS]),
        usual=usual,
        dispersion=dispersion,
        size=share(usual**2, variance - usual),
        weeks=rates,
    )


def _daily(before: Floats, opened: Floats) -> Floats:
    """Return what is usual on an unmasked day of each weekday, (7, accounts), the prior in it."""
    sums, days = total(before), total(opened)
    all_days = total(days)
    mean = np.nan_to_num(share(total(sums), all_days))
    own = np.divide(sums, days, out=np.tile(mean, (DAYS, 1)), where=days > 0)
    return cast(Floats, own + np.nan_to_num(share(np.full_like(all_days, PRIOR), all_days)))


def _dispersion(weeks: Floats, expected: Floats, prior: float) -> Floats:
    """Return phi, variance over mean of weekly counts, >= 1."""
    valid = expected > 0
    excess = np.divide((weeks - expected) ** 2, expected, out=np.zeros_like(weeks), where=valid)
    k = total(valid.astype(np.float64))
    shrunk = (PRIOR_WEIGHT * prior + total(excess)) / (PRIOR_WEIGHT + np.maximum(k - 1, 0))
    return cast(Floats, np.maximum(1.0, shrunk))


def _tail(seen: Floats, week: _Week) -> Floats:
    """Return P(X >= seen) of the negative binomial as it is compared, (accounts,); 1 for 0."""
    odds = share(week.usual, week.size + week.usual)
    chance = betainc(np.maximum(seen, 1e-9), week.size, odds)
    return settled(np.where(seen > 0, chance, 1.0))


def _stands_out(found: _Found, count: Floats, days: Floats, params: SpikeParams) -> Bools:
    """Return where such a week would fire."""
    much = settled(count) >= settled(np.maximum(params.least, params.ratio * found.count.usual))
    rare = _tail(count, found.count) < params.probability
    steady = _tail(days, found.days) < params.days_probability
    return much & (rare | (steady & (days >= params.least)))


def _calm(found: _Found) -> Floats:
    """Return the greatest count at which a spike is over, (accounts,)."""
    median = np.nan_to_num(weekly.median(found.count.weeks))
    return cast(Floats, np.maximum(CLEAR_COUNT, CLEAR_RATIO * median))


def _detectable(found: _Found, params: SpikeParams) -> int | None:
    """Return the least count of one account, all on one day, that would fire; None if untold."""
    if not found.told[0]:
        return None

    def fires(count: int) -> bool:
        return bool(_stands_out(found, np.array([float(count)]), np.ones(1), params)[0])

    high = 1
    while not fires(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fires(middle) else (middle, high)
    return high


def _because(series: Series, params: SpikeParams, row: int) -> dict[str, Any]:
    """Return the evidence of one account."""
    one = pick(series, np.array([row]))
    found, newest = _examine(one), series.day
    count, days = found.count, found.days
    chance = float(_tail(count.seen, count)[0])
    days_chance = float(_tail(days.seen, days)[0])
    return {
        "window": record.span(newest - DAYS + 1, newest, found.open_days[0]),
        "baseline": record.span(newest - KNOWN_DAYS + 1, newest - DAYS, found.base_days[0]),
        "observed": record.plain(count.seen[0]),
        "expected": record.plain(count.usual[0]),
        "ratio": record.plain(share(count.seen, count.usual)[0]),
        "probability": record.plain(chance),
        "once_in_weeks": _weeks(chance),
        "dispersion": record.plain(count.dispersion[0]),
        "days_observed": record.plain(days.seen[0]),
        "days_expected": record.plain(days.usual[0]),
        "days_probability": record.plain(days_chance),
        "days_once_in_weeks": _weeks(days_chance),
        "days_dispersion": record.plain(days.dispersion[0]),
        "smallest_detectable_spike": _detectable(found, params),
        "calm_count": record.plain(_calm(found)[0]),
        "weekly": [record.plain(week) for week in count.weeks[::-1, 0]],
        "masked_days": record.masked_days(newest, one.masked[0], one.known[0], KNOWN_DAYS),
        "reported_once_in_weeks": _weeks(params.probability),
        "days_reported_once_in_weeks": _weeks(params.days_probability),
        "thresholds_in_force": params.model_dump(exclude={"metric"}),
    }


def _weeks(chance: float) -> int | None:
    """Return in how many ordinary weeks something is expected once, None for hardly ever."""
    return round(1 / chance) if chance >= HARDLY_EVER else None
