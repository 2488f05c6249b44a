"""Contacts at the customer: roles, who left, administrators, and touches with our colleagues."""

from typing import ClassVar

import msgspec
import xxhash
from msgspec import UNSET

from schemas.envelope import Entry
from schemas.events import (
    AdminGranted,
    AdminRevoked,
    ContactUpdated,
    Fields,
    TouchRecorded,
)
from services.detector.facts.moment import Moment
from services.detector.facts.people import mark

CONTACT_LIMIT = 250
Stamp = tuple[int, str]
NEVER: Stamp = (-1, "")
ID_SIZE = 36
"""Characters of an id that a stamp keeps as they are; a UUID fits."""


def stamp_of(time: int, event_id: str) -> Stamp:
    """Return what decides which of two writes is newer: event time, then id, a long one hashed."""
    if len(event_id) <= ID_SIZE:
        return time, event_id
    return time, f"{event_id[:20]}{xxhash.xxh3_64_hexdigest(event_id.encode())}"


class Contact(msgspec.Struct, omit_defaults=True):
    """One person at the customer.

    Attributes:
        role: Such as `champion`; None if unknown or cleared.
        status: `active`, `away` or `left`.
        role_stamp: The (event time, id) that wrote the role.
        status_stamp: The one that wrote the status.
        changed_day: Local day of the newest status.
        admin: Whether the person is an administrator.
        admin_stamp: The (event time, id) that says so.
        touched: Days of two-way touches as `people.mark` packs them, little endian: 78 bits are
            more than an integer of MessagePack holds.
    """

    role: str | None = None
    status: str = "active"
    role_stamp: Stamp = NEVER
    status_stamp: Stamp = NEVER
    changed_day: int = 0
    admin: bool = False
    admin_stamp: Stamp = NEVER
    touched: bytes = b""

    @property
    def touches(self) -> int | None:
        """Packed days of two-way touches (`people.mark`), or None."""
        return int.from_bytes(self.touched, "little") if self.touched else None

    @touches.setter
    def touches(self, packed: int) -> None:
        self.touched = packed.to_bytes(-(-packed.bit_length() // 8), "little")

    @property
    def newest(self) -> Stamp:
        """The stamp of the newest thing known of the person."""
        return max(self.role_stamp, self.status_stamp, self.admin_stamp)


class Touch(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last contact of a kind."""

    stamp: Stamp
    day: int
    channel: str
    person: str | None = None
    colleague: str | None = None


class Contacts(msgspec.Struct, omit_defaults=True):
    """Everybody known at the customer.

    Attributes:
        people: By person.
        last_two_way: The newest touch in which both sides took part.
        last_touch: The newest touch of any kind.
    """

    HANDLES: ClassVar[tuple[type[Fields], ...]] = (
        ContactUpdated,
        AdminGranted,
        AdminRevoked,
        TouchRecorded,
    )

    people: dict[str, Contact] = msgspec.field(default_factory=dict)
    last_two_way: Touch | None = None
    last_touch: Touch | None = None

    def fold(self, entry: Entry, at: Moment) -> str | None:
        """Take the event over; return why not, if refused."""
        event = entry.event
        stamp = stamp_of(at.time, entry.id)
        if isinstance(event, TouchRecorded):
            return self._touch(event, stamp, at)
        assert isinstance(event, ContactUpdated | AdminGranted | AdminRevoked)
        contact = self._contact(event.person)
        if contact is None:
            return "too_many_contacts"
        if isinstance(event, ContactUpdated):
            _update(contact, event, stamp, at.day)
        elif stamp > contact.admin_stamp:
            contact.admin = isinstance(event, AdminGranted)
            contact.admin_stamp = stamp
        return None

    def admins(self) -> list[str]:
        """Return the administrators who have not left."""
        return sorted(
            who for who, known in self.people.items() if known.admin and known.status != "left"
        )

    def names(self, person: str) -> bool:
        """Tell whether a person is known."""
        touched = (one.person for one in (self.last_touch, self.last_two_way) if one is not None)
        return person in self.people or person in touched

    def forget(self, person: str) -> None:
        """Forget a person; that somebody was in touch remains."""
        self.people.pop(person, None)
        self.last_touch = _anonymous(self.last_touch, person)
        self.last_two_way = _anonymous(self.last_two_way, person)

    def _contact(self, person: str) -> Contact | None:
        known = self.people.get(person)
        if known is None and (len(self.people) < CONTACT_LIMIT or self._forget_one()):
            known = self.people[person] = Contact()
        return known

    def _forget_one(self) -> bool:
        """Make room by forgetting who left first; tell whether anybody had left."""
        left = [(known.newest, who) for who, known in self.people.items() if known.status == "left"]
        if left:
            del self.people[min(left)[1]]
        return bool(left)

    def _touch(self, event: TouchRecorded, stamp: Stamp, at: Moment) -> str | None:
        person = event.person or None
        if event.two_way and person is not None:
            contact = self._contact(person)
            if contact is None:
                return "too_many_contacts"
            contact.touches, _ = mark(contact.touches, at.day)
        touch = Touch(stamp, at.day, event.channel, person, event.colleague or None)
        if self.last_touch is None or stamp > self.last_touch.stamp:
            self.last_touch = touch
        if event.two_way and (self.last_two_way is None or stamp > self.last_two_way.stamp):
            self.last_two_way = touch
        return None


def _anonymous(touch: Touch | None, person: str) -> Touch | None:
    if touch is None or touch.person != person:
        return touch
    return msgspec.structs.replace(touch, person=None)


def _update(contact: Contact, event: ContactUpdated, stamp: Stamp, day: int) -> None:
    if event.role is not UNSET and stamp > contact.role_stamp:
        contact.role = event.role
        contact.role_stamp = stamp
    if event.status is not UNSET and stamp > contact.status_stamp:
        contact.status = event.status
        contact.status_stamp = stamp
        contact.changed_day = day
