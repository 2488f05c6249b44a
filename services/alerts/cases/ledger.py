"""What a partition of `alerts.v1` knows beside its cases: how far it is folded. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.cases import Action
from services.alerts.cases.case import Answer
from services.alerts.cases.records import SEPARATOR
from services.footprint import BLANK
from services.garbled import read

KEY: Final = f"{SEPARATOR}ledger"
"""No case has it: keys of cases are printable, and an account may begin with anything."""
VERSION: Final = 1

STRANGER_LIMIT: Final = 64
"""Actions on cases that there are not whose ids are remembered."""

_encode = msgspec.json.Encoder().encode


class Ledger(msgspec.Struct, omit_defaults=True):
    """The record of a snapshot that belongs to no case.

    Attributes:
        v: Version of the snapshot.
        partitions: Partition count with which it was made.
        seal: Over all records of the snapshot, see `services.footprint`; empty of before there
            were seals. It comes before whatever others have named.
        stamp: Offset up to which everything is folded; -1 for nothing.
        appended: When the record at the stamp entered the log, microseconds.
        reached: Offset before which nothing is left to fold. Markers of transactions have offsets
            too, and no record: it may lie beyond the stamp.
        strangers: Answers to the newest actions on cases that there were not, the oldest first.
        begun: When the first record of the log entered it, microseconds: it tells the log from one
            that is created anew. 0 where an earlier version folded that record.
        mended: How many records were folded at last that had been held.
    """

    v: int
    partitions: int
    seal: str = ""
    stamp: int = -1
    appended: int = 0
    reached: int = 0
    strangers: dict[str, Answer] = msgspec.field(default_factory=dict)
    begun: int = 0
    mended: int = 0

    def stranger(self, action: Action) -> Answer | None:
        """Return what was answered when there was no such case, if the action is known so."""
        return self.strangers.get(_name(action))

    def turn_away(self, action: Action) -> Answer:
        """Answer an action on a case that there is not, and remember it."""
        answer = Answer(
            id=action.id, case=action.case, status="unknown_case", detail="there is no such case"
        )
        self.strangers[_name(action)] = answer
        if len(self.strangers) > STRANGER_LIMIT:
            del self.strangers[next(iter(self.strangers))]
        return answer

    def encode(self) -> bytes:
        """Return the record."""
        self.seal = BLANK
        return _encode(self)


_decode = msgspec.json.Decoder(Ledger).decode


def begin(partitions: int) -> Ledger:
    """Return the ledger of a partition that has folded nothing."""
    return Ledger(VERSION, partitions)


def restore(snapshot: Mapping[str, bytes]) -> Ledger:
    """Return the ledger of a snapshot.

    Args:
        snapshot: Newest value per key.

    Raises:
        ValueError: If there is none, or one of an unknown version.
    """
    if KEY not in snapshot:
        raise ValueError("the snapshot has records but no ledger")
    ledger = read(_decode, KEY, snapshot[KEY])
    if ledger.v != VERSION:
        raise ValueError(f"ledger of version {ledger.v}, this code reads {VERSION}")
    return ledger


def _name(action: Action) -> str:
    return f"{action.case}{SEPARATOR}{action.id}"
