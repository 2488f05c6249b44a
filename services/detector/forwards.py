"""What folding finds for other partitions: entries on their way to another account.

A forward's origin is the entry that caused it (design.md §5.4). Whoever folds the same log sends
the same forwards in the same order, so origins alone tell which of them are known already.
"""

import msgspec

from schemas.envelope import Entry, Origin, account, encode_entry
from services.detector.ledger import FORWARD
from services.detector.pending import Pending
from services.detector.refusals import Place

HOP_LIMIT = 4
"""An entry that was forwarded more often goes round in a circle of merged accounts."""

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

    def send(self, at: Place, entry: Entry, account_id: str, kind: str) -> None:
        """Forward an entry to an account, or refuse it where it goes in a circle.

        Args:
            at: Where the entry that causes it stands.
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
            self._pending.refuse_entry(at, "merged_in_a_circle", detail, entry)
            return
        forward = msgspec.structs.replace(
            entry, subjects=(account(account_id),), origin=self._origin(at, hop)
        )
        self._pending.forward(forward.subjects[0], encode_entry(forward))
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
