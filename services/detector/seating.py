"""Seats and the people in them, as the arrays that primitives judge."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from services.detector.calendars import to_day
from services.detector.facts.buckets import PEOPLE
from services.detector.facts.people import SEEN_DAYS, seen_from
from services.detector.primitives.day import Bools, Floats, Series
from services.detector.primitives.ratio import ACTIVE_DAYS, MEAN_DAYS, REACH_DAYS
from services.detector.subject import Account
from services.detector.window import Row, Window

assert MEAN_DAYS - 1 + REACH_DAYS <= SEEN_DAYS


def rows(accounts: Iterable[Account]) -> list[Row]:
    """Return one row per account of which seats and active people are known.

    Args:
        accounts: Accounts to look at.
    """
    return [
        Row(account, PEOPLE, (PEOPLE,), (account.facts.buckets.lines[PEOPLE],))
        for account in accounts
        if has_seats(account) and PEOPLE in account.facts.buckets.lines
    ]


def has_seats(account: Account) -> bool:
    """Tell whether anybody has ever told of an account's seats."""
    known = account.facts.seats
    return bool(known.contracts) or any(one.seats for one in known.told)


def series(some: Sequence[Row], window: Window, day: int | None = None) -> Series:
    """Return how many people used the account, and in `whole` how many seats it had, each day.

    Args:
        some: Rows of `rows`.
        window: The days, and what is masked in them.
        day: The last day; the closing's unless an earlier one is judged again.

    Returns:
        Counts are the distinct people active in the 28 unmasked days up to a day, of the last 14
        days, 0 before. History begins with the first person seen, or with the account where that
        is later.
    """
    found = window.series(some, day)
    counts = np.zeros_like(found.counts)
    counts[:, ::-1][:, :MEAN_DAYS] = _people(some, found.masked, found.day)
    seats, known = np.zeros_like(counts), found.known.copy()
    for i, row in enumerate(some):
        facts = row.account.facts
        facts.seats.fill(seats[i], found.day - window.days + 1)
        if facts.profile.started_on is not None:
            age = found.day - to_day(facts.profile.started_on) + 1
            known[i] = min(known[i], max(age, 0))
    whole = replace(found, counts=seats, memo={})
    return replace(found, counts=counts, known=known, whole=whole, memo={})


def _people(some: Sequence[Row], masked: Bools, day: int) -> Floats:
    """Return the distinct people of the windows that end on the last days, newest first."""
    pages = [row.account.facts.people.pages for row in some]
    seen = [seen_from(packed, day) for mine in pages for page in mine for packed in page.values()]
    sizes = [sum(map(len, mine)) for mine in pages]
    active, rows_ = np.array(seen, dtype=np.uint64), np.repeat(np.arange(len(some)), sizes)
    found = np.zeros((len(some), MEAN_DAYS))
    for lag, days in enumerate(_windows(masked)):
        there = (active & days[rows_]) != 0
        found[:, lag] = np.bincount(rows_[there], minlength=len(some))
    return found


def _windows(masked: Bools) -> list[NDArray[np.uint64]]:
    """Return per lag the days of its window, as bits, (accounts,): 28 unmasked days and between."""
    width = min(SEEN_DAYS, masked.shape[1])
    so_far = np.zeros((len(masked), width + 1), dtype=np.int64)
    np.cumsum(~masked[:, ::-1][:, :width], axis=1, out=so_far[:, 1:])
    found = []
    for lag in range(MEAN_DAYS):
        enough = so_far >= so_far[:, lag : lag + 1] + ACTIVE_DAYS
        end = np.where(enough.any(axis=1), enough.argmax(axis=1), lag + REACH_DAYS)
        end = np.minimum(end, lag + REACH_DAYS).astype(np.uint64)
        one = np.uint64(1)
        found.append(((one << end) - one) & ~((one << np.uint64(lag)) - one))
    return found
