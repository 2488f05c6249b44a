"""The time zones of an account: in which one a day is filed and judged, now and before."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from . import days

KEPT = 10
"""Zones that are told apart; days before the oldest of them count as its own, and are judged no
more. Source: facts/profile.py, ZONES_LIMIT."""

_ALWAYS = -(1 << 40)


@dataclass
class Zones:
    """Zones by the day from which they hold, the newest last; `lost` is the first day of which it
    is known where it is judged."""

    spans: list[tuple[int, str]] = field(default_factory=lambda: [(_ALWAYS, "UTC")])
    lost: int = 0

    @property
    def now(self) -> str:
        """The zone that holds, or is about to."""
        return self.spans[-1][1]

    def of(self, day: int) -> str:
        """Return where a day is filed."""
        return next(zone for begins, zone in reversed(self.spans) if begins <= day)

    def judges(self, zone: str, day: int) -> bool:
        """Tell whether a day is judged when it has closed in a zone."""
        return day >= self.lost and self.of(day) == zone

    def day_of(self, at: int) -> int:
        """Return the account's own day of an instant."""
        return self._newest({zone: days.day_in(zone, at) for _, zone in self.spans})

    def closed(self, opened: Mapping[str, int]) -> int:
        """Return the newest day that has closed, given that of each zone."""
        return self._newest({zone: opened.get(zone, -1) for _, zone in self.spans})

    def move(self, zone: str, clock: int) -> None:
        """Let a new zone count from its next day; what is filed stays."""
        if zone == self.now:
            return
        if self.spans[-1][0] > self.day_of(clock):
            # The one before never began.
            self.spans.pop()
        today = max(days.day_in(one, clock) for one in (self.now, zone))
        self.spans.append((today + 1, zone))
        if len(self.spans) > KEPT:
            del self.spans[0]
            self.lost, oldest = self.spans[0]
            self.spans[0] = (_ALWAYS, oldest)

    def _newest(self, reached: Mapping[str, int]) -> int:
        """Return how far days have come: in each zone no further than the next one's first."""
        ends = 1 << 40
        for begins, zone in reversed(self.spans):
            day = min(reached[zone], ends - 1)
            if day >= begins:
                return day
            ends = begins
        raise AssertionError("the oldest zone holds always")
