"""What is noted of every account each day, whatever the rules say: data states, swings, ratios."""

from collections.abc import Sequence

import numpy as np

from services.detector.batch import Batch, Taken
from services.detector.calendars import weekday
from services.detector.peers import Scopes, standing
from services.detector.primitives.baseline import HISTORY_DAYS, smallest_drops, states
from services.detector.primitives.day import Series
from services.detector.primitives.drop import watched, weekly_swing
from services.detector.primitives.record import habits
from services.detector.raising import Judgement
from services.detector.subject import Account
from services.detector.window import COUNTED, MEANINGFUL, Row, Window, combined_rows, outage_days

SUNDAY = 6
SWING_DIGITS = 9
"""Swings are kept rounded, so that they are the same whatever was computed together."""
_NOTHING = [0] * 9
"""What is usual where nothing is, or where it is not known yet."""


def observe(batch: Batch, out: Judgement, *, brief: bool = False) -> None:
    """Keep the data state of every line; once a week its swing, and what it could show.

    Args:
        batch: The accounts; their states, swings and smallest falls change.
        out: Notes which accounts changed.
        brief: Whether nobody is shown accounts: then what only their pages show is left out.
    """
    rows, series, window = batch.lines.every, batch.lines.arrays, batch.window
    if not rows:
        return
    found = _with_outages(rows, states(series).tolist(), window)
    for row, state in zip(rows, found, strict=True):
        if row.account.states.get(row.object) != state:
            row.account.states[row.object] = state
            out.changed[row.account.id] = row.account
    if not brief:
        _watch(rows, found, series, out)
    if weekday(window.closing.day) == SUNDAY:
        swings = np.round(weekly_swing(series), SWING_DIGITS).tolist()
        least = smallest_drops(series).tolist()
        for row, swing, percent in zip(rows, swings, least, strict=True):
            if swing == swing:
                row.lines[0].swing(window.closing.day, swing)
                row.account.least[row.object] = percent
                out.changed[row.account.id] = row.account
        if not brief:
            _keep_usual(rows, series, out)


def _watch(rows: Sequence[Row], found: Sequence[str], series: Series, out: Judgement) -> None:
    """Note which lines seem to fall; of those that are frozen, or told of when they rise, none."""
    falling = watched(series).tolist()
    for row, state, falls in zip(rows, found, falling, strict=True):
        account, name = row.account, row.object
        falls = falls and state != "no_data" and name not in COUNTED
        if falls != (name in account.watch):
            account.watch = sorted({*account.watch, name} if falls else {*account.watch} - {name})
            out.changed[account.id] = account


def _keep_usual(rows: Sequence[Row], series: Series, out: Judgement) -> None:
    """Keep what is usual of each line, for people."""
    for row, usual in zip(rows, habits(series).tolist(), strict=True):
        _put(row.account, row.object, usual, out)


def _put(account: Account, name: str, usual: list[int], out: Judgement) -> None:
    if usual == account.usual.get(name, _NOTHING):
        return
    if usual == _NOTHING:
        del account.usual[name]
    else:
        account.usual[name] = usual
    out.changed[account.id] = account


def count(batch: Batch, tally: Scopes) -> None:
    """Count how the accounts do.

    Args:
        batch: The accounts.
        tally: Counts them, for the day's summaries.
    """
    rows, series = batch.taken(MEANINGFUL, combined=True) or _lately(batch)
    told = {row.account.id: one for row, one in zip(rows, standing(series), strict=True)}
    for segment, ids in batch.segments.items():
        tally.count(segment, map(told.get, ids))


def is_frozen(row: Row) -> bool:
    """Tell whether nothing came for anybody: then nothing fires and nothing clears (signals.md)."""
    states = row.account.states
    return bool(row.names) and all(states.get(name) == "no_data" for name in row.names)


def _lately(batch: Batch) -> Taken:
    """Return meaningful usage where no rule has asked for it, no more days than are counted."""
    rows = combined_rows(batch.accounts, batch.rules, MEANINGFUL)
    window = Window(batch.window.closing, min(HISTORY_DAYS, batch.rules.history_days))
    return rows, window.series(rows)


def _with_outages(rows: Sequence[Row], found: list[str], window: Window) -> list[str]:
    """Return the states, `no_data` where nothing came from any source for anybody."""
    if not window.closing.outages:
        return found
    dark: dict[tuple[tuple[str, ...], int], bool] = {}
    for i, row in enumerate(rows):
        key = row.lines[0].sources, outage_days(row)
        if key not in dark:
            dark[key] = window.dark(row.lines[0], window.closing.day, key[1])
        if dark[key]:
            found[i] = "no_data"
    return found
