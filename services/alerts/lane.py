"""The schedule of one channel: each attempt when it is due, so many at once."""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, Final

LONGEST_WAIT_SECONDS: Final = 60.0

Job = Callable[[], Coroutine[Any, Any, None]]


class Lane:
    """Runs jobs when they are due; those of another lane do not wait for them.

    For one event loop. A job must not raise.

    Args:
        width: Jobs at once, >= 1.
        clock: Seconds that only go up, such as the loop's `time`.
    """

    def __init__(self, width: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._slots = asyncio.Semaphore(width)
        self._numbers = itertools.count()
        self._waiting: list[tuple[float, int, Job]] = []
        self._paused_until = float("-inf")
        self._woken = asyncio.Event()
        self._working: set[asyncio.Task[None]] = set()

    def put(self, wait: float, job: Job) -> None:
        """Let a job run after so many seconds; of those that are due the earliest first."""
        heapq.heappush(self._waiting, (self._clock() + wait, next(self._numbers), job))
        self._woken.set()

    def pause(self, seconds: float) -> None:
        """Begin nothing for so long; what is under way goes on."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def resume(self) -> None:
        """End a pause."""
        self._paused_until = float("-inf")
        self._woken.set()

    def clear(self) -> None:
        """Forget all jobs that do not run yet."""
        self._waiting.clear()

    @property
    def working(self) -> set[asyncio.Task[None]]:
        """The jobs that run."""
        return set(self._working)

    async def run(self) -> None:
        """Run jobs until cancelled, which cancels those that run."""
        try:
            while True:
                await self._slots.acquire()
                task = asyncio.ensure_future((await self._next())())
                self._working.add(task)
                task.add_done_callback(self._done)
        finally:
            for task in self._working:
                task.cancel()

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._working.discard(task)
        self._slots.release()

    async def _next(self) -> Job:
        while True:
            self._woken.clear()
            wait = LONGEST_WAIT_SECONDS
            if self._waiting:
                wait = max(self._waiting[0][0], self._paused_until) - self._clock()
            if wait <= 0:
                return heapq.heappop(self._waiting)[2]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(wait, LONGEST_WAIT_SECONDS)):
                    await self._woken.wait()
