"""Attributes of an account: last write wins by (event time, id), field by field."""

from datetime import date
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET

from schemas.envelope import Entry
from schemas.events import AccountUpdated, ClosureDeclared, Fields
from services.detector.calendars import local_day, to_day, zone_exists
from services.detector.facts.contacts import stamp_of
from services.detector.facts.moment import Moment

CLOSURE_LIMIT = 400


class Profile(msgspec.Struct, omit_defaults=True):
    """What the CRM says of the account.

    Attributes:
        stamps: Per field, the (event time, id) that wrote it.
        zone: Time zone in which the account's days are filed from `zone_from` on.
        zone_before: The one in which earlier days were filed.
        closures: Declared closures, (first day, last day), in order.
    """

    HANDLES: ClassVar[tuple[type[Fields], ...]] = (AccountUpdated, ClosureDeclared)

    name: str | None = None
    owner: str | None = None
    segment: str | None = None
    country: str | None = None
    timezone: str | None = None
    arr: int | None = None
    currency: str | None = None
    renewal_on: date | None = None
    parent: str | None = None
    started_on: date | None = None
    icp_fit: float | None = None
    seats: int | None = None
    stamps: dict[str, tuple[int, str]] = msgspec.field(default_factory=dict)
    zone: str = "UTC"
    zone_from: int = 0
    zone_before: str = "UTC"
    closures: list[tuple[int, int]] = msgspec.field(default_factory=list)

    def fold(self, entry: Entry, at: Moment) -> str | None:
        """Take over what is newer than what is known; return why not, if refused."""
        if isinstance(entry.event, ClosureDeclared):
            return self._close(entry.event)
        assert isinstance(entry.event, AccountUpdated)
        zone = entry.event.timezone
        if isinstance(zone, str) and not zone_exists(zone):
            return "unknown_timezone"
        stamp = stamp_of(at.time, entry.id)
        newer = self._newer(entry.event, stamp)
        for field, value in newer.items():
            setattr(self, field, value)
            self.stamps[field] = stamp
        if "timezone" in newer:
            self._move(newer["timezone"] or "UTC", at)
        return None

    def _newer(self, event: AccountUpdated, stamp: tuple[int, str]) -> dict[str, Any]:
        return {
            field: value
            for field in event.__struct_fields__
            if (value := getattr(event, field)) is not UNSET
            and stamp > self.stamps.get(field, (-1, ""))
        }

    def _move(self, zone: str, at: Moment) -> None:
        """Count the new zone from its next day; what is filed stays where it is."""
        if zone == self.zone:
            return
        if self.day_of(at.clock) >= self.zone_from:
            self.zone_before = self.zone
        self.zone = zone
        today = max(local_day(self.zone_before, at.clock), local_day(zone, at.clock))
        self.zone_from = today + 1

    def _close(self, closure: ClosureDeclared) -> str | None:
        span = (to_day(closure.from_), to_day(closure.to))
        if span not in self.closures:
            if len(self.closures) >= CLOSURE_LIMIT:
                return "too_many_closures"
            self.closures.append(span)
            self.closures.sort()
        return None

    def zone_of(self, day: int) -> str:
        """Return the time zone in which a day of the account is filed and judged."""
        return self.zone if day >= self.zone_from else self.zone_before

    def day_of(self, at_us: int) -> int:
        """Return the account's local day of an instant in microseconds."""
        day = local_day(self.zone, at_us)
        if day >= self.zone_from:
            return day
        return min(local_day(self.zone_before, at_us), self.zone_from - 1)
