"""Seats and the people in them, as the arrays that primitives judge."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from services.detector.calendars import to_day
from services.detector.facts.buckets import PEOPLE
from services.detector.facts.people import SEEN_DAYS, seen_from
from services.detector.families import Asked
from services.detector.primitives.day import Bools, Floats, Ints, Series
from services.detector.primitives.open_days import reaches
from services.detector.primitives.ratio import ACTIVE_DAYS, MEAN_DAYS, REACH_DAYS
from services.detector.subject import Account
from services.detector.window import Row

Bits = NDArray[np.uint64]


def rows(accounts: Iterable[Account], _: Asked, /) -> list[Row]:
    """Return one row per account of which seats and active people are known.

    Args:
        accounts: Accounts to look at.
    """
    return [
        Row(account, PEOPLE, (PEOPLE,), (account.facts.buckets.lines[PEOPLE],))
        for account in accounts
        if _has_seats(account) and PEOPLE in account.facts.buckets.lines
    ]


def series(some: Sequence[Row], asked: Asked, day: int | None = None, /) -> Series:
    """Return how many people used the account, and in `whole` how many seats it had, each day.

    Args:
        some: Rows of `rows`.
        asked: The days, and what is masked in them.
        day: The last day; the closing's unless an earlier one is judged again.

    Returns:
        Counts are the distinct people active in the 28 unmasked days up to a day, of the last 14
        days, 0 before. History begins with the first person seen, or with the account where that
        is later; there is none of an earlier day whose windows reach further back than it is still
        known who was active.

    Source:
        detection.md §4 (seats).
    """
    found = asked.window.series(some, day)
    counts = np.zeros_like(found.counts)
    windows = _windows(found.masked)
    counts[:, ::-1][:, :MEAN_DAYS] = _people(some, windows, found.day)
    seats, known = np.zeros_like(counts), found.known.copy()
    if day is not None:
        known[_reach(windows) > [_days_left(row, day) for row in some]] = 0
    for i, row in enumerate(some):
        facts = row.account.facts
        facts.seats.fill(seats[i], found.day - asked.window.days + 1)
        if facts.profile.started_on is not None:
            age = found.day - to_day(facts.profile.started_on) + 1
            known[i] = min(known[i], max(age, 0))
    whole = replace(found, counts=seats, memo={})
    return replace(found, counts=counts, known=known, whole=whole, memo={})


def still_taken(account: Account, _: str, asked: Asked, /) -> bool:
    """Tell whether the account has seats on the judged day: without any, no share of them is used.

    Args:
        account: The account.
        asked: The judged day.
    """
    today = np.zeros(1)
    account.facts.seats.fill(today, asked.window.closing.day)
    return bool(today[0] > 0)


def _has_seats(account: Account) -> bool:
    """Tell whether anybody has ever told of an account's seats."""
    known = account.facts.seats
    return bool(known.contracts) or (bool(known.told) and any(one.seats for one in known.told))


def _people(some: Sequence[Row], windows: Sequence[Bits], day: int) -> Floats:
    """Return the distinct people of the windows that end on the last days, newest first."""
    pages = [row.account.facts.people.pages for row in some]
    seen = [seen_from(packed, day) for mine in pages for page in mine for packed in page.values()]
    sizes = [sum(map(len, mine)) for mine in pages]
    active, rows_ = np.array(seen, dtype=np.uint64), np.repeat(np.arange(len(some)), sizes)
    found = np.zeros((len(some), MEAN_DAYS))
    for lag, days in enumerate(windows):
        there = (active & days[rows_]) != 0
        found[:, lag] = np.bincount(rows_[there], minlength=len(some))
    return found


def _reach(windows: Sequence[Bits]) -> Ints:
    """Return how many of the last days the windows look at, (accounts,)."""
    return np.array([int(bits).bit_length() for bits in windows[-1]], dtype=np.int64)


def _days_left(row: Row, day: int) -> int:
    """Return of how many days up to an earlier one it is still known of everybody."""
    pages = row.account.facts.people.pages
    newest = max((packed >> SEEN_DAYS for page in pages for packed in page.values()), default=day)
    return SEEN_DAYS - max(newest - day, 0)


def _windows(masked: Bools) -> list[Bits]:
    """Return per lag the days of its window, as bits, (accounts,): 28 unmasked days and between."""
    ends = reaches(masked[:, -SEEN_DAYS:], ACTIVE_DAYS, REACH_DAYS).astype(np.uint64)
    one = np.uint64(1)
    return [
        ((one << ends[:, lag]) - one) & ~((one << np.uint64(lag)) - one) for lag in range(MEAN_DAYS)
    ]
