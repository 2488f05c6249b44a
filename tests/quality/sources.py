"""Real daily activity of real accounts, from the tables in `data/`; their README names them."""

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

DATA: Final = Path(__file__).parent / "data"
COUNTRY: Final = {"fhv": "US", "station": "US", "hotel": "PT", "retail": "GB", "contrib": "US"}
"""Whose public holidays each source keeps."""
RETAIL_END, HOTEL_END = date(2011, 12, 9), date(2017, 8, 31)
REPORTED_DAYS: Final = 20
"""Days of a month that a for-hire company reports, at least; else the month is *not reported*."""


class History(NamedTuple):
    """One account's whole life in a source.

    Attributes:
        source: `fhv`, `retail`, `hotel`, `station` or `contrib`.
        account: Its id in the table.
        first: The first day.
        counts: Shape (days,); count of each day from `first`, 0 where nothing happened.
    """

    source: str
    account: str
    first: date
    counts: Ints

    def until_last_activity(self) -> "History":
        """Return the history without the empty days at its end."""
        return self._replace(counts=self.counts[: int(np.flatnonzero(self.counts)[-1]) + 1])


def rows(table: str) -> list[dict[str, str]]:
    """Return the rows of a table in `data/`, in its order.

    Args:
        table: The file's name without `.csv.gz`.
    """
    with gzip.open(DATA / f"{table}.csv.gz", "rt", newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def histories() -> list[History]:
    """Return every account that is long or busy enough to be looked at at all.

    Source:
        detection.md §0; the figures there were measured on other accounts, chosen alike.
    """
    return [*_for_hire(), *_retail(), *_hotel(), *_stations(), *_contributors()]


def _by_account(table: str, column: str) -> Iterator[tuple[str, dict[date, int]]]:
    """Yield each account of a table, in order of id, and its count by day."""
    found: dict[str, dict[date, int]] = defaultdict(dict)
    for row in rows(table):
        found[row["account_id"]][date.fromisoformat(row["date"])] = int(float(row[column]))
    yield from sorted(found.items())


def _dense(counts: Mapping[date, int], first: date, last: date) -> Ints:
    """Return the counts of each day from `first` to `last`, both included."""
    result = np.zeros((last - first).days + 1, dtype=np.int64)
    for day, count in counts.items():
        if first <= day <= last:
            result[(day - first).days] = count
    return result


def _for_hire() -> Iterator[History]:
    for account, counts in _by_account("fhv_bases_daily", "trips"):
        months = _longest_run(_reported(counts))
        if months:
            first, last = _first_of(months[0]), _first_of(months[-1] + 1) - timedelta(days=1)
            yield History("fhv", account, first, _dense(counts, first, last))


def _reported(days: Iterable[date]) -> list[int]:
    """Return the months, counted from year 0, with enough reported days."""
    by_month = Counter(day.year * 12 + day.month - 1 for day in days)
    return sorted(month for month, count in by_month.items() if count >= REPORTED_DAYS)


def _longest_run(months: Sequence[int]) -> list[int]:
    """Return the first of the longest runs of months that follow each other."""
    runs: list[list[int]] = []
    for month in months:
        if runs and month == runs[-1][-1] + 1:
            runs[-1].append(month)
        else:
            runs.append([month])
    return max(runs, key=len, default=[])


def _first_of(month: int) -> date:
    return date(month // 12, month % 12 + 1, 1)


def _retail() -> Iterator[History]:
    for account, counts in _by_account("retail_customers_daily", "lines"):
        if sum(count > 0 for count in counts.values()) >= 12:
            first = min(counts)
            yield History("retail", account, first, _dense(counts, first, RETAIL_END))


def _hotel() -> Iterator[History]:
    for account, counts in _by_account("hotel_agents_daily", "checkins"):
        arrivals = {day: count for day, count in counts.items() if count > 0}
        if len(arrivals) >= 20:
            first = min(arrivals)
            yield History("hotel", account, first, _dense(arrivals, first, HOTEL_END))


def _stations() -> Iterator[History]:
    for account, counts in _by_account("station_entries_daily", "entries"):
        first = min(counts)
        yield History("station", account, first, _dense(counts, first, max(counts)))


def _contributors() -> Iterator[History]:
    known = list(_by_account("contributor_events_daily", "events"))
    last = max(max(counts) for _, counts in known)
    for account, counts in known:
        if len(counts) >= 25:
            first = min(counts)
            yield History("contrib", account, first, _dense(counts, first, last))
