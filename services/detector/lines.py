"""The accounts' own lines of day buckets as rows and arrays: all that are selected by name or flag.

The arrays of single lines are made once for all rules of a day; most are asked for several times.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from services.detector.families import Asked
from services.detector.primitives.arrays import pick
from services.detector.primitives.day import Series
from services.detector.subject import Account
from services.detector.window import COMBINED, Row, Window, combined_rows


class Lines:
    """The family of every selector that names no other: metrics, their flags, reserved lines.

    Args:
        accounts: One batch of accounts.
        window: The days, and what is masked in them.

    Attributes:
        every: One row per line of the accounts.
        arrays: Of all these.
    """

    def __init__(self, accounts: Iterable[Account], window: Window) -> None:
        """Make the arrays of every line."""
        self.every = [
            Row(account, name, (name,), (line,))
            for account in accounts
            for name, line in account.facts.buckets.lines.items()
        ]
        self.arrays = window.series(self.every)
        self._picked: dict[bytes, Series] = {}
        self._named: dict[str, list[int]] = {}
        for i, row in enumerate(self.every):
            self._named.setdefault(row.object, []).append(i)
        self._places = {id(row.lines[0]): i for i, row in enumerate(self.every)}

    def rows(self, accounts: Iterable[Account], asked: Asked, /) -> list[Row]:
        """Return a row per line that the selector takes, or one per account with any of them.

        Args:
            accounts: Those of the batch.
            asked: The selector, and whether lines are judged as one.
        """
        if asked.combined:
            return combined_rows(accounts, asked.rules, asked.selector)
        selects, selector = asked.rules.selects, asked.selector
        named = [places for name, places in self._named.items() if selects(selector, name)]
        places = named[0] if len(named) == 1 else sorted(chain.from_iterable(named))
        return [self.every[i] for i in places]

    def series(self, some: Sequence[Row], asked: Asked, day: int | None = None, /) -> Series:
        """Return the arrays of rows; those of single lines are there already.

        Args:
            some: Rows of `rows`.
            asked: What they were asked with.
            day: The last day; the closing's unless an earlier one is judged again.
        """
        if day is not None or (asked.combined and any(map(_is_made_anew, some))):
            return asked.window.series(some, day)
        return self._pick([self._places[id(row.lines[0])] for row in some])

    def still_taken(self, account: Account, object_: str, asked: Asked, /) -> bool:
        """Tell whether the selector still takes the line, or any of several as one.

        Args:
            account: The account.
            object_: A line's name, or `activity` for several as one.
            asked: The selector.
        """
        names = account.facts.buckets.lines if object_ == COMBINED else (object_,)
        return any(asked.rules.selects(asked.selector, name) for name in names)

    def _pick(self, places: Sequence[int]) -> Series:
        """Return some rows of all; the same ones share what was computed of them."""
        if len(places) == len(self.every):
            return self.arrays
        at = np.array(places, dtype=np.intp)
        key = at.tobytes()
        if key not in self._picked:
            self._picked[key] = pick(self.arrays, at)
        return self._picked[key]


def _is_made_anew(row: Row) -> bool:
    """Tell whether a row is not that of a line: several, or a reserved one under another object."""
    return len(row.lines) > 1 or (row.object == COMBINED and row.names[0].startswith("@"))
