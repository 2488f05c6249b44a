"""`silence`: nothing for longer than the account's own rhythm allows (detection.md §3)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from schemas.alerts import SEVERITIES
from services.detector.primitives import alive, day, record, rhythm
from services.detector.primitives.arrays import pick
from services.detector.primitives.baseline import MetricParams
from services.detector.primitives.day import Bools, Floats, Ints, Series, Verdicts
from services.detector.primitives.rhythm import Rhythm

LONGEST_DAYS = 150
"""Cap of the limit; with eight weeks of rhythm it fits into the history kept for `drop`."""
CLEAR_ACTIVE = 3
"""Active days in fourteen that end a silence (signals.md, primitives); fewer where the account's
own rhythm has fewer, at least one, or a quiet customer's return would never count."""
SPARSE_SHARE = 0.1
"""Share of active days below which a population's P(alive) decides, where there is one."""


class SilenceParams(MetricParams):
    """Parameters of `silence`.

    Args:
        metric: See `MetricParams`; counts of several metrics are added up.
        days: A policy: so many days without activity, 1..150, whatever the rhythm; every day
            counts. `None`: the account's own rhythm decides.
        pace: Days of silence that are too many for an account that has been active every day for
            long, > 0, see `rhythm.limit`. Higher waits longer and alarms less.
        shortest: Least limit, days, 1..150.
        longest: Greatest limit, days, shortest..150.
        active_days: Active days in an account's life below which its rhythm is unknown, 1..56.
        unknown: Limit for those, days, 1..150, best their segment's median (`rhythm.medians`), set
            by an override; `None`: they are not told.
        population: (r, alpha, a, b) of BG/NBD, > 0 (`alive.fit`): accounts active on less than a
            tenth of their days are told when P(alive) falls below `alive`, and after `longest`
            days; `None`: their rhythm decides.
        alive: P(alive) below which it fires, in (0, 1).

    Source:
        detection.md §3; the pace: docs/detection.md.
    """

    metric: str = Field("@meaningful", min_length=1)
    days: int | None = Field(None, ge=1, le=LONGEST_DAYS)
    pace: float = Field(20, gt=0, le=LONGEST_DAYS)
    shortest: int = Field(5, ge=1, le=LONGEST_DAYS)
    longest: int = Field(LONGEST_DAYS, ge=1, le=LONGEST_DAYS)
    active_days: int = Field(5, ge=1, le=rhythm.DAYS)
    unknown: int | None = Field(None, ge=1, le=LONGEST_DAYS)
    population: tuple[float, float, float, float] | None = None
    alive: float = Field(0.5, gt=0, lt=1)

    @model_validator(mode="after")
    def _has_a_range(self) -> Self:
        """Refuse limits that exclude each other."""
        if self.longest < self.shortest:
            raise ValueError(f"longest ({self.longest}) must be >= shortest ({self.shortest})")
        if self.population is not None and min(self.population) <= 0:
            raise ValueError(f"population {self.population} must be four numbers > 0")
        return self


class Silence:
    """Says which accounts have been silent for too long.

    Measures on how many days and in how many weeks an account was active before its last activity,
    and fires once the days since then pass what that allows: 25 for a customer active on weekdays
    for half a year, 34 for three days a week, 45 for one. Activity on a masked day is activity; a
    masked day without any is no silence where the account is dense. Where it is sparse it counts:
    a fleet of few rare customers has many days on which nobody came, and no source was down.

    When it is wrong: on untouched histories 3.6 false alarms per 100 account-months, precision .49
    at recall 1 (a fixed 60 days: 11.3 and .23), most of them accounts that come back after a
    season; rare customers are told late, after 119 days in the median. A busy account that left is
    found by `stop` two weeks sooner. Accounts with fewer than five active days in their life are
    told only where the rule says after how long (`unknown`), those with none in sight never.

    Source:
        detection.md §3; clear condition: signals.md.
    """

    name: ClassVar[str] = "silence"
    Params: ClassVar[type[day.Params]] = SilenceParams
    combines: ClassVar[bool] = True
    adapts: ClassVar[bool] = False
    rearms: ClassVar[day.Rearms] = "calm"

    @staticmethod
    def kind(params: SilenceParams) -> str:
        """Return `silence`, or `policy_silence` for a fixed number of days."""
        return "silence" if params.days is None else "policy_silence"

    @staticmethod
    def history_days(params: SilenceParams) -> int:
        """Return 210, eight weeks more than the longest limit; of a policy's days as many more."""
        return rhythm.HISTORY_DAYS if params.days is None else params.days + rhythm.DAYS

    @staticmethod
    def judge(series: Series, params: SilenceParams) -> Verdicts:
        """Judge every account of `series`; row i depends on row i alone.

        Args:
            series: Sums of the metrics that count as activity. The verdicts' `because` reads it
                again, when asked.
            params: Bounds in force.

        Returns:
            Verdicts, always high; not told on a masked day, without any active day in sight, or
            with fewer in the account's life than asked (one is enough for a policy, and where
            `unknown` is given).
        """
        found = _examine(series, params)
        told = (found.rhythm.seen >= 1) & ~series.masked[:, -1]
        if params.days is None and params.unknown is None:
            told &= found.known
        severity = np.full(len(told), SEVERITIES.index("high"), dtype=np.int8)
        back = found.rhythm.lately >= _returned(found.rhythm)
        return Verdicts(
            fires=told & found.fires,
            clears=told & back & ~found.fires,
            told=told,
            severity=severity,
            because=lambda row: _because(series, params, row),
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known of a batch, each (accounts,); `alive` is 1 where a limit decides."""

    rhythm: Rhythm
    known: Bools
    dense: Bools
    silent: Ints
    limit: Floats
    alive: Floats
    fires: Bools


def _examine(series: Series, params: SilenceParams) -> _Found:
    """Return rhythm, limit and silence; meaningless without any active day in sight."""
    told = rhythm.measure(series, Silence.history_days(params))
    known = told.active >= params.active_days
    dense = (told.share >= rhythm.DENSE_SHARE) & (params.days is None)
    silent = np.where(dense, told.silent, told.lag)
    limit, likely = _limit(told, known, params), np.ones(len(known))
    if params.population is not None and params.days is None:
        sparse = known & (told.share < SPARSE_SHARE)
        past = alive.histories(series, rhythm.HISTORY_DAYS)
        likely = np.where(sparse, alive.alive(past, alive.Population(*params.population)), 1.0)
        limit = np.where(sparse, float(params.longest), limit)
    gone = (likely < params.alive) & (silent >= params.shortest)
    return _Found(told, known, dense, silent, limit, likely, (silent >= limit) | gone)


def _returned(found: Rhythm) -> Floats:
    """Return the active days of the last fourteen that show that an account is back."""
    usual: Floats = np.rint(found.days * (rhythm.LATELY_DAYS / rhythm.DAYS))
    return np.clip(usual, 1.0, float(CLEAR_ACTIVE))


def _limit(found: Rhythm, known: Bools, params: SilenceParams) -> Floats:
    """Return the days of silence that are too many, whole: a day is judged when it is over."""
    if params.days is not None:
        return np.full(known.shape, float(params.days))
    own = np.ceil(np.clip(rhythm.limit(found, params.pace), params.shortest, params.longest))
    return np.where(known, own, float(params.unknown or params.longest))


def _because(series: Series, params: SilenceParams, row: int) -> dict[str, Any]:
    """Return the evidence of one account; the window is the silence itself."""
    one = pick(series, np.array([row]))
    found = _examine(one, params)
    told = found.rhythm
    lag, silent = int(told.lag[0]), int(found.silent[0])
    return {
        "window": record.span(series.day - lag + 1, series.day, silent),
        "days_silent": silent,
        "calendar_days_silent": lag,
        "limit": int(found.limit[0]),
        "last_active": record.iso(series.day - lag),
        "since_estimate": record.iso(series.day - lag + 1),
        "active_days_of_56": int(told.days[0]),
        "active_days_of_last_14": int(told.lately[0]),
        "q": record.plain(told.days[0] / rhythm.DAYS),
        "masked_days_count": not bool(found.dense[0]),
        "masked_days": record.masked_days(series.day, one.masked[0], one.known[0], lag),
        "thresholds_in_force": params.model_dump(mode="json", exclude={"metric"}),
        **({} if params.days is not None else _of_rhythm(found)),
    }


def _of_rhythm(found: _Found) -> dict[str, Any]:
    """Return what the limit was computed from beside the days of eight weeks."""
    likely = float(found.alive[0])
    return {
        "silent_too_long": bool(found.fires[0]),
        "active_days": int(found.rhythm.active[0]),
        "active_weeks": int(found.rhythm.busy[0]),
        "weeks": int(found.rhythm.weeks[0]),
        "rhythm_known": bool(found.known[0]),
        "p_alive": record.plain(likely) if likely < 1 else None,
    }
