"""A clock that is moved by hand, and an event loop that lives by it.

One loop is one process: one that is not run stands still, as a frozen process does, while the
others go on and the clock with them.
"""

import asyncio
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """Stands in the place of the module `time`, for code that reads the clock.

    Args:
        began: What the wall clock says at first, aware.
    """

    def __init__(self, began: datetime) -> None:
        self._began = (began - EPOCH) // MICROSECOND
        self._passed = 0

    @property
    def micros(self) -> int:
        """The wall clock, microseconds since 1970-01-01 UTC."""
        return self._began + self._passed

    def monotonic(self) -> float:
        return self._passed / 1e6

    def time(self) -> float:
        return self.micros / 1e6

    def time_ns(self) -> int:
        return self.micros * 1000

    def now(self) -> datetime:
        return EPOCH + self.micros * MICROSECOND

    def move_to(self, monotonic: float) -> None:
        """Let it be so late; it never goes back."""
        self._passed = max(self._passed, math.ceil(monotonic * 1e6))
        # A float may be a little more than the microsecond that it stands for.
        self._passed += self.monotonic() < monotonic


class _Deaf:
    """A selector with nothing to wait for: time does not pass by itself."""

    def select(self, timeout: float | None) -> Sequence[Any]:
        return ()

    def close(self) -> None:
        pass


class HandLoop(asyncio.BaseEventLoop):
    """An event loop that runs one turn when it is told to.

    Args:
        clock: What its timers follow.

    Attributes:
        process: Whose it is.
    """

    process: Any = None

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._selector = _Deaf()
        self._hand = clock
        self._queue: Sequence[Any] = vars(self)["_ready"]

    def time(self) -> float:
        return self._hand.monotonic()

    def turn(self) -> None:
        """Run everything that is ready, once."""
        self.call_soon(self.stop)
        self.run_forever()

    @property
    def busy(self) -> bool:
        """Whether anything is ready to run now."""
        due = self.due
        return bool(self._queue) or (due is not None and due <= self.time())

    @property
    def due(self) -> float | None:
        """When its next timer is due; None if there is none."""
        # The loop makes a new list of its timers now and then.
        timers: list[asyncio.TimerHandle] = vars(self)["_scheduled"]
        return timers[0].when() if timers else None

    def _process_events(self, event_list: Any) -> None:
        pass

    def _write_to_self(self) -> None:
        pass
