"""What a partition says of its accounts when a day has closed, for all partitions to know."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.events import PartClosed

from . import days
from .accounts import Account
from .clocks import Closing
from .reading import Unaccountable

LEARNED = 112
"""Known days from which on statistics tell how an account does (detection.md §1)."""

SEGMENTS = 50


@dataclass
class Summaries:
    """Per day the accounts of all closings so far, by scope.

    Attributes:
        said: What must be said to every partition.
    """

    partition: int
    said: list[PartClosed] = field(default_factory=list)
    _days: dict[int, tuple[int, Counter[str]]] = field(default_factory=dict)

    def close(self, closing: Closing, judged: Iterable[Account]) -> None:
        """Take a closing as ended.

        Args:
            closing: The closing, of the present.
            judged: The accounts that it judged, as they were.
        """
        mine: Counter[str] = Counter()
        for account in judged:
            _require_unlearned(account, closing)
            mine.update(_scopes(account.segment))
        if not mine:
            return
        ended, sums = self._days.get(closing.day, (0, Counter()))
        sums.update(mine)
        if len(sums) > SEGMENTS:
            raise Unaccountable(f"more than {SEGMENTS - 1} segments in one partition")
        self._days[closing.day] = (ended + 1, sums)
        for scope in sorted(mine):
            self.said.append(
                PartClosed(
                    scope=scope,
                    day=days.on(closing.day),
                    partition=self.partition,
                    values={"accounts": sums[scope], "told": 0, "fallen": 0, "ratios": {}},
                    revision=closing.due + ended,
                )
            )


def _scopes(segment: str | None) -> list[str]:
    return ["company", f"segment:{segment}"] if segment else ["company"]


def _require_unlearned(account: Account, closing: Closing) -> None:
    """Refuse an account of which statistics tell how it does, which the oracle does not.

    Raises:
        Unaccountable: It has been known for so long.
    """
    if closing.rules.history < LEARNED:
        return
    lines = [one for name, one in account.lines.items() if closing.rules.takes("@meaningful", name)]
    if any(closing.day - one.start + 1 >= LEARNED for one in lines):
        raise Unaccountable(f"account {account.id!r} has been known for {LEARNED} days")
