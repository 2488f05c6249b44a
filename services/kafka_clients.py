"""Closes Kafka clients within a bound, and notices consumers that have stopped fetching."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from services.runtime import get_logger

CLOSE_SECONDS: Final = 3.0
PULSE_SECONDS: Final = 60.0

_log = get_logger(__name__)


async def close(
    stop: Callable[[], Coroutine[Any, Any, Any]], within: float = CLOSE_SECONDS
) -> bool:
    """Stop a client of aiokafka.

    A task of its own is waited for, because `stop` of a client whose broker is away may hang, and
    may raise the cancellation of one of the client's own tasks: awaited directly, that would look
    like ours, and would end the caller without a word.

    Args:
        stop: Its `stop` or `close`.
        within: Seconds, > 0.

    Returns:
        False if it did not end in time; it is left as it is.
    """
    stopping = asyncio.ensure_future(stop())
    done, _ = await asyncio.wait({stopping}, timeout=within)
    if not done:
        stopping.cancel()
        await asyncio.wait({stopping}, timeout=within)
        return False
    if not stopping.cancelled() and (error := stopping.exception()) is not None:
        _log.info("client closed with an error", error=repr(error))
    return True


class Pulse:
    """Notices a consumer that fetches no more and says nothing (aiokafka 847, 1154).

    A consumer hears from the broker several times a second, also when there is nothing to read.

    Args:
        clock: Seconds that only go up, such as the loop's `time`.
        seconds: How long the pulse may stand still, > 0.
    """

    def __init__(self, clock: Callable[[], float], seconds: float = PULSE_SECONDS) -> None:
        self._clock = clock
        self._seconds = seconds
        self._beat: object = None
        self._beat_at = self._checked_at = clock()

    def check(self, consumer: Any) -> None:
        """Compare with the time before; to be called again and again.

        Args:
            consumer: A consumer of aiokafka.

        Raises:
            TimeoutError: Some partition has not been heard of for too long: start it anew.
        """
        polled = {part: consumer.last_poll_timestamp(part) for part in consumer.assignment()}
        beat = min(((time or 0, part) for part, time in polled.items()), default=None)
        now = self._clock()
        # Whoever was held up itself, as by Kafka being away, has heard nothing because of that.
        held_up = now - self._checked_at > self._seconds / 2
        self._checked_at = now
        if beat is None or beat != self._beat or held_up:
            self._beat, self._beat_at = beat, now
        elif now - self._beat_at > self._seconds:
            raise TimeoutError(f"{beat[1]} is silent for {self._seconds:g} s")
