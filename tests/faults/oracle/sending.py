"""What folding one partition sends to others: entries of accounts that live elsewhere."""

from dataclasses import dataclass, field

from msgspec.structs import replace

from schemas.envelope import BYTE_LIMIT, Entry, Origin, encode_entry

from .homes import ACCOUNT
from .reading import Place

HOPS = 4
_FORWARD = "forward/"
_ENTRIES = 1 << 20
_BYTES = BYTE_LIMIT - 64
"""What fits into an envelope."""


@dataclass
class Sending:
    """Forwards of one partition, in fold order.

    Attributes:
        forwards: What must stand in the logs of the accounts' partitions.
    """

    partition: int
    forwards: list[Entry] = field(default_factory=list)
    _last: tuple[int, int] = (-1, -1)
    _number: int = 0

    def send(self, at: Place, entry: Entry, account: str) -> str | None:
        """Forward an entry to an account; return why not, if refused.

        Args:
            at: Where the entry stands that causes it.
            entry: What to forward; its time is known.
            account: The account's id.
        """
        hop = 1
        if entry.origin is not None and entry.origin.input.startswith(_FORWARD):
            hop = int(entry.origin.input[len(_FORWARD) :]) + 1
        if hop > HOPS:
            return "merged_in_a_circle"
        cause = (at.offset, at.entry or 0)
        self._number = self._number + 1 if cause == self._last else 0
        self._last = cause
        place = cause[1] * _ENTRIES + self._number
        origin = Origin(f"{_FORWARD}{hop}", self.partition, at.offset, place)
        forward = replace(entry, subjects=(ACCOUNT + account,), origin=origin)
        if len(encode_entry(forward)) > _BYTES:
            return "too_large"
        self.forwards.append(forward)
        return None
