"""What a partition says of its accounts when a day has closed, for all partitions to know."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from schemas.events import PartClosed

from . import days
from .accounts import Account
from .clocks import Closing
from .masks import Activity
from .reading import Unaccountable

SPAN = 28
LEAST = 28_000
MOST = 200
SEGMENTS = 50


@dataclass
class _Sum:
    accounts: int = 0
    ratios: Counter[int] = field(default_factory=Counter)

    def plain(self) -> dict[str, Any]:
        told = {str(percent): n for percent, n in self.ratios.items()}
        return {"accounts": self.accounts, "told": self.ratios.total(), "ratios": told}


@dataclass
class Summaries:
    """Per day the accounts of all closings so far, by scope.

    Attributes:
        said: What must be said to every partition.
    """

    partition: int
    said: list[PartClosed] = field(default_factory=list)
    _days: dict[int, tuple[int, dict[str, _Sum]]] = field(default_factory=dict)

    def close(self, closing: Closing, judged: Iterable[Account]) -> None:
        """Take a closing as ended.

        Args:
            closing: The closing, of the present.
            judged: The accounts that it judged, as they were.
        """
        mine: dict[str, _Sum] = {}
        for account in judged:
            percent = _percent(account, closing)
            for scope in _scopes(account.segment):
                one = mine.setdefault(scope, _Sum())
                one.accounts += 1
                one.ratios.update([] if percent is None else [percent])
        if not mine:
            return
        ended, sums = self._days.get(closing.day, (0, {}))
        for scope, one in mine.items():
            total = sums.setdefault(scope, _Sum())
            total.accounts += one.accounts
            total.ratios.update(one.ratios)
        if len(sums) > SEGMENTS:
            raise Unaccountable(f"more than {SEGMENTS - 1} segments in one partition")
        self._days[closing.day] = (ended + 1, sums)
        for scope in sorted(mine):
            self.said.append(
                PartClosed(
                    scope=scope,
                    day=days.on(closing.day),
                    partition=self.partition,
                    values=sums[scope].plain(),
                    revision=closing.due + ended,
                )
            )


def _scopes(segment: str | None) -> list[str]:
    return ["company", f"segment:{segment}"] if segment else ["company"]


def _percent(account: Account, closing: Closing) -> int | None:
    """Return what an account did in four weeks beside the four before, in whole percent."""
    activity = Activity.of(account, closing, "@meaningful", closing.day)
    if activity is None or closing.rules.history < 2 * SPAN:
        return None
    later = sum(activity.counts(closing.day - lag) for lag in range(SPAN))
    earlier = sum(activity.counts(closing.day - lag) for lag in range(SPAN, 2 * SPAN))
    return min(later * 100 // earlier, MOST) if earlier >= LEAST else None
