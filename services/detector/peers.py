"""How accounts did, counted: their ratios of usage, by scope (design.md §5.4, Summaries)."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta

from services.detector.primitives import baseline
from services.detector.primitives.arrays import settled
from services.detector.primitives.day import Series

COMPANY: Final = "company"
SEGMENT: Final = "segment:"
SEGMENT_LIMIT = 50
"""Segments that are summed up: the first by name, so that all partitions choose the same."""

NAME_LIMIT = 480
"""Characters of a segment's name; a longer one is no scope."""

EXPECTED_LEAST = 20
"""What must be usual in 28 days for an account's ratio to be told. Source: detection.md §1."""

FALLEN_DAYS, FALLEN_RATIO = 14, 0.85
"""An account has fallen if so many days brought at most so much of what is usual: half the window
of `drop`, so that what many share shows before most of them alarm; the ratio is that of `drop`."""

OPEN_DAYS = 7
"""Days of that fortnight that must count: of the first days after a holiday nothing is told."""

PEERS_LEAST = 3
"""Accounts of which there must be a ratio for the median to say something. Source: ibidem."""

RATIO_LIMIT = 200
"""Percent at which ratios are cut off: what has doubled is no fall, by however much."""

Percent = Annotated[int, Meta(ge=0, le=RATIO_LIMIT)]
Number = Annotated[int, Meta(ge=0)]


class How(msgspec.Struct, frozen=True, gc=False):
    """How one account does.

    Attributes:
        percent: Its meaningful usage of 28 days in percent of what is usual, holidays left out.
        fallen: Whether the last fortnight is at or below `FALLEN_RATIO`.
    """

    percent: int
    fallen: bool


class Values(msgspec.Struct):
    """How some accounts did on a day.

    Attributes:
        accounts: How many they are.
        told: Of how many it is told how they do.
        fallen: How many of those have fallen lately.
        ratios: How many of those have which ratio of 28 days, in percent.
    """

    accounts: Number = 0
    told: Number = 0
    fallen: Number = 0
    ratios: dict[Percent, Number] = msgspec.field(default_factory=dict)

    def count(self, how: How | None) -> None:
        """Count one account, with how it does if that is told."""
        self.accounts += 1
        if how is not None:
            self.told += 1
            self.fallen += how.fallen
            self.ratios[how.percent] = self.ratios.get(how.percent, 0) + 1

    def add(self, other: "Values") -> None:
        """Count the accounts of another summary too."""
        self.accounts += other.accounts
        self.told += other.told
        self.fallen += other.fallen
        for percent, accounts in other.ratios.items():
            self.ratios[percent] = self.ratios.get(percent, 0) + accounts

    def plain(self) -> dict[str, Any]:
        """Return plain JSON, the same whatever was counted first."""
        ratios = {str(percent): n for percent, n in sorted(self.ratios.items())}
        counted = {"accounts": self.accounts, "told": self.told, "fallen": self.fallen}
        return counted | {"ratios": ratios}

    def median(self, limit: int = RATIO_LIMIT) -> int | None:
        """Return the median ratio in percent, the lower one of two; None of fewer than three.

        Args:
            limit: Ratios above it are left out, percent.
        """
        found = [(percent, n) for percent, n in sorted(self.ratios.items()) if percent <= limit]
        number = sum(n for _, n in found)
        if number < PEERS_LEAST:
            return None
        middle = (number + 1) // 2
        for percent, n in found:
            middle -= n
            if middle <= 0:
                return percent
        return None


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

    def count(self, segment: str | None, hows: Iterable[How | None]) -> None:
        """Count accounts of one segment.

        Args:
            segment: The segment that they belong to.
            hows: How each of them does, None if that is not told; not empty.
        """
        counted = Values()
        for how in hows:
            counted.count(how)
        for scope in scopes_of(segment):
            values = self.of(scope)
            if values is not None:
                values.add(counted)

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


def standing(series: Series) -> list[How | None]:
    """Return how each account does; None where nothing can be told.

    Args:
        series: Meaningful usage per account; row i of the result depends on row i alone.

    Source:
        detection.md §1: R_28 of `drop`, of accounts with E_28 >= 20; a ratio of plain sums would
        take everybody's Christmas for a fall of everybody.
    """
    found: list[How | None] = [None] * len(series.known)
    rows, old = baseline.learned(series)
    if not len(rows):
        return found
    base = baseline.measure(old)
    told = baseline.tellable(base) & (base.open_days[baseline.LAG] >= baseline.OPEN_DAYS)
    told &= base.open_days[FALLEN_DAYS] >= OPEN_DAYS
    told &= settled(base.expected[baseline.LAG]) >= EXPECTED_LEAST
    percent = np.floor(100 * settled(np.nan_to_num(base.ratio(baseline.LAG))) + 1e-6)
    fallen = settled(np.nan_to_num(base.ratio(FALLEN_DAYS), nan=1.0)) <= FALLEN_RATIO
    low = np.minimum(percent, RATIO_LIMIT).astype(np.int64).tolist()
    for place, ok, ratio, fell in zip(
        rows.tolist(), told.tolist(), low, fallen.tolist(), strict=True
    ):
        if ok:
            found[place] = How(ratio, fell)
    return found
