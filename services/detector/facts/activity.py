"""One of our own people: how often they were in touch, what they think, whether they left."""

import msgspec

from schemas.events import EmployeeLeft, Fields, SentimentSet, TouchRecorded
from services.detector.facts.buckets import TOO_LATE

TOUCH_DAYS = 400
"""Days of which touches are counted, the clock's own included."""

HANDLES: frozenset[type[Fields]] = frozenset((TouchRecorded, SentimentSet, EmployeeLeft))


class Activity(msgspec.Struct, omit_defaults=True):
    """What events say of a colleague; days are those of UTC, since 1970-01-01.

    Attributes:
        touches: Touches by day.
        two_way: Those in which both sides took part, by day.
        left: The day on which they left, or None.
        sentiments: How often they gave which rating.
    """

    touches: dict[int, int] = msgspec.field(default_factory=dict)
    two_way: dict[int, int] = msgspec.field(default_factory=dict)
    left: int | None = None
    sentiments: dict[int, int] = msgspec.field(default_factory=dict)

    def fold(self, event: Fields, day: int, today: int) -> str | None:
        """Take an event over; return why not, if refused.

        Args:
            event: One of `HANDLES`.
            day: Its day.
            today: The clock's day.
        """
        if isinstance(event, TouchRecorded):
            return self._touch(event, day, today - TOUCH_DAYS + 1)
        if isinstance(event, SentimentSet):
            self.sentiments[event.rating] = self.sentiments.get(event.rating, 0) + 1
        else:
            self.left = day if self.left is None else max(day, self.left)
        return None

    def _touch(self, event: TouchRecorded, day: int, oldest: int) -> str | None:
        if day < oldest:
            return TOO_LATE
        self.touches[day] = self.touches.get(day, 0) + 1
        if event.two_way:
            self.two_way[day] = self.two_way.get(day, 0) + 1
        for counted in (self.touches, self.two_way):
            for gone in [one for one in counted if one < oldest]:
                del counted[gone]
        return None
