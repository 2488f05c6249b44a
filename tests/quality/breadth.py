"""`python -m tests.quality.breadth`: how often `breadth` tells where nothing, or half, is lost.

No data of features are public, so nothing is real here but the holidays: accounts with six core
features, each used on a working day with the chance that its rhythm says, or in bunches of three,
alone of the others. The year's ends are masked as everywhere, and nobody works then.
"""

import argparse
from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

import numpy as np

from services.detector import calendars
from services.detector import episode as episodes
from services.detector.episode import Episode, Policy, Verdict
from services.detector.primitives.breadth import Breadth, BreadthParams
from services.detector.primitives.day import SWING_WEEKS, Bools, Series
from services.detector.primitives.regularity import distinct

GAPS: Final = (1, 2, 5, 8, 12)
"""Working days from one use of a feature to the next, on average."""
FEATURES, LOST, BUNCH = 6, 3, 3
FIRST, LAST = date(2022, 1, 3), date(2024, 12, 1)
WARM_UP, MONTH = 300, 30.4
FOUND_DAYS = 84
"""Days from a loss within which it must be told."""
SEASON: Final = ((12, 20), (2, 4))
"""The weeks in which a fall at the year's end would show."""
PARAMS: Final = BreadthParams()


class World(NamedTuple):
    """Accounts over three years.

    Attributes:
        day: The first day, days since 1970-01-01.
        masked: Shape (days,).
        used: Shape (accounts, features, days).
        lost_on: Shape (accounts,); the day on which half of the features go, or none.
    """

    day: int
    masked: Bools
    used: Bools
    lost_on: Sequence[int] | None


class Found(NamedTuple):
    """What was told.

    Attributes:
        alerts: Account and day of each.
        months: Account-months that were judged.
    """

    alerts: list[tuple[int, int]]
    months: float


def world(gap: int, accounts: int, seed: int, *, holidays: bool, bunch: int, lose: bool) -> World:
    """Return accounts whose features are used every `gap` working days, `bunch` days running."""
    rng = np.random.default_rng(seed)
    first, last = calendars.to_day(FIRST), calendars.to_day(LAST)
    days = last - first + 1
    masked = calendars.mask("DE", last, days) if holidays else np.zeros(days, dtype=np.bool_)
    weekend = np.isin((np.arange(first, last + 1) + 3) % 7, (5, 6))
    begins = rng.random((accounts, FEATURES, days)) < 1 / gap / bunch
    used = begins.copy()
    for later in range(1, bunch):
        used[:, :, later:] |= begins[:, :, :-later]
    used &= ~(weekend | masked)
    if not lose:
        return World(first, masked, used, None)
    lost_on = rng.integers(WARM_UP + 100, WARM_UP + 300, accounts).tolist()
    for account, on in enumerate(lost_on):
        used[account, :LOST, on:] = False
    return World(first, masked, used, lost_on)


def play(of: World) -> Found:
    """Judge every day after the first 300, as the product does."""
    accounts, _, days = of.used.shape
    width = Breadth.history_days(PARAMS)
    end = days if of.lost_on is None else max(of.lost_on) + FOUND_DAYS + 1
    known: dict[int, Episode | None] = {}
    alerts = []
    for last in range(WARM_UP, end):
        stretch = slice(last - width + 1, last + 1)
        said = Breadth.judge(_series(of, stretch, of.day + last, accounts, width), PARAMS)
        for account in range(accounts):
            before = known.get(account)
            if not said.told[account] or not (before or said.fires[account]):
                continue
            verdict = Verdict(bool(said.fires[account]), bool(said.clears[account]), 2)
            begin = Episode("breadth", str(account), "pending", of.day + last)
            known[account], change = episodes.step(before, verdict, of.day + last, Policy(), begin)
            if change is not None and change.kind == "raised":
                alerts.append((account, last))
    return Found(alerts, accounts * (end - WARM_UP) / MONTH)


def _series(of: World, stretch: slice, day: int, accounts: int, width: int) -> Series:
    masked = of.masked[stretch]
    return Series(
        day=day,
        counts=distinct(of.used[:, :, stretch], masked, width),
        masked=np.tile(masked, (accounts, 1)),
        known=np.full(accounts, width),
        swings=np.full((accounts, SWING_WEEKS), np.nan),
        active=np.full(accounts, width),
    )


def false_alarms(gap: int, accounts: int, seed: int, *, holidays: bool, bunch: int) -> str:
    """Return the rate of alerts where nothing is lost, and how much of it is at the year's ends."""
    of = world(gap, accounts, seed, holidays=holidays, bunch=bunch, lose=False)
    found = play(of)
    at_ends = sum(_in_season(calendars.to_date(of.day + on)) for _, on in found.alerts)
    return f"{100 * len(found.alerts) / found.months:.2f} ({at_ends} of {len(found.alerts)})"


def recall(gap: int, accounts: int, seed: int, *, bunch: int) -> str:
    """Return the share of losses that are told, and the median delay."""
    of = world(gap, accounts, seed, holidays=True, bunch=bunch, lose=True)
    assert of.lost_on is not None
    delays: dict[int, int] = {}
    for account, on in play(of).alerts:
        if 0 <= on - of.lost_on[account] <= FOUND_DAYS:
            delays.setdefault(account, on - of.lost_on[account])
    if not delays:
        return "0"
    return f"{len(delays) / accounts:.2f}, {np.median(list(delays.values())):.0f} d"


def _in_season(on: date) -> bool:
    begin, end = SEASON
    return (on.month, on.day) >= begin or (on.month, on.day) <= end


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row per rhythm."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality.breadth", description=__doc__)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gaps", type=int, nargs="+", default=GAPS)
    options = parser.parse_args(argv)
    accounts, seed = options.accounts, options.seed
    print("| a use every | false alarms | without holidays | in bunches | 3 of 6 lost: told |")
    print("|---|---|---|---|---|")
    for gap in options.gaps:
        cells = (
            false_alarms(gap, accounts, seed, holidays=True, bunch=1),
            false_alarms(gap, accounts, seed, holidays=False, bunch=1),
            false_alarms(gap, accounts, seed, holidays=True, bunch=BUNCH),
            recall(gap, accounts, seed, bunch=1),
        )
        print(f"| {gap} working days | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
