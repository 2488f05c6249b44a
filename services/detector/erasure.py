"""What was erased, and up to when: so that nothing from before comes back (design.md §3).

Only hashes are kept: the table itself must not name whom it makes forget.
"""

import msgspec
import xxhash

from schemas.envelope import PERSON, Entry, account
from schemas.events import FeatureFailed, PersonJoined, TouchRecorded, UsageRecorded

ERASED_LIMIT = 10_000
"""Erased subjects that are remembered, the newest; their record stays below 256 kB."""

_ANYBODY = (UsageRecorded, FeatureFailed, TouchRecorded)
"""These say something of an account even when nobody knows of whom they came."""


class Erased:
    """Erased subjects by hash, each with the event time up to which it is forgotten.

    Attributes:
        any: Whether anything was ever erased; asked for every event.
    """

    def __init__(self, until: dict[int, int] | None = None) -> None:
        """Begin with nothing erased, or with the record of a snapshot."""
        self._until = until or {}
        self._changed = False
        self.any = bool(until)

    def add(self, subject: str, until: int) -> bool:
        """Erase a subject; tell whether that is news, and no repetition of the same erasure.

        Args:
            subject: Such as `account:acct_42` or `person:u1`.
            until: Event time up to which it is forgotten, microseconds.
        """
        hashed = _hash(subject)
        if until <= self._until.get(hashed, 0):
            return False
        self._until.pop(hashed, None)
        self._until[hashed] = until
        if len(self._until) > ERASED_LIMIT:
            del self._until[next(iter(self._until))]
        self._changed = self.any = True
        return True

    def until(self, subject: str) -> int:
        """Return the event time up to which a subject is forgotten, 0 for none."""
        return self._until.get(_hash(subject), 0) if self.any else 0

    def change(self) -> bytes | None:
        """Return the record, if it changed since the last call."""
        changed, self._changed = self._changed, False
        return msgspec.msgpack.encode(self._until) if changed else None

    @classmethod
    def restore(cls, raw: bytes) -> "Erased":
        """Return the table of a snapshot."""
        return cls(msgspec.msgpack.decode(raw, type=dict[int, int]))


def spare(entry: Entry, erased: Erased) -> Entry | None:
    """Return an entry without what it says of an erased person; None if nothing else is left.

    That somebody joined an account that was erased since is not said either.

    Args:
        entry: Any entry whose time is known.
        erased: What was erased.
    """
    event = entry.event
    if isinstance(event, PersonJoined) and entry.time <= erased.until(account(event.account)):
        return None
    person = getattr(event, "person", None)
    if not isinstance(person, str) or entry.time > erased.until(PERSON + person):
        return entry
    subjects = tuple(one for one in entry.subjects if not one.startswith(PERSON))
    if not subjects or not isinstance(event, _ANYBODY):
        return None
    event = msgspec.structs.replace(event, person=None)
    return msgspec.structs.replace(entry, subjects=subjects, event=event)


def _hash(subject: str) -> int:
    return xxhash.xxh3_64_intdigest(subject.encode())
