"""Closes Kafka clients within a bound, whatever state they are in."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from services.runtime import get_logger

CLOSE_SECONDS: Final = 3.0

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
