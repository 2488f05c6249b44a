"""Writes the clock into the log: a tick a minute into every partition."""

import asyncio
from collections.abc import Callable
from typing import Final

from schemas.events import ClockTicked
from services.ingest.entries import broadcast
from services.ingest.seen import Seen
from services.publishing.publisher import Publisher, Unavailable
from services.runtime import get_logger

SKEW_MICROS: Final = 120 * 1_000_000
"""How far this clock and the broker's may differ. Source: design.md §4."""
RETRY_SECONDS: Final = 1.0

_log = get_logger(__name__)


class Clock:
    """Ticks, and says whether this machine's clock can be relied on.

    Args:
        publisher: Takes the ticks.
        replica: Names this process; its ticks are `tick-<replica>-<n>`.
        seen: What each tick carries and empties.
        progress: Returns up to when each owned input partition was forwarded, microseconds.
        now: The wall clock, microseconds since 1970-01-01 UTC.
        interval: Seconds between two ticks, > 0.
        on_skew: Told the difference to the broker's clock, seconds, after each tick.
    """

    def __init__(
        self,
        publisher: Publisher,
        replica: str,
        seen: Seen,
        progress: Callable[[], dict[str, int]],
        now: Callable[[], int],
        interval: float = 60.0,
        on_skew: Callable[[float], None] | None = None,
    ) -> None:
        self.ticking = asyncio.Event()
        self._publisher = publisher
        self._replica = replica
        self._seen = seen
        self._progress = progress
        self._now = now
        self._interval = interval
        self._on_skew = on_skew or (lambda _seconds: None)
        self._number = 0
        self._skew = 0
        self._kafkas: tuple[int, float] | None = None

    def why_closed(self) -> str | None:
        """Return why no event may be taken in, or None."""
        if not self.ticking.is_set():
            return "the first tick of the clock is not acknowledged yet"
        if abs(self._skew) > SKEW_MICROS:
            return (
                f"this machine's clock differs from Kafka's by {self._skew / 1e6:+.0f} s, "
                f"more than {SKEW_MICROS // 1_000_000} s; set it right"
            )
        return None

    def latest(self) -> int:
        """Return the later of this machine's clock and Kafka's, microseconds since 1970-01-01 UTC.

        A record of an input waits for nobody: an own clock that is behind must not make an event
        of today one of the future. Kafka's goes on from the last tick.
        """
        if self._kafkas is None:
            return self._now()
        at, read_at = self._kafkas
        passed = asyncio.get_running_loop().time() - read_at
        return max(self._now(), at + round(passed * 1_000_000))

    async def run(self) -> None:
        """Tick until cancelled, at whole multiples of the interval and once at the start."""
        while True:
            due = await self.tick()
            await asyncio.sleep(self._until_next() if due else min(RETRY_SECONDS, self._interval))

    async def tick(self) -> bool:
        """Write one tick into every partition.

        Returns:
            True if it is acknowledged; what it carried is kept for the next one otherwise.
        """
        self._number += 1
        hours, fed = self._seen.hours.take(), self._seen.fed.take()
        # Taken before the tick is queued, so that what it calls complete is in the log before it.
        complete = self._progress()
        at, sent_at = self._now(), asyncio.get_running_loop().time()
        event = ClockTicked(at=at, mode="live", complete_until=complete, seen=hours, fed=fed)
        id = f"tick-{self._replica}-{self._number}"
        try:
            appended_ms = await self._publisher.publish(
                broadcast(event, id, at, self._publisher.partitions), within=self._interval
            )
        except Unavailable as error:
            self._seen.hours.give_back(hours)
            self._seen.fed.give_back(fed)
            _log.warning("tick not acknowledged", id=id, error=str(error))
            return False
        self._kafkas = (appended_ms * 1000, sent_at) if appended_ms else None
        self._compare(appended_ms * 1000, at, self._now())
        return True

    def _compare(self, appended: int, sent: int, acknowledged: int) -> None:
        """Take the distance of the append time from the span in which it must lie."""
        if appended:
            # The broker's clock ticks in milliseconds, rounded down.
            self._skew = min(0, acknowledged - appended) + max(0, sent - appended - 1000)
        self.ticking.set()
        self._on_skew(self._skew / 1e6)

    def _until_next(self) -> float:
        step = round(self._interval * 1_000_000)
        return (step - self._now() % step) / 1_000_000
