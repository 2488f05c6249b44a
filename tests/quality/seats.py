"""Seats in use: does a low utilisation, once said, stand for longer than two weeks, or four?

The people are real: a for-hire company's vehicles at work, the busiest first, and the members of
open-source projects. How many seats each company has bought is not known; so each is a case at
several sizes of contract, from all but full to half empty.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from math import ceil
from pathlib import Path
from typing import Final, NamedTuple

from tests.quality.sources import rows

SPARE: Final = (1.05, 1.25, 1.45, 1.65, 1.85)
"""Contracted seats over the median of the people active in 28 days."""
FLAP_DAYS, MONTH_DAYS, WINDOW, LEAST_DAYS = 14, 28, 28, 120
MOST_PEOPLE: Final = 60
"""Larger companies are left out: one person more or less is nothing there, and they flap less."""
KIND: Final = "seat_utilisation"


class Team(NamedTuple):
    """One company.

    Attributes:
        account: Its id.
        active: Who was active, by day.
    """

    account: str
    active: Mapping[date, frozenset[str]]


def teams() -> list[Team]:
    """Return the companies that are known for long enough."""
    found: dict[str, dict[date, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in rows("team_user_events_daily"):
        on = date.fromisoformat(row["date"])
        found[f"team:{row['account_id']}"][on].add(row["user_id"])
    for row in rows("fhv_bases_daily"):
        on, account = date.fromisoformat(row["date"]), f"fhv:{row['account_id']}"
        found[account][on] = {f"v{k}" for k in range(int(float(row["vehicles"])))}
    return [
        Team(account, {on: frozenset(people) for on, people in days.items()})
        for account, days in sorted(found.items())
        if (max(days) - min(days)).days >= LEAST_DAYS
        and max(map(len, days.values())) <= MOST_PEOPLE
    ]


def contracts(team: Team) -> list[int]:
    """Return the sizes of contract at which a company is looked at."""
    first, last = min(team.active), max(team.active)
    counted = sorted(
        len(frozenset().union(*(team.active.get(end - timedelta(days=k), frozenset())
                                for k in range(WINDOW))))
        for end in (first + timedelta(days=d) for d in range(WINDOW, (last - first).days + 1, 7))
    )  # fmt: skip
    middle = counted[len(counted) // 2]
    return sorted({ceil(middle * spare) for spare in SPARE})


def tables(of: Sequence[Team]) -> tuple[list[list[object]], list[list[object]]]:
    """Return rows for a detector: usage (account, date, count, person), accounts (with seats)."""
    usage: list[list[object]] = []
    accounts: list[list[object]] = []
    for team in of:
        first, last = min(team.active), max(team.active)
        for seats in contracts(team):
            account = f"{team.account}|{seats}"
            accounts.append([account, first, (last - first).days + 1, seats])
            usage += [
                [account, on, 1, person]
                for on, people in sorted(team.active.items())
                for person in sorted(people)
            ]
    return usage, accounts


def score(path: Path) -> dict[str, float]:
    """Return the share of entries that were left again.

    Args:
        path: The alerts of a backtest, with `cleared_at` and `reason`.

    Returns:
        `entries`, how many there are; `left_again` within two weeks, and `left_in_28` days.
    """
    with path.open(newline="", encoding="utf-8") as lines:
        entries = [row for row in csv.DictReader(lines) if row["kind"] == KIND]
    lasted = [_days(row) for row in entries if row["cleared_at"]]
    return {
        "entries": float(len(entries)),
        "left_again": _share(sum(days <= FLAP_DAYS for days in lasted), len(entries)),
        "left_in_28": _share(sum(days <= MONTH_DAYS for days in lasted), len(entries)),
    }


def _share(some: int, of: int) -> float:
    return some / of if of else float("nan")


def _days(row: Mapping[str, str]) -> int:
    begun, over = (date.fromisoformat(row[name][:10]) for name in ("fired_at", "cleared_at"))
    return (over - begun).days
