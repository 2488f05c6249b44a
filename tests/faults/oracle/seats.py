"""Seats of one account: what the CRM told and what contracts say, the newest word for each day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.events import ContractEnded, ContractSigned

from . import days
from .reading import NEVER, Stamp, Unaccountable

TOLD, CONTRACTS = 40, 50
"""So many words of the CRM are kept, and so many contracts. Source: facts/seats.py."""

_ENDLESS = 10**6


@dataclass
class Contract:
    """A contract: first and last day and seats, and what its end is; each with its stamp."""

    signed: Stamp = NEVER
    first: int = 0
    last: int = -1
    seats: int = 0
    ended: Stamp = NEVER
    ended_on: int = _ENDLESS

    def fold(self, event: ContractSigned | ContractEnded, stamp: Stamp) -> None:
        if isinstance(event, ContractEnded):
            if stamp > self.ended:
                self.ended, self.ended_on = stamp, days.number(event.ended_on)
        elif stamp > self.signed:
            self.signed = stamp
            self.first, self.last = days.number(event.start_on), days.number(event.end_on)
            self.seats = event.seats if isinstance(event.seats, int) else 0

    def plain(self) -> list[Any]:
        signed, ended = list(self.signed), list(self.ended)
        return [self.first, self.last, self.seats, signed, ended, self.ended_on]


@dataclass
class Seats:
    """Words of the CRM as (event time, id, day, seats), and contracts by id."""

    told: set[tuple[int, str, int, int]] = field(default_factory=set)
    contracts: dict[str, Contract] = field(default_factory=dict)

    def tell(self, seats: int | None, day: int, stamp: Stamp) -> None:
        """Take a word of the CRM."""
        self.told.add((*stamp, day, seats or 0))

    def fold(self, event: ContractSigned | ContractEnded, stamp: Stamp) -> None:
        """Take what is said of a contract."""
        self.contracts.setdefault(event.contract, Contract()).fold(event, stamp)
        if len(self.contracts) > CONTRACTS:
            raise Unaccountable(f"more than {CONTRACTS} contracts of one account")

    def plain(self) -> dict[str, Any]:
        contracts = {name: one.plain() for name, one in self.contracts.items()}
        return {"told": [list(one) for one in sorted(self.told)], "contracts": contracts}


def compared(
    expected: Mapping[str, Any], shown: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both with the seats of each day on which there was a word, as far as it is kept."""
    kept: Sequence[Sequence[Any]] = shown.get("told", ())
    begin = kept[0][2] if len(kept) >= TOLD else 0
    on = [day for *_, day, _ in expected["told"] if day >= begin]
    return (
        {"told": _by_day(expected["told"], on), "contracts": expected["contracts"]},
        {"told": _by_day(kept, on), "contracts": shown.get("contracts", {})},
    )


def _by_day(told: Sequence[Sequence[Any]], on: Sequence[int]) -> dict[str, int | None]:
    """Return the seats in force on some days: the last word, in order of time, that they reach."""
    return {
        days.iso(one): next((seats for *_, day, seats in reversed(told) if day <= one), None)
        for one in on
    }
