"""Ticket spikes: real weeks of support locations, drawn over half a year, with spikes put in.

For five business days a location receives extra copies of an ordinary day, at least one ticket a
day: twice, three or five times the usual. Found is a spike if an alert comes within seven days.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np

from tests.quality.scoring import MONTH, Alert
from tests.quality.sources import Ints, rows

SEED: Final = 7
FIRST, WEEKS = date(2023, 1, 2), 26
SEEN: Final = (date(2016, 2, 29), date(2016, 4, 25))
"""From and until (excluded): later incidents are under-represented in the export."""
SEEN_WEEKS: Final = 8
WARM_UP, EPISODE, CREDIT = 56, 14, 7
EXTRA: Final = (0, 0, 0, 1, 2, 4)
"""Extra copies in the cases of each location."""


class Location(NamedTuple):
    """One case.

    Attributes:
        account_id: Its id.
        extra: Extra copies of an ordinary day, 0 without a spike.
        at: Day the spike begins, from `FIRST`; -1 without one.
        counts: Shape (182,); tickets opened on each day.
    """

    account_id: str
    extra: int
    at: int
    counts: Ints


def make(seed: int = SEED) -> list[Location]:
    """Return the cases of a seed."""
    days: dict[str, list[int]] = defaultdict(list)
    for row in rows("tickets"):
        on = date.fromisoformat(row["opened_at"][:10])
        if SEEN[0] <= on < SEEN[1]:
            days[row["account_id"]].append((on - SEEN[0]).days)
    found: list[Location] = []
    for account, opened in sorted(days.items()):
        if account == "?" or len(opened) < 4:
            continue
        weeks = np.bincount(opened, minlength=SEEN_WEEKS * 7).reshape(SEEN_WEEKS, 7)
        chance = np.random.default_rng(zlib.crc32(f"{seed}{account}".encode()))
        for extra in EXTRA:
            at, counts = _drawn(chance, weeks, extra)
            found.append(Location(f"{account}|{len(found)}", extra, at, counts))
    return found


def _drawn(chance: np.random.Generator, weeks: Ints, extra: int) -> tuple[int, Ints]:
    counts = weeks[chance.integers(SEEN_WEEKS, size=WEEKS)].reshape(-1).copy()
    if not extra:
        return -1, counts
    at = int(chance.integers(14, 22)) * 7
    for day in range(at, at + 5):
        more = weeks[chance.integers(SEEN_WEEKS, size=extra), day % 7].sum()
        counts[day] += max(1, more)
    return at, counts


def score(cases: Sequence[Location], alerts: Iterable[Alert]) -> dict[str, float]:
    """Return how alerts of kind `ticket_spike` do.

    Args:
        cases: All cases.
        alerts: Of any kind; those less than 14 days after the last one are part of its episode.

    Returns:
        `false_alarms` per 100 account-months, `recall_x2`, `recall_x3`, `recall_x5`, and `delay`,
        the median days from the begin of a spike.
    """
    fired: dict[str, set[int]] = defaultdict(set)
    for alert in alerts:
        if alert.kind == "ticket_spike":
            fired[alert.account].add((alert.on - FIRST).days)
    false, months = 0, 0.0
    found: dict[int, list[bool]] = {extra: [] for extra in EXTRA if extra}
    delays: list[int] = []
    for case in cases:
        days = [day for day in _episodes(sorted(fired[case.account_id])) if day >= WARM_UP]
        limit = len(case.counts)
        if case.extra:
            hits = [day for day in days if case.at <= day < case.at + CREDIT]
            found[case.extra].append(bool(hits))
            delays += [day - case.at for day in hits[:1]]
            limit = case.at
        false += sum(day < limit for day in days)
        months += max(0, limit - WARM_UP) / MONTH
    return {
        "false_alarms": 100 * false / months,
        **{f"recall_x{extra + 1}": float(np.mean(hits)) for extra, hits in found.items()},
        "delay": float(np.median(delays)) if delays else float("nan"),
    }


def _episodes(days: Sequence[int]) -> list[int]:
    return [day for at, day in enumerate(days) if at == 0 or day - days[at - 1] >= EPISODE]


def tables(cases: Sequence[Location]) -> tuple[list[list[object]], list[list[object]]]:
    """Return rows for a detector: tickets (account, date, count), accounts (with their days)."""
    tickets: list[list[object]] = [
        [case.account_id, FIRST + timedelta(days=int(i)), case.counts[i]]
        for case in cases
        for i in np.flatnonzero(case.counts)
    ]
    return tickets, [[case.account_id, FIRST, len(case.counts)] for case in cases]
