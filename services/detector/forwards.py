"""What folding finds for other partitions: entries on their way to another account.

A forward's origin is the entry that caused it (design.md §5.4). Whoever folds the same log sends
the same forwards in the same order, so origins alone tell which of them are known already.
"""

import msgspec

from schemas.envelope import BYTE_LIMIT, Entry, Origin, account, encode_entry
from services.detector.ledger import FORWARD
from services.detector.pending import Pending
from services.detector.refusals import Place

HOP_LIMIT = 4
"""An entry that was forwarded more often goes round in a circle of merged accounts."""

FORWARD_BYTES = BYTE_LIMIT - 64
"""A longer entry fits no envelope (`services.publishing.lanes.ENTRY_BYTES`)."""

_NUMBER_BITS = 20
"""Of an origin's place: which forward of its entry; there are at most 1,000."""


class Forwards:
    """Forwards of one partition, numbered within the entry that causes them.

    Args:
        partition: The partition that is folded.
        pending: Holds them until they are sent, and takes what goes in a circle.
    """

    def __init__(self, partition: int, pending: Pending) -> None:
        self._partition = partition
        self._pending = pending
        self._place = (-1, -1)
        self._number = 0

    def send(self, at: Place, subject: str, entry: Entry, account_id: str, kind: str) -> None:
        """Forward an entry to an account; refuse it where it goes in a circle, or is too long.

        Args:
            at: Where the entry that causes it stands.
            subject: Whose it is until then.
            entry: What to forward; its time is known.
            account_id: The account that it concerns.
            kind: Why: `person` or `merged`.
        """
        hop = _hops(entry.origin) + 1
        if hop > HOP_LIMIT:
            detail = (
                f"it was forwarded {HOP_LIMIT} times, last to account {account_id!r}: accounts are "
                "merged into each other; merge one of them into an account that is not merged"
            )
            self._pending.refuse_entry(at, "merged_in_a_circle", detail, entry, subject)
            return
        forward = msgspec.structs.replace(
            entry, subjects=(account(account_id),), origin=self._origin(at, hop)
        )
        raw = encode_entry(forward)
        if len(raw) > FORWARD_BYTES:
            detail = (
                f"for account {account_id!r} it takes {len(raw)} bytes, more than {FORWARD_BYTES}; "
                "send less data, or that account as subject"
            )
            self._pending.refuse_entry(at, "too_large", detail, entry, subject)
            return
        self._pending.forward(forward.subjects[0], raw)
        self._pending.counts["forwarded", kind] += 1

    def _origin(self, at: Place, hop: int) -> Origin:
        index = at.entry or 0
        if self._place != (at.offset, index):
            self._place, self._number = (at.offset, index), 0
        number, self._number = self._number, self._number + 1
        return Origin(f"{FORWARD}{hop}", self._partition, at.offset, index << _NUMBER_BITS | number)


def _hops(origin: Origin | None) -> int:
    """Return how often an entry was forwarded before."""
    if origin is None or not origin.input.startswith(FORWARD):
        return 0
    return int(origin.input.removeprefix(FORWARD))
