"""Silence on untouched real histories: what became of each gap is the truth.

A gap is a stretch without an active day, of an account that was active on five days before. It is
*gone* if nothing came until the end of the data, at least 180 days later, and *returned* if it
ended within 180 days. Open gaps that are shorter, and dormancies that ended later, say nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from tests.quality.scoring import MONTH, Alert
from tests.quality.sources import HOTEL_END, RETAIL_END, rows

GONE, ACTIVE_DAYS = 180, 5
CDNOW_END: Final = date(1998, 6, 30)
COUNTRY: Final = {"retail": "GB", "cdnow": "US", "hotel": "PT", "contrib": "US"}
_TABLES: Final = (
    ("retail", "retail_customers_daily", "orders", RETAIL_END),
    ("cdnow", "cdnow_purchases", None, CDNOW_END),
    ("hotel", "hotel_agents_daily", "checkins", HOTEL_END),
    ("contrib", "contributor_events_daily", None, None),
)


class Life(NamedTuple):
    """One account's active days.

    Attributes:
        source: Where it comes from.
        account: Its id, with the source in front.
        days: On which it was active, in order.
        end: The last day that is known.
    """

    source: str
    account: str
    days: Sequence[date]
    end: date


class Gap(NamedTuple):
    """A stretch without activity.

    Attributes:
        account: Whose.
        last: The day of activity before it.
        days: How long it lasts, or has lasted by the end of the data.
        gone: Whether the account never came back.
    """

    account: str
    last: date
    days: int
    gone: bool


def lives() -> list[Life]:
    """Return the active days of every account of four sources."""
    found = []
    for source, table, column, end in _TABLES:
        active: dict[str, set[date]] = defaultdict(set)
        last = date.min
        for row in rows(table):
            on = date.fromisoformat(row["date"])
            last = max(last, on)
            if column is None or float(row[column]) > 0:
                active[row["account_id"]].add(on)
        found += [
            Life(source, f"{source}:{account}", sorted(days), end or last)
            for account, days in sorted(active.items())
        ]
    return found


def gaps(of: Iterable[Life]) -> list[Gap]:
    """Return the gaps whose outcome is known."""
    found = []
    for life in of:
        ends = [*pairwise(life.days), (life.days[-1], None)]
        for last, next_ in ends[ACTIVE_DAYS - 1 :]:
            days = ((next_ or life.end) - last).days
            if (days >= GONE) == (next_ is None):
                found.append(Gap(life.account, last, days, next_ is None))
    return found


def score(of: Sequence[Life], alerts: Iterable[Alert]) -> dict[str, float]:
    """Return how alerts of kind `silence` do: the first one inside a gap counts.

    Args:
        of: All lives.
        alerts: Of any kind.

    Returns:
        `false_alarms` per 100 account-months of silence, `precision`, `recall`, and `delay`, the
        median days from the last activity to an alert about an account that was gone.
    """
    fired: dict[str, list[date]] = defaultdict(list)
    for alert in alerts:
        if alert.kind == "silence":
            fired[alert.account].append(alert.on)
    right, wrong, months, gone = [], 0, 0.0, 0
    for gap in gaps(of):
        after = [(on - gap.last).days for on in fired.get(gap.account, ())]
        first = min((day for day in after if 0 < day < gap.days), default=None)
        months += min(gap.days, GONE) / MONTH
        gone += gap.gone
        if first is not None and not gap.gone:
            wrong += 1
        elif first is not None and first <= GONE:
            right.append(first)
    return {
        "false_alarms": 100 * wrong / months,
        "precision": len(right) / max(1, len(right) + wrong),
        "recall": len(right) / max(1, gone),
        "delay": float(np.median(right)) if right else float("nan"),
    }


def tables(of: Sequence[Life]) -> tuple[list[list[object]], list[list[object]]]:
    """Return rows for a detector: usage (account, date, count), and accounts (with their days)."""
    seen = [life for life in of if len(life.days) >= 2]
    usage: list[list[object]] = [[life.account, on, 1] for life in seen for on in life.days]
    accounts: list[list[object]] = [
        [
            life.account,
            life.source,
            COUNTRY[life.source],
            life.days[0],
            (life.end - life.days[0] + timedelta(days=1)).days,
        ]
        for life in seen
    ]
    return usage, accounts
