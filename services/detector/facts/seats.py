"""Seats: how many the account has bought, day by day, by its contracts or else by the CRM."""

from functools import partial
from typing import ClassVar, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.envelope import Entry
from schemas.events import AccountUpdated, ContractEnded, ContractSigned, Fields
from services.detector.calendars import to_day
from services.detector.facts.buckets import CORRECTION_DAYS
from services.detector.facts.contacts import stamp_of
from services.detector.facts.moment import Moment, Step

SEATS = "@seats"
"""What a rule about seats names as its metric; it is no line of buckets."""
TOLD_LIMIT = 40
"""Numbers of seats that the CRM has told and that are kept, the newest: one for each of the last 28
days, and twelve changes before them. With contracts they take 10 kB at most of the 256 kB of a hot
record (design.md §5.7)."""
CONTRACT_LIMIT = 50
"""Contracts that are kept, those that end last."""
FOREVER = 10**6


class Told(NamedTuple):
    """A number of seats that the CRM told: its (event time, id), its day, 0 for none."""

    time: int
    id: str
    day: int
    seats: int


class Contract(NamedTuple):
    """Seats of a contract, 0 if it names none; first and last day, and what said so and when."""

    first: int
    last: int
    seats: int
    signed: tuple[int, str] = (-1, "")
    ended: tuple[int, str] = (-1, "")
    ended_on: int = FOREVER


class Seats(msgspec.Struct, omit_defaults=True):
    """What is known of the seats of an account, in whatever order it came.

    Attributes:
        told: What the CRM told, in order of time and of days; of a day what was told last, of equal
            numbers running that are older than `CORRECTION_DAYS` only the first.
        contracts: By contract.
    """

    HANDLES: ClassVar[tuple[type[Fields], ...]] = (AccountUpdated, ContractSigned, ContractEnded)

    told: list[Told] = msgspec.field(default_factory=list)
    contracts: dict[str, Contract] = msgspec.field(default_factory=dict)

    def fold(self, entry: Entry, at: Moment) -> Step | str | None:
        """Take over a number of seats, or a contract's."""
        event = entry.event
        if isinstance(event, AccountUpdated):
            if event.seats is msgspec.UNSET:
                return None
            told = Told(*stamp_of(at.time, entry.id), at.day, event.seats or 0)
            return partial(setattr, self, "told", _with(self.told, told))
        assert isinstance(event, ContractSigned | ContractEnded)
        known = self.contracts.get(event.contract, Contract(0, -1, 0))
        changed = _changed(known, event, stamp_of(at.time, entry.id))
        return None if changed == known else partial(self._keep, event.contract, changed)

    def fill(self, days: NDArray[np.float64], first: int) -> None:
        """Write the seats of each day; a day of which none are known keeps what it holds.

        Args:
            days: One place per day.
            first: The day of the first place.
        """
        for one in self.told:
            days[max(one.day - first, 0) :] = one.seats
        if not self.contracts:
            return
        agreed = np.zeros(len(days))
        for contract in self.contracts.values():
            begin, end = max(contract.first - first, 0), max(_last(contract) + 1 - first, 0)
            agreed[begin:end] += contract.seats
        np.copyto(days, agreed, where=agreed > 0)

    def _keep(self, name: str, contract: Contract) -> None:
        self.contracts[name] = contract
        if len(self.contracts) > CONTRACT_LIMIT:
            del self.contracts[min(self.contracts, key=lambda one: (self._end(one), one))]

    def _end(self, name: str) -> int:
        return _last(self.contracts[name])


def _last(contract: Contract) -> int:
    """Return a contract's last day."""
    if contract.ended < contract.signed:
        # It was signed again after it had ended.
        return contract.last
    return min(contract.last, contract.ended_on)


def _with(known: list[Told], told: Told) -> list[Told]:
    """Return what was told with one more, in whatever order it came, without what says nothing.

    Of days on which late data are judged again every one is kept, also where the number is that of
    the day before: what comes late between the two must not hold beyond the second.
    """
    newest_first: list[Told] = []
    for one in sorted({*known, told}, reverse=True):
        if not newest_first or one.day < newest_first[-1].day:
            newest_first.append(one)
    recent = newest_first[0].day - CORRECTION_DAYS
    kept: list[Told] = []
    for one in reversed(newest_first):
        if one.day > recent or not kept or one.seats != kept[-1].seats:
            kept.append(one)
    return kept[-TOLD_LIMIT:]


def _changed(
    known: Contract, event: ContractSigned | ContractEnded, stamp: tuple[int, str]
) -> Contract:
    """Return a contract as an event leaves it; the newest signature and the newest end hold."""
    if isinstance(event, ContractEnded):
        if stamp <= known.ended:
            return known
        return known._replace(ended=stamp, ended_on=to_day(event.ended_on))
    if stamp <= known.signed:
        return known
    return known._replace(
        first=to_day(event.start_on),
        last=to_day(event.end_on),
        seats=0 if event.seats is msgspec.UNSET else event.seats,
        signed=stamp,
    )
