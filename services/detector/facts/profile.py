"""Attributes of an account: last write wins by (event time, id), field by field."""

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET

from schemas.envelope import Entry
from schemas.events import AccountUpdated, ClosureDeclared, Fields
from services.detector.calendars import local_day, to_day, zone_exists
from services.detector.facts.contacts import stamp_of
from services.detector.facts.moment import Moment

CLOSURE_LIMIT = 400
ZONES_LIMIT = 8
"""Time zones that are remembered beside the newest two. Each of them held for a local day at least,
so that the oldest ended a week ago, and a day is judged eight hours after its end at the latest
unless the clock stands still: of an account that moves more often than that, days before the oldest
known move are filed as in the zone from which it moved, and judged no more."""


class Profile(msgspec.Struct, omit_defaults=True):
    """What the CRM says of the account.

    Attributes:
        stamps: Per field, the (event time, id) that wrote it.
        zone: Time zone in which the account's days are filed from `zone_from` on.
        zone_before: The one in which earlier days were filed.
        zones: Those before that, each with the day from which it no longer held, the newest last.
        lost: First day whose zone is known for certain; 0 while all are.
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
    zones: list[tuple[int, str]] = msgspec.field(default_factory=list)
    lost: int = 0
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
            self._keep_zone()
        self.zone = zone
        today = max(local_day(self.zone_before, at.clock), local_day(zone, at.clock))
        self.zone_from = today + 1

    def _keep_zone(self) -> None:
        """Let a zone end; days before it are not judged yet, perhaps, and stay in theirs."""
        if self.zone_from:
            self.zones = [*self.zones, (self.zone_from, self.zone_before)]
            if len(self.zones) > ZONES_LIMIT:
                self.lost = self.zones.pop(0)[0]
        self.zone_before = self.zone

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
        if day >= self.zone_from:
            return self.zone
        return next((zone for until, zone in self.zones if day < until), self.zone_before)

    def is_judged_in(self, zone: str, day: int) -> bool:
        """Tell whether a day of the account is judged when it ends in a time zone."""
        return day >= self.lost and self.zone_of(day) == zone

    def day_of(self, at_us: int) -> int:
        """Return the account's local day of an instant in microseconds."""
        day = local_day(self.zone, at_us)
        return day if day >= self.zone_from else self.reached(partial(_day_at, at_us))

    def reached(self, day_in: Callable[[str], int]) -> int:
        """Return how far its days have come, given how far they have in each time zone.

        Args:
            day_in: Tells of a zone's local days the newest one.
        """
        day = day_in(self.zone)
        if day >= self.zone_from:
            return day
        day = min(day_in(self.zone_before), self.zone_from - 1)
        for until, zone in reversed(self.zones):
            if day >= until:
                break
            day = min(day_in(zone), until - 1)
        return day


def _day_at(at_us: int, zone: str) -> int:
    return local_day(zone, at_us)
