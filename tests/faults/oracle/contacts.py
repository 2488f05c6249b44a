"""Contacts of an account: roles, who left, administrators, touches."""

from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET

from schemas.events import AdminGranted, AdminRevoked, ContactUpdated, TouchRecorded

from .reading import NEVER, Stamp, Unaccountable

LIMIT = 250
SEEN = 63


@dataclass
class Contact:
    """One person at the customer."""

    role: str | None = None
    status: str = "active"
    admin: bool = False
    changed_day: int = 0
    wrote: dict[str, Stamp] = field(default_factory=dict)
    met: set[int] = field(default_factory=set)

    @property
    def newest(self) -> Stamp:
        """The stamp of the newest thing known of the person."""
        return max(self.wrote.values(), default=NEVER)

    def takes(self, what: str, stamp: Stamp) -> bool:
        """Tell whether a write is newer than what is known, and note it."""
        if stamp <= self.wrote.get(what, NEVER):
            return False
        self.wrote[what] = stamp
        return True

    def met_days(self, day: int, span: int) -> int:
        """Return on how many of the `span` days up to a day there was a two-way touch."""
        newest = max(self.met, default=0)
        return sum(day - span < one <= day and newest - one < SEEN for one in self.met)


@dataclass
class Contacts:
    """Everybody known at the customer, and the last touches as (stamp, day, person)."""

    known: dict[str, Contact] = field(default_factory=dict)
    touched: tuple[Stamp, int, str | None] | None = None
    met: tuple[Stamp, int, str | None] | None = None

    def fold(
        self,
        event: ContactUpdated | AdminGranted | AdminRevoked | TouchRecorded,
        stamp: Stamp,
        day: int,
    ) -> None:
        if isinstance(event, TouchRecorded):
            self._touch(event, stamp, day)
            return
        contact = self._contact(event.person)
        if not isinstance(event, ContactUpdated):
            if contact.takes("admin", stamp):
                contact.admin = isinstance(event, AdminGranted)
            return
        if event.role is not UNSET and contact.takes("role", stamp):
            contact.role = event.role
        if event.status is not UNSET and contact.takes("status", stamp):
            contact.status, contact.changed_day = event.status, day

    def names(self, person: str) -> bool:
        return person in self.known or any(
            one is not None and one[2] == person for one in (self.touched, self.met)
        )

    def forget(self, person: str) -> None:
        self.known.pop(person, None)
        if self.touched is not None and self.touched[2] == person:
            self.touched = (*self.touched[:2], None)
        if self.met is not None and self.met[2] == person:
            self.met = (*self.met[:2], None)

    def plain(self) -> dict[str, Any]:
        """Return what is compared, as plain JSON."""
        return {
            "people": {
                who: {"role": one.role, "status": one.status, "admin": one.admin}
                for who, one in self.known.items()
            },
            "last_touch": None if self.touched is None else [self.touched[1], self.touched[2]],
            "last_two_way": None if self.met is None else [self.met[1], self.met[2]],
        }

    def _contact(self, person: str) -> Contact:
        if person not in self.known and len(self.known) >= LIMIT:
            raise Unaccountable(f"more than {LIMIT} contacts of one account")
        return self.known.setdefault(person, Contact())

    def _touch(self, event: TouchRecorded, stamp: Stamp, day: int) -> None:
        person = event.person if isinstance(event.person, str) else None
        if event.two_way and person is not None:
            met = self._contact(person).met
            if max(met, default=day) - day < SEEN:
                met.add(day)
        touch = (stamp, day, person)
        if self.touched is None or stamp > self.touched[0]:
            self.touched = touch
        if event.two_way and (self.met is None or stamp > self.met[0]):
            self.met = touch
