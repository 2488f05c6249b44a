"""A batch of accounts at one closing: the rows and arrays that its rules share. Pure."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np

from services.detector import featured, seating
from services.detector.facts.seats import SEATS
from services.detector.families import Asked, Family
from services.detector.lines import Lines
from services.detector.primitives.arrays import pick
from services.detector.primitives.day import Series
from services.detector.rules import CORE_FEATURES, FEATURES, RuleSet
from services.detector.subject import Account
from services.detector.window import Row, Window

FAMILIES: Final[Mapping[str, Family]] = {
    FEATURES: featured,
    CORE_FEATURES: featured,
    SEATS: seating,
}
"""By the selector that stands for the family; every other one takes lines."""

Taken = tuple[list[Row], Series]
_NONE: Final = np.array([], dtype=np.intp)


class Batch:
    """The accounts of a batch, by segment, and what selectors take of them.

    Args:
        rules: The rule set of the closing.
        accounts: Accounts of the closing's zone.
        window: The days, and what is masked in them.

    Attributes:
        lines: Every line of the accounts.
        segments: Ids of the accounts by segment.
        some_off: Accounts for which some rule is off because it raised.
        known: Ids of the accounts that have an episode, by its rule.
    """

    def __init__(self, rules: RuleSet, accounts: Sequence[Account], window: Window) -> None:
        """Make the arrays of every line; the others are made when they are asked for."""
        self.rules = rules
        self.accounts = accounts
        self.window = window
        self.lines = Lines(accounts, window)
        self.segments: dict[str | None, list[str]] = {}
        for account in accounts:
            self.segments.setdefault(account.facts.profile.segment, []).append(account.id)
        self.some_off = [account for account in accounts if account.off]
        self.known: dict[str, set[str]] = {}
        for account in accounts:
            for one in account.episodes.values():
                self.known.setdefault(one.rule, set()).add(account.id)
        self._taken: dict[tuple[str, bool], Taken] = {}

    def take(self, selector: str, combined: bool) -> Taken:
        """Return what a selector takes.

        Args:
            selector: A rule's metric.
            combined: Whether lines of an account are judged as one.
        """
        if (selector, combined) not in self._taken:
            family, asked = self._family(selector), self._asked(selector, combined)
            rows = family.rows(self.accounts, asked)
            series = family.series(rows, asked) if rows else pick(self.lines.arrays, _NONE)
            self._taken[selector, combined] = rows, series
        return self._taken[selector, combined]

    def taken(self, selector: str, combined: bool) -> Taken | None:
        """Return what a selector takes if a rule has asked for it already."""
        return self._taken.get((selector, combined))

    def take_of(
        self, segments: Collection[str | None], but: Collection[str], selector: str, combined: bool
    ) -> Taken:
        """Return what a selector takes of some accounts.

        Args:
            segments: Theirs.
            but: Ids of accounts that are left out.
            selector: A rule's metric.
            combined: Whether lines of an account are judged as one.
        """
        rows, series = self.take(selector, combined)
        if not but and len(segments) == len(self.segments):
            return rows, series
        ids = {id_ for segment in segments for id_ in self.segments[segment]}.difference(but)
        places = [i for i, row in enumerate(rows) if row.account.id in ids]
        return [rows[i] for i in places], pick(series, np.array(places, dtype=np.intp))

    def again(self, row: Row, selector: str, day: int) -> Series:
        """Return the arrays of a row up to an earlier day.

        Args:
            row: One that the selector takes.
            selector: A rule's metric.
            day: The last day.
        """
        return self._family(selector).series([row], self._asked(selector), day)

    def still_taken(self, account: Account, object_: str, selector: str) -> bool:
        """Tell whether a selector still takes what an alert of an account is about.

        Args:
            account: The account.
            object_: The alert's object.
            selector: The rule's metric.
        """
        return self._family(selector).still_taken(account, object_, self._asked(selector))

    def _family(self, selector: str) -> Family:
        return FAMILIES.get(selector, self.lines)

    def _asked(self, selector: str, combined: bool = False) -> Asked:
        return Asked(self.rules, self.window, selector, combined)
