"""An account's rhythm: on how many days and in how many weeks it is active (detection.md §3)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.detector.primitives.arrays import settled
from services.detector.primitives.day import Bools, Floats, Ints, Series

DAYS = 56
"""Days up to the last activity whose active days are counted (detection.md §3)."""
WEEKS = 26
"""Weeks up to the last activity whose active weeks are counted: half a year, as in `drop`."""
HISTORY_DAYS = 210
"""Days of counts in sight; a silence of 150 days leaves eight weeks of rhythm."""
LATELY_DAYS = 14
"""Last days in which a return is looked for (signals.md, primitives)."""
DENSE_SHARE = 0.35
"""Share of active days from which only unmasked days of silence count, and below which the weeks
tell the rhythm (detection.md §3)."""
WEEK_POWER = 0.3
"""How much longer the limit is where weeks are empty: (weeks / active weeks) to this power."""
DOUBT_DAYS = 8.0
"""Active days in a life at which the limit is doubled: of so few a rhythm is a guess."""
LEAST_ACCOUNTS = 5
"""Accounts of known rhythm below which a segment has no median limit."""

# A power of one ratio may differ in its last bit with its place in a batch; a table's does not.
_SPREAD = np.array(
    [[(weeks / max(busy, 1)) ** WEEK_POWER for weeks in range(WEEKS + 1)] for busy in range(27)]
)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often each account of a batch is active, and for how long it has not been.

    Args:
        lag: Shape (accounts,); days since the last activity in sight, 0..; 0 where there is none.
        silent: Shape (accounts,); those of them that are unmasked.
        active: Shape (accounts,); active days in the account's whole life, at least.
        seen: Shape (accounts,); active days among those in sight.
        days: Shape (accounts,); active days among the 56 up to the last activity.
        weeks: Shape (accounts,); weeks up to the last activity that are known, 1..26.
        busy: Shape (accounts,); those of them with an active day.
        lately: Shape (accounts,); active days among the last 14.
    """

    lag: Ints
    silent: Ints
    active: Ints
    seen: Ints
    days: Ints
    weeks: Ints
    busy: Ints
    lately: Ints

    @property
    def share(self) -> Floats:
        """Share of the 56 days that were active, at least one of them; (accounts,)."""
        result: Floats = np.maximum(self.days, 1) / DAYS
        return result


def measure(series: Series, sight: int = HISTORY_DAYS) -> Rhythm:
    """Return the rhythm of each account.

    Args:
        series: Any number of accounts. Activity on a masked day is activity.
        sight: How many of the last days are read, >= 14.

    Returns:
        The rhythm; of an account that was never active in sight (`seen` 0) it means nothing.

    Source:
        detection.md §3; weeks are blocks of seven days that end with the last activity, and lie in
        sight and, but for the oldest, in the account's own history.
    """
    seen, unmasked = _by_lag(series, sight)
    active, opened = _running(seen), _running(unmasked)
    lag = np.argmax(seen, axis=1)
    width, rows = seen.shape[1], np.arange(len(lag))

    def until(days: int) -> Ints:
        """Return the active days among the last `lag + days`."""
        count: Ints = active[np.minimum(lag + days, width), rows].astype(np.int64)
        return count

    before = until(0)
    steps = [until(7 * k) for k in range(WEEKS + 1)]
    age = np.minimum(series.known, width) - lag
    weeks = np.clip(np.minimum((age + 6) // 7, (width - lag) // 7), 1, WEEKS)
    busy = np.zeros(len(lag), dtype=np.int64)
    for k in range(WEEKS):
        busy += (steps[k + 1] > steps[k]) & (k < weeks)
    return Rhythm(
        lag=lag,
        silent=opened[lag, rows].astype(np.int64),
        active=np.maximum(active[-1], series.active),
        seen=active[-1].astype(np.int64),
        days=until(DAYS) - before,
        weeks=weeks,
        busy=busy,
        lately=active[min(LATELY_DAYS, width)].astype(np.int64),
    )


def limit(rhythm: Rhythm, pace: float) -> Floats:
    """Return the days of silence that are too many for each rhythm, unbounded and not rounded.

    The root says how often, the weeks how evenly, and the last factor how well that is known:
    pace / sqrt(max(q, .35)) · (weeks / active weeks)^.3 · (1 + 8 / active days in the life).

    Args:
        rhythm: From `measure`.
        pace: Days for an account that has been active every day for long, > 0.

    Returns:
        Shape (accounts,); days, > 0, settled to 9 decimals.

    When it is wrong: for who comes by season. Nobody's last year is in sight, and a season's pause
    looks like leaving.

    Source:
        Developed from 18 / sqrt(q) of detection.md §3; cross-validated over sources, leaving one
        out (docs/detection.md).
    """
    often = np.sqrt(np.maximum(rhythm.share, DENSE_SHARE))
    doubt = 1 + DOUBT_DAYS / np.maximum(rhythm.active, 1)
    return settled(pace / often * _SPREAD[rhythm.busy, rhythm.weeks] * doubt)


def medians(limits: Floats, known: Bools, segments: Sequence[str | None]) -> dict[str, int]:
    """Return each segment's median limit: for accounts that are too new to have their own.

    Args:
        limits: Shape (accounts,); whole days.
        known: Shape (accounts,); where the rhythm is known; the others do not count.
        segments: The accounts' segments, in the same order; those without one are left out.

    Returns:
        By segment, days, the lower middle of an even number; a segment with fewer than five
        accounts of known rhythm has none: it cannot be told.

    Source:
        detection.md §3.
    """
    by: dict[str, list[int]] = {}
    for days, tells, segment in zip(limits.tolist(), known.tolist(), segments, strict=True):
        if tells and segment:
            by.setdefault(segment, []).append(int(days))
    return {
        segment: sorted(found)[(len(found) - 1) // 2]
        for segment, found in sorted(by.items())
        if len(found) >= LEAST_ACCOUNTS
    }


def _by_lag(series: Series, days: int) -> tuple[Bools, Bools]:
    """Return active and unmasked known days, (accounts, days), newest first."""
    newest = np.s_[:, : -days - 1 : -1]
    counts, masked = series.counts[newest], series.masked[newest]
    known = np.arange(counts.shape[1]) < series.known[:, np.newaxis]
    return (counts > 0) & known, ~masked & known


def _running(days: Bools) -> NDArray[np.int16]:
    """Return how many of the first k days hold, (days + 1, accounts)."""
    accounts, width = days.shape
    sums = np.zeros((width + 1, accounts), dtype=np.int16)
    # A row after the other: numpy's own sum along the days takes twice as long.
    for k, row in enumerate(np.ascontiguousarray(days.T)):
        np.add(sums[k], row, out=sums[k + 1])
    return sums
