"""How accounts did, counted: their ratios of usage, by scope (design.md §5.4, Summaries)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta

from services.detector.primitives.arrays import total
from services.detector.primitives.day import Series

COMPANY: Final = "company"
SEGMENT: Final = "segment:"
SEGMENT_LIMIT = 50
"""Segments that are summed up: the first by name, so that all partitions choose the same."""

NAME_LIMIT = 480
"""Characters of a segment's name; a longer one is no scope."""

SPAN = 28
"""Days of each of the two spans whose sums are compared. Source: detection.md §1."""

EARLIER_LEAST = 28_000
"""Thousandths that the earlier span must hold for an account's ratio to be told."""

RATIO_LIMIT = 200
"""Percent at which ratios are cut off: what has doubled is no fall, by however much."""

Percent = Annotated[int, Meta(ge=0, le=RATIO_LIMIT)]
Number = Annotated[int, Meta(ge=0)]


class Values(msgspec.Struct):
    """How some accounts did on a day.

    Attributes:
        accounts: How many they are.
        told: Of how many the ratio is told.
        ratios: How many of those have which ratio, in percent: the sum of their meaningful usage
            over the last 28 days, divided by that over the 28 before.
    """

    accounts: Number = 0
    told: Number = 0
    ratios: dict[Percent, Number] = msgspec.field(default_factory=dict)

    def count(self, percent: int | None) -> None:
        """Count one account, with its ratio if that is told."""
        self.accounts += 1
        if percent is not None:
            self.told += 1
            self.ratios[percent] = self.ratios.get(percent, 0) + 1

    def add(self, other: "Values") -> None:
        """Count the accounts of another summary too."""
        self.accounts += other.accounts
        self.told += other.told
        for percent, accounts in other.ratios.items():
            self.ratios[percent] = self.ratios.get(percent, 0) + accounts

    def plain(self) -> dict[str, Any]:
        """Return plain JSON, the same whatever was counted first."""
        ratios = {str(percent): n for percent, n in sorted(self.ratios.items())}
        return {"accounts": self.accounts, "told": self.told, "ratios": ratios}


class Scopes(dict[str, Values]):
    """Values by scope: the company, and its first segments by name."""

    def of(self, scope: str) -> Values | None:
        """Return the values of a scope; None for one beyond the limit."""
        found = self.get(scope)
        if found is None:
            found = self[scope] = Values()
            # Whatever the order in which they come, the first by name remain, and whole.
            last = beyond(self)
            if last is not None:
                del self[last]
                return None if last == scope else found
        return found

    def count(self, segment: str | None, percent: int | None) -> None:
        """Count one account.

        Args:
            segment: The segment that it belongs to.
            percent: Its ratio, None if that is not told.
        """
        for scope in scopes_of(segment):
            values = self.of(scope)
            if values is not None:
                values.count(percent)

    def plain(self) -> dict[str, Any]:
        """Return plain JSON, the same whatever was counted first."""
        return {scope: values.plain() for scope, values in sorted(self.items())}


def scopes_of(segment: str | None) -> tuple[str, ...]:
    """Return the scopes that an account of a segment belongs to.

    >>> scopes_of("smb"), scopes_of(None)
    (('company', 'segment:smb'), ('company',))
    """
    if not segment or len(segment) > NAME_LIMIT:
        return (COMPANY,)
    return (COMPANY, SEGMENT + segment)


def beyond(scopes: Mapping[str, object]) -> str | None:
    """Return the last segment by name, if there is one too many."""
    if len(scopes) <= SEGMENT_LIMIT:
        return None
    segments = scopes.keys() - {COMPANY}
    return max(segments) if len(segments) > SEGMENT_LIMIT else None


def ratios(series: Series) -> list[int | None]:
    """Return each account's ratio in whole percent, rounded down; None where it is not told.

    Args:
        series: Meaningful usage per account; its days as they are, masked ones too.
    """
    if series.counts.shape[1] < 2 * SPAN:
        return [None] * len(series.counts)
    thousandths = np.rint(1000.0 * np.ascontiguousarray(series.counts[:, -2 * SPAN :].T))
    earlier, later = (total(thousandths[n : n + SPAN]).tolist() for n in (0, SPAN))
    return [
        min(100 * int(a) // int(b), RATIO_LIMIT) if b >= EARLIER_LEAST else None
        for a, b in zip(later, earlier, strict=True)
    ]
