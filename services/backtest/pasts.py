"""When accounts were active, as a backtest leaves them: what limits can be learned from. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from services.detector.primitives import rhythm
from services.detector.primitives.day import SWING_WEEKS, Series
from services.detector.rules import RuleSet
from services.detector.subject import Account
from services.detector.window import combined_rows

SIGHT_DAYS: Final = rhythm.HISTORY_DAYS
"""Days of an account that are looked at: what the rule `silence` itself has in sight."""


class Past(NamedTuple):
    """When an account was active, up to its last judged day.

    Attributes:
        selector: Which of its metrics count, such as `@meaningful`.
        segment: Its segment, or None.
        active: Active days in its whole life, at least.
        known: Days since it began.
        lags: Days of activity in sight, as days before the last one, 0.., ascending.
    """

    selector: str
    segment: str | None
    active: int
    known: int
    lags: tuple[int, ...]


def pasts_of(
    account: Account, rules: RuleSet, selectors: Iterable[str], last: int
) -> Iterator[Past]:
    """Yield when an account was active, once for each selector that takes some of its metrics.

    Args:
        account: The account.
        rules: They know the flags of its metrics.
        selectors: Metrics, or flags of them.
        last: The last day that is looked at, days since 1970-01-01; below 0 for none.
    """
    first = last - SIGHT_DAYS + 1
    for selector in selectors if last >= 0 else ():
        for row in combined_rows([account], rules, selector):
            days = zip(*(line.span(first, last + 1) for line in row.lines), strict=True)
            lags = [last - first - n for n, day in enumerate(days) if any(day)]
            yield Past(
                selector,
                account.facts.profile.segment,
                max(line.active for line in row.lines),
                max(last + 1 - min(line.start for line in row.lines), 0),
                tuple(reversed(lags)),
            )


def series(pasts: Sequence[Past]) -> Series:
    """Return pasts as the arrays that primitives read.

    Args:
        pasts: Any number; the judged day is the last one of each.
    """
    counts = np.zeros((len(pasts), SIGHT_DAYS))
    for row, past in enumerate(pasts):
        counts[row, SIGHT_DAYS - 1 - np.array(past.lags, dtype=np.int64)] = 1.0
    return Series(
        day=0,
        counts=counts,
        masked=np.zeros(counts.shape, dtype=np.bool_),
        known=np.array([min(past.known, SIGHT_DAYS) for past in pasts], dtype=np.int64),
        swings=np.full((len(pasts), SWING_WEEKS), np.nan),
        active=np.array([past.active for past in pasts], dtype=np.int64),
    )
