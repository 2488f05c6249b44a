"""The life of a service: it runs until a signal, stops within a bound, and ends with a code."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn, Protocol

from services.runtime import ConfigurationError, ExitCode, PortTaken, die, get_logger, leave

STOP_SECONDS: Final = 7.0
"""A supervisor kills after 7.5 s, and Python itself needs a moment to end."""

CANCEL_AGAIN_SECONDS: Final = 2.0
"""What such a task does as it ends takes less."""

_log = get_logger(__name__)


class Service(Protocol):
    """What runs."""

    async def run(self) -> None:
        """Open everything and run until `stop`."""

    async def stop(self) -> None:
        """Close everything, in order."""


async def live(name: str, make: Callable[[], Service], left: str) -> NoReturn:
    """Run a service until SIGTERM or SIGINT, or an unexpected error, then end the process.

    Args:
        name: For the log.
        make: Makes the service, in the running loop.
        left: What a stop that takes too long leaves undone, for the log.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    service = make()
    running = asyncio.create_task(_edge(name, service.run()))
    await stop.wait()
    _log.info("stopping")
    stopping = asyncio.create_task(service.stop())
    _, late = await asyncio.wait({stopping, running}, timeout=STOP_SECONDS)
    if stopping.done() and (error := stopping.exception()) is not None:
        die("stop", error)
    if late:
        _log.warning("stopped too early", left=left)
    _log.info("stopped")
    # Not by returning: the loop would wait for what did not end in time.
    leave(ExitCode.OK)


async def lasting(name: str, work: Coroutine[Any, Any, None], stopping: Callable[[], bool]) -> None:
    """Run what must not end before the service does: a task group would not notice a cancelled one.

    Args:
        name: For the error.
        work: What runs.
        stopping: Whether the service ends.

    Raises:
        RuntimeError: It has ended, or was cancelled by one of its own tasks.
    """
    # In a task of its own: a task group cancels what is in it once, and never again.
    working = asyncio.ensure_future(work)
    try:
        await asyncio.wait({working})
    except asyncio.CancelledError:
        await insist(working)
        raise
    if stopping():
        return
    if working.cancelled():
        raise RuntimeError(f"{name} was cancelled by one of its own tasks")
    working.result()
    raise RuntimeError(f"{name} has ended")


async def end(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait until it has ended; None is ended already."""
    if task is not None:
        task.cancel()
        await asyncio.wait({task})


async def insist(task: asyncio.Task[None] | None) -> None:
    """Cancel a task again and again until it has ended; None is ended already.

    Once is not enough: until Python 3.12 `asyncio.wait_for` loses a cancellation that comes as its
    work ends, and redis-py sends every command through it. The task would run on for ever.
    """
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_AGAIN_SECONDS)


async def _edge(where: str, work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except* ConfigurationError as group:
        die(where, "; ".join(map(str, group.exceptions)), ExitCode.CONFIG)
    except* PortTaken as group:
        die(where, "; ".join(map(str, group.exceptions)), ExitCode.FAILED)
    except* TimeoutError as group:
        # A client fetches no more and says nothing: only a new one helps.
        die(where, group, ExitCode.STUCK)
    except* Exception as group:
        die(where, group)
