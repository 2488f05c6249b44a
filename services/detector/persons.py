"""Persons: to which account each belongs, and the events that wait until that is known.

An event that names a person but no account is folded at `person:<id>`, and forwarded from there, so
that attribution is in the log too and a replay cannot go elsewhere (design.md §3).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from schemas.envelope import PERSON, Entry, decode_entry, encode_entry
from schemas.events import PersonJoined
from services.detector.calendars import DAY_US
from services.detector.facts.contacts import NEVER, Stamp, stamp_of
from services.detector.forwards import Forwards
from services.detector.pending import Pending
from services.detector.refusals import Place
from services.garbled import read

VERSION = 1
WAITING_LIMIT = 1_000
"""Events of one person that wait for an account. Source: design.md §3."""

WAITING_DAYS = 14
"""Days of the clock for which they wait. Source: design.md §3."""

WAITING_BYTES = 32 * 1024 * 1024
"""Bytes of all that wait in one partition: a product with many visitors whom no account knows must
not fill the memory."""

_PART = "\x1fwaiting\x1f"
_OVERHEAD = 200
"""Bytes that an event takes in memory beside its own, about."""

_NONE = 1 << 62


class PersonRecord(msgspec.Struct, omit_defaults=True):
    """What is known of a person.

    Attributes:
        v: Version of the layout.
        since: Offset of the first message that named the person.
        account: The account's id, None until it is known.
        stamp: The (event time, id) that said so.
    """

    v: int
    since: int
    account: str | None = None
    stamp: Stamp = NEVER


class WaitingRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event that waits for the account of its person.

    Attributes:
        v: Version of the layout.
        appended: Append time of its message, microseconds.
        entry: The encoded entry; its time is known.
    """

    v: int
    appended: int
    entry: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode_person = msgspec.msgpack.Decoder(PersonRecord).decode
_decode_waiting = msgspec.msgpack.Decoder(WaitingRecord).decode


_Waits = dict[tuple[int, int], WaitingRecord]
"""What waits for one person, by (offset, place) of the entry, in their order."""


class Persons:
    """All persons of one partition.

    Args:
        forwards: Takes what goes on to an account.
        pending: Takes what is refused.
    """

    def __init__(self, forwards: Forwards, pending: Pending) -> None:
        self._forwards = forwards
        self._pending = pending
        self._known: dict[str, PersonRecord] = {}
        self._waiting: dict[str, _Waits] = {}
        self._size = 0
        # Nothing that waits was appended earlier.
        self._oldest = _NONE
        self._changed: dict[str, bytes | None] = {}

    @property
    def dirty(self) -> int:
        """How many records the next snapshot will write."""
        return len(self._changed)

    def __len__(self) -> int:
        """Return how many persons are known."""
        return len(self._known)

    @property
    def waiting(self) -> int:
        """How many events wait for an account."""
        return sum(map(len, self._waiting.values()))

    def fold(self, at: Place, subject: str, entry: Entry) -> None:
        """Take a person's account over, or send the person's event there.

        Args:
            at: Where the entry stands.
            subject: The person, `person:<id>`.
            entry: The entry; its time is known.
        """
        known = self._known.get(subject)
        if isinstance(entry.event, PersonJoined):
            self._join(at, subject, entry, entry.event)
        elif known is not None and known.account is not None:
            self._forwards.send(at, subject, entry, known.account, "person")
        else:
            self._keep(at, subject, entry)

    def expire(self, clock: int) -> None:
        """Refuse what has waited too long.

        Args:
            clock: The partition's clock, microseconds.
        """
        limit = clock - WAITING_DAYS * DAY_US
        if self._oldest > limit:
            return
        found = [
            (place, subject)
            for subject, waits in self._waiting.items()
            for place, one in waits.items()
            if one.appended <= limit
        ]
        for place, subject in sorted(found):
            self._refuse(subject, place)
        left = (one.appended for waits in self._waiting.values() for one in waits.values())
        self._oldest = min(left, default=_NONE)

    def forget(self, subject: str) -> None:
        """Forget a person, and what waits for an account."""
        for place in list(self._waiting.get(subject, ())):
            self._take(subject, place)
        if self._known.pop(subject, None) is not None:
            self._changed[subject] = None

    def forget_account(self, account_id: str) -> None:
        """Forget everybody who belongs to an account."""
        gone = [who for who, known in self._known.items() if known.account == account_id]
        for subject in gone:
            self.forget(subject)

    def shown(self) -> Iterator[dict[str, Any]]:
        """Yield each person in plain JSON, by id."""
        for subject, known in sorted(self._known.items()):
            waiting = len(self._waiting.get(subject, ()))
            yield {"subject": subject, "facts": {"account": known.account, "waiting": waiting}}

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the records that differ from the last snapshot; None deletes."""
        changed, self._changed = self._changed, {}
        yield from changed.items()

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Take the records of a snapshot over.

        Args:
            parts: By key, all beginning with `person:`.

        Raises:
            ValueError: If one is of an unknown version, or waits for nobody who is known.
        """
        waits: list[tuple[tuple[int, int], str, WaitingRecord]] = []
        for key, raw in parts.items():
            subject, _, told = key.partition(_PART)
            if told:
                place = read(_place, key, told.encode())
                waits.append((place, subject, read(_waited, key, raw)))
            else:
                self._known[subject] = read(_decode_person, key, raw)
        for place, subject, one in sorted(waits, key=lambda each: each[:2]):
            if subject not in self._known:
                raise ValueError(f"an event waits for {subject!r}, who has no record")
            self._add(subject, place, one)
        records: list[tuple[str, PersonRecord | WaitingRecord]] = [*self._known.items()]
        records += [(_key(subject, place), one) for place, subject, one in waits]
        for key, record in records:
            if record.v != VERSION:
                raise ValueError(
                    f"record {key!r}: persons of version {record.v}, this code reads {VERSION}"
                )

    def _join(self, at: Place, subject: str, entry: Entry, event: PersonJoined) -> None:
        if not event.account.isprintable():
            detail = f"data.account {event.account!r} must be printable text"
            self._pending.refuse_entry(at, "invalid", detail, entry, subject)
            return
        known = self._person(subject, at)
        stamp = stamp_of(entry.time, entry.id)
        if stamp > known.stamp:
            known.account, known.stamp = event.account, stamp
            self._changed[subject] = _encode(known)
        self._pending.counts["folded", "joined"] += 1
        for place in list(self._waiting.get(subject, ())):
            waited = decode_entry(self._take(subject, place).entry)
            self._forwards.send(at, subject, waited, event.account, "person")

    def _keep(self, at: Place, subject: str, entry: Entry) -> None:
        one = WaitingRecord(VERSION, at.appended, encode_entry(entry))
        mine = len(self._waiting.get(subject, ()))
        if mine >= WAITING_LIMIT or self._size + _size(one) > WAITING_BYTES:
            detail = (
                f"{mine} events of {subject!r} wait for an account, and {self._size} bytes in its "
                f"partition; more than {WAITING_LIMIT}, or {WAITING_BYTES} bytes, are refused: "
                "send person.joined first, or the account as subject"
            )
            self._pending.refuse_entry(at, "too_many_waiting", detail, entry, subject)
            return
        place = (at.offset, at.entry or 0)
        self._person(subject, at)
        self._add(subject, place, one)
        self._changed[_key(subject, place)] = _encode(one)
        self._pending.counts["folded", "waiting"] += 1

    def _person(self, subject: str, at: Place) -> PersonRecord:
        known = self._known.get(subject)
        if known is None:
            known = self._known[subject] = PersonRecord(VERSION, at.offset)
            self._changed[subject] = _encode(known)
        return known

    def _add(self, subject: str, place: tuple[int, int], one: WaitingRecord) -> None:
        self._waiting.setdefault(subject, {})[place] = one
        self._size += _size(one)
        self._oldest = min(self._oldest, one.appended)

    def _take(self, subject: str, place: tuple[int, int]) -> WaitingRecord:
        """Take an event out of those that wait, and its record out of the snapshot."""
        waits = self._waiting[subject]
        one = waits.pop(place)
        if not waits:
            del self._waiting[subject]
        self._size -= _size(one)
        self._changed[_key(subject, place)] = None
        return one

    def _refuse(self, subject: str, place: tuple[int, int]) -> None:
        one = self._take(subject, place)
        detail = (
            f"{subject.removeprefix(PERSON)!r} joined no account within {WAITING_DAYS} days; send "
            "person.joined, or the account as subject"
        )
        at = Place(*place, one.appended)
        self._pending.refuse_entry(at, "unattributed", detail, decode_entry(one.entry), subject)
        if subject not in self._waiting:
            # Its account is unknown, or nothing would have waited.
            self.forget(subject)


def _key(subject: str, place: tuple[int, int]) -> str:
    return f"{subject}{_PART}{place[0]}.{place[1]}"


def _place(told: bytes) -> tuple[int, int]:
    offset, index = told.split(b".")
    return int(offset), int(index)


def _waited(raw: bytes) -> WaitingRecord:
    one = _decode_waiting(raw)
    # Some day it is folded, and nobody could do anything about it there.
    decode_entry(one.entry)
    return one


def _size(one: WaitingRecord) -> int:
    return len(one.entry) + _OVERHEAD
