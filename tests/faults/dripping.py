"""What goes on beside a scenario as long as it needs it; above all, a load."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime, timedelta

from tests.faults.load import WEIGHTS, http_only
from tests.faults.world import RATE, World

EVENTS = 120

ALERTING = WEIGHTS | {"payments": 12.0}
"""One event in nine raises an alert, so that there is always something to deliver."""


@contextlib.asynccontextmanager
async def beside(work: Coroutine[object, object, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Do something as long as the block lasts; gives its task. What goes wrong in it ends both."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group.create_task(work)
    except BaseExceptionGroup as group:
        found: BaseException = group
        while isinstance(found, BaseExceptionGroup) and len(found.exceptions) == 1:
            found = found.exceptions[0]
        raise found from None


@contextlib.asynccontextmanager
async def dripping(world: World, rate: float = 120.0) -> AsyncIterator[None]:
    """Feed a world as long as the block lasts; afterwards everything is acknowledged.

    Args:
        world: Its ingest must run.
        rate: Events a second, at most.
    """
    over = asyncio.Event()

    async def drip() -> None:
        while not over.is_set():
            load, now = world.load(), datetime.now(UTC)
            sent = load.events(EVENTS, now - timedelta(seconds=10), now, ALERTING)
            world.due += load.due
            async with world.feeding(sent, rate=rate):
                pass

    async with beside(drip()):
        yield
        over.set()


async def alerted(world: World, count: int, rate: float = RATE) -> None:
    """Raise an alert of so many accounts, and of nothing else.

    Args:
        world: Its ingest must run.
        count: How many; each takes two events.
        rate: Events a second, at most.
    """
    load, now = world.load(), datetime.now(UTC)
    sent = load.events(count, now - timedelta(seconds=10), now, {"payments": 1.0})
    world.due += load.due
    async with world.feeding(list(http_only(sent)), rate=rate):
        pass
