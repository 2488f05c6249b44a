"""Real accounts as arrays; where they come from: tests/quality/data/README.md."""

from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache

import numpy as np

from services.detector.primitives.alive import Histories
from services.detector.primitives.day import SWING_WEEKS, Series
from services.detector.primitives.ratio import ACTIVE_DAYS, MEAN_DAYS
from tests.quality.seats import contracts, teams
from tests.quality.sources import rows

REAL = {
    "stations": ("station_entries_daily", "entries"),
    "companies": ("fhv_bases_daily", "trips"),
    "customers": ("retail_customers_daily", "lines"),
    "agents": ("hotel_agents_daily", "checkins"),
}
"""Real accounts of four kinds: the table, and what is counted."""

WIDTH = 238
ACCOUNTS = 12
DAY = 20_000


@lru_cache
def real(source: str) -> Series:
    """Return the accounts with the most days of a source, each twice: whole, and cut in half."""
    table, column = REAL[source]
    told: dict[str, dict[int, float]] = defaultdict(dict)
    for one in rows(table):
        day = (date.fromisoformat(one["date"]) - date(1970, 1, 1)).days
        days = told[one["account_id"]]
        days[day] = days.get(day, 0) + float(one[column])
    busy = sorted(told, key=lambda one: (-len(told[one]), one))[:ACCOUNTS]
    lives = []
    for name in busy:
        first, last = min(told[name]), max(told[name])
        lives += [(told[name], first, last), (told[name], first, (first + last) // 2)]
    return _series(lives)


@lru_cache
def seats() -> Series:
    """Return real companies, at several sizes of contract and ages: people of four weeks, seats."""
    lives, bought = [], []
    for team in teams():
        active = {(on - date(1970, 1, 1)).days: people for on, people in team.active.items()}
        first, last = min(active), max(active)
        for number in contracts(team):
            for end in (last, (first + last) // 2, first + 70):
                people = {end - back: _people(active, end - back) for back in range(MEAN_DAYS)}
                lives.append((people, first, end))
                bought.append(number)
    found = _series(lives)
    each_day = np.repeat(np.array(bought, dtype=np.float64)[:, np.newaxis], WIDTH, axis=1)
    # Every third company had fewer seats, 20 to 40 days ago.
    for row in range(0, len(bought), 3):
        each_day[row, : WIDTH - 20 - row % 21] *= 0.5
    return replace(found, whole=replace(found, counts=each_day, memo={}), memo={})


def purchases(weeks: int) -> Histories:
    """Return customers of a shop, all new in one quarter, so many weeks after it began."""
    end = date(1997, 1, 1) + timedelta(days=7 * weeks - 1)
    told: dict[str, set[date]] = defaultdict(set)
    for one in rows("cdnow_purchases"):
        day = date.fromisoformat(one["date"])
        if day <= end:
            told[one["account_id"]].add(day)
    known = [
        (len(days) - 1, (max(days) - min(days)).days, (end - min(days)).days)
        for days in told.values()
    ]
    return Histories(*np.array(known, dtype=np.float64).T)


def _people(active: dict[int, frozenset[str]], day: int) -> float:
    """Return how many people were active in the days up to one."""
    near = (active.get(day - back, frozenset()) for back in range(ACTIVE_DAYS))
    return float(len(frozenset[str]().union(*near)))


def _series(lives: list[tuple[dict[int, float], int, int]]) -> Series:
    """Return accounts, each by its counts, its first day and the judged one; some days masked."""
    counts, known = np.zeros((len(lives), WIDTH)), np.zeros(len(lives), dtype=np.int64)
    for row, (days, first, end) in enumerate(lives):
        known[row] = min(WIDTH, end - first + 1)
        for back in range(known[row]):
            counts[row, WIDTH - 1 - back] = days.get(end - back, 0.0)
    rng = np.random.default_rng(len(lives))
    masked = rng.random(counts.shape) < 0.03
    swings = rng.normal(0.003, 0.01, (len(lives), SWING_WEEKS))
    return Series(DAY, counts, masked, known, swings, np.zeros(len(lives), dtype=np.int64))
