"""`silence`: nothing for longer than the account's own rhythm allows (detection.md §3)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from schemas.alerts import SEVERITIES
from services.detector.primitives import day, record
from services.detector.primitives.arrays import pick, settled
from services.detector.primitives.baseline import MetricParams
from services.detector.primitives.day import Bools, Floats, Ints, Series, Verdicts

RHYTHM_DAYS = 56
"""Days up to the last activity that tell the rhythm (detection.md §3)."""
LONGEST_DAYS = 150
"""Cap of the limit; with the rhythm's days it fits into the history kept for `drop`."""
DENSE_SHARE = 0.35
"""Share of active days from which only unmasked days of silence count (detection.md §3)."""
CLEAR_DAYS, CLEAR_ACTIVE = 14, 3
"""Active days inside the last days that end a silence (signals.md, primitives); fewer where the
account's own rhythm has fewer, at least one, or a quiet customer's return would never count."""


class SilenceParams(MetricParams):
    """Parameters of `silence`.

    Args:
        metric: See `MetricParams`; counts of several metrics are added up.
        days: A policy: so many days without activity, 1..150, whatever the rhythm; every day
            counts. `None`: the account's own rhythm decides.
        pace: Days of silence that are too many for an account active every day, > 0; one active a
            share q of its days gets pace / sqrt(q). Higher waits longer and alarms less.
        shortest: Least limit, days, 1..150.
        longest: Greatest limit, days, shortest..150.
        active_days: Active days in an account's life below which its rhythm is unknown, 1..56.

    Source:
        detection.md §3.
    """

    metric: str = Field("@meaningful", min_length=1)
    days: int | None = Field(None, ge=1, le=LONGEST_DAYS)
    pace: float = Field(18, gt=0, le=LONGEST_DAYS)
    shortest: int = Field(5, ge=1, le=LONGEST_DAYS)
    longest: int = Field(LONGEST_DAYS, ge=1, le=LONGEST_DAYS)
    active_days: int = Field(5, ge=1, le=RHYTHM_DAYS)

    @model_validator(mode="after")
    def _has_a_range(self) -> Self:
        """Refuse limits that exclude each other."""
        if self.longest < self.shortest:
            raise ValueError(f"longest ({self.longest}) must be >= shortest ({self.shortest})")
        return self


class Silence:
    """Says which accounts have been silent for too long.

    Measures how often an account was active in the eight weeks up to its last activity, and fires
    once the days since then pass 18 / sqrt(that share): 22 days for a daily user on weekdays, 28
    for three days a week, 48 for one. Activity on a masked day is activity; a masked day without
    any is no silence where the account is dense.

    When it is wrong: on untouched histories 5.2 false alarms per 100 account-months and precision
    .39 at recall 1 (a fixed 60 days: 11.3 and .23), most of them accounts that come back after a
    season. Accounts with fewer than five active days in their life are never told, nor those with
    none in the 206 days kept.

    Source:
        detection.md §3; clear condition: signals.md.
    """

    name: ClassVar[str] = "silence"
    Params: ClassVar[type[day.Params]] = SilenceParams
    combines: ClassVar[bool] = True

    @staticmethod
    def kind(params: SilenceParams) -> str:
        """Return `silence`, or `policy_silence` for a fixed number of days."""
        return "silence" if params.days is None else "policy_silence"

    @staticmethod
    def history_days(params: SilenceParams) -> int:
        """Return the longest limit and the eight weeks before it, at most 206."""
        return (params.longest if params.days is None else params.days) + RHYTHM_DAYS

    @staticmethod
    def judge(series: Series, params: SilenceParams) -> Verdicts:
        """Judge every account of `series`; row i depends on row i alone.

        Args:
            series: Sums of the metrics that count as activity. The verdicts' `because` reads it
                again, when asked.
            params: Bounds in force.

        Returns:
            Verdicts, always high; not told on a masked day, without any active day in sight, or
            with fewer in the account's life than asked (a policy needs one).
        """
        found = _examine(series, params)
        least = params.active_days if params.days is None else 1
        enough = (found.active >= 1) & (np.maximum(found.active, series.active) >= least)
        told = enough & ~series.masked[:, -1]
        severity = np.full(len(told), SEVERITIES.index("high"), dtype=np.int8)
        return Verdicts(
            fires=told & (found.silent >= found.limit),
            clears=told & (found.lately >= _returned(found)) & (found.silent < found.limit),
            told=told,
            severity=severity,
            because=lambda row: _because(series, params, row),
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """Rhythm and silence of a batch, each (accounts,); `lag`: days since the last activity."""

    active: Ints
    lately: Ints
    lag: Ints
    rhythm: Ints
    silent: Ints
    limit: Floats
    dense: Bools


def _examine(series: Series, params: SilenceParams) -> _Found:
    """Return rhythm, limit and silence; meaningless without any active day in sight."""
    seen, unmasked = _by_lag(series, Silence.history_days(params))
    active, open_days = _running(seen), _running(unmasked)
    lag = np.argmax(seen, axis=1)
    rows = np.arange(len(lag))
    until = np.minimum(lag + RHYTHM_DAYS, seen.shape[1])
    rhythm = active[rows, until] - active[rows, lag]
    share = np.maximum(rhythm, 1) / RHYTHM_DAYS
    dense = (share >= DENSE_SHARE) & (params.days is None)
    return _Found(
        active=active[:, -1],
        lately=active[:, min(CLEAR_DAYS, seen.shape[1])],
        lag=lag,
        rhythm=rhythm,
        silent=np.where(dense, open_days[rows, lag], lag),
        limit=_limit(share, params),
        dense=dense,
    )


def _returned(found: _Found) -> Floats:
    """Return the active days of the last fourteen that show that an account is back."""
    usual: Floats = np.rint(found.rhythm * (CLEAR_DAYS / RHYTHM_DAYS))
    return np.clip(usual, 1.0, float(CLEAR_ACTIVE))


def _limit(share: Floats, params: SilenceParams) -> Floats:
    """Return the days of silence that are too many, whole: a day is judged when it is over."""
    if params.days is not None:
        return np.full(share.shape, float(params.days))
    return np.ceil(np.clip(settled(params.pace / np.sqrt(share)), params.shortest, params.longest))


def _by_lag(series: Series, days: int) -> tuple[Bools, Bools]:
    """Return active and unmasked known days, (accounts, days), newest first."""
    newest = np.s_[:, : -days - 1 : -1]
    counts, masked = series.counts[newest], series.masked[newest]
    known = np.arange(counts.shape[1]) < series.known[:, np.newaxis]
    return (counts > 0) & known, ~masked & known


def _running(days: Bools) -> Ints:
    """Return how many of the first k days hold, (accounts, days + 1)."""
    sums = np.zeros((days.shape[0], days.shape[1] + 1), dtype=np.int64)
    np.cumsum(days, axis=1, out=sums[:, 1:])
    return sums


def _because(series: Series, params: SilenceParams, row: int) -> dict[str, Any]:
    """Return the evidence of one account; the window is the silence itself."""
    one = pick(series, np.array([row]))
    found = _examine(one, params)
    lag, silent = int(found.lag[0]), int(found.silent[0])
    return {
        "window": record.span(series.day - lag + 1, series.day, silent),
        "days_silent": silent,
        "calendar_days_silent": lag,
        "limit": int(found.limit[0]),
        "last_active": record.iso(series.day - lag),
        "since_estimate": record.iso(series.day - lag + 1),
        "active_days_of_56": int(found.rhythm[0]),
        "active_days_of_last_14": int(found.lately[0]),
        "q": record.plain(found.rhythm[0] / RHYTHM_DAYS),
        "masked_days_count": not bool(found.dense[0]),
        "masked_days": record.masked_days(series.day, one.masked[0], one.known[0], lag),
        "thresholds_in_force": params.model_dump(exclude={"metric"}),
    }
