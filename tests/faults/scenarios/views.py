"""A Redis that forgets, is full, stands still, or is gone: nobody but a reader may notice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from random import Random

from tests.faults.brokers import Redis
from tests.faults.disks import fill, free, small_disk
from tests.faults.dripping import beside, dripping
from tests.faults.people import People, ask, working
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.settling import rest
from tests.faults.shown import client, degraded, require_same_when_rebuilt, whole
from tests.faults.world import World
from tests.platform import eventually

SETTINGS = {"EBBWATCH_ALERTS_ANSWER_SECONDS": "0.5", "EBBWATCH_ALERTS_STALE_SECONDS": "3"}
"""So that people are not held up by verdicts that nobody can write, and lists are soon stale."""

BOUND_SECONDS = 6.0
"""No answer takes longer, whatever Redis does: it is asked for two seconds at most, twice."""

READY_SECONDS = 3.0
"""Whether a replica is ready does not depend on Redis at all."""

ROOM = 64 * 1024
"""Bytes that a Redis whose memory is being filled has left."""

DISK_MEGABYTES = 24

Break = Callable[[World, Random], AbstractAsyncContextManager[None]]
"""A fault as long as a block lasts."""


def _redis(world: World) -> Redis:
    assert world.redis is not None
    return world.redis


async def flushed(world: World, _: Random) -> None:
    """FLUSHALL."""
    async with client(world) as redis:
        await redis.flushall()


async def restarted(world: World, _: Random) -> None:
    """Kill it and start it again: it is empty."""
    _redis(world).kill()
    await _redis(world).start()


async def restarted_older(world: World, rng: Random) -> None:
    """Kill it and start it again with a dump of some time ago."""
    async with client(world) as redis:
        await redis.save()
    await _delivered_more(world, rng.randrange(5, 30))
    await restarted(world, rng)
    (_redis(world).node.folder / "dump.rdb").unlink()


async def restarted_with_the_desk(world: World, rng: Random) -> None:
    """Kill both; the desk comes back first, and finds a Redis that knows less than it was told."""
    async with client(world) as redis:
        await redis.save()
    await _delivered_more(world, rng.randrange(5, 30))
    _redis(world).kill()
    world.kill("alerts-0")
    await world.ready("alerts-0")
    await _redis(world).start()
    (_redis(world).node.folder / "dump.rdb").unlink()


async def _delivered_more(world: World, count: int, within: float = 60.0) -> None:
    goal = len(world.receiver.received) + count
    await eventually(
        lambda: len(world.receiver.received) >= goal, within=within, what=f"{count} more webhooks"
    )


LOSSES: tuple[Callable[[World, Random], Awaitable[None]], ...] = (
    flushed,
    restarted,
    restarted_older,
    restarted_with_the_desk,
)


async def forgetting(world: World, rng: Random, times: int) -> None:
    """Let Redis lose what it holds, all or the latest of it, while people work."""
    async with dripping(world), working(world, rng) as people:
        for lose in rng.sample(LOSSES, times):
            await _delivered_more(world, rng.randrange(5, 40))
            await lose(world, rng)
            if rng.random() < 0.3:
                world.kill("alerts-0")
            await whole(world)
    await _prove(world, people)


@contextlib.asynccontextmanager
async def full_memory(world: World, _: Random) -> AsyncIterator[None]:
    """Leave Redis no memory to write into: `OOM command not allowed`."""
    async with client(world) as redis:
        await redis.config_set("maxmemory-policy", "noeviction")
        used = (await redis.info("memory"))["used_memory"]
        await redis.config_set("maxmemory", used + ROOM)
        yield
        await redis.config_set("maxmemory", 0)


@contextlib.asynccontextmanager
async def full_disk(world: World, rng: Random) -> AsyncIterator[None]:
    """Leave Redis no disk to write to: `MISCONF`, by its log of commands or by its dumps."""
    folder = _redis(world).node.folder / "disk"
    async with small_disk(folder, DISK_MEGABYTES) as disk, client(world) as redis:
        await redis.config_set("dir", str(disk))
        if rng.random() < 0.5:
            await redis.config_set("appendonly", "yes")
            await _rewritten(world)
            fill(disk)
        else:
            fill(disk)
            await redis.config_set("stop-writes-on-bgsave-error", "yes")
            await redis.config_set("save", "1 1")
        yield
        free(disk)
        await redis.config_set("save", "")
        await redis.config_set("appendonly", "no")
        await redis.config_set("stop-writes-on-bgsave-error", "no")
        await redis.config_set("dir", str(disk.parent))


async def _rewritten(world: World) -> None:
    async def is_over() -> bool:
        async with client(world) as redis:
            told = await redis.info("persistence")
        return not told["aof_rewrite_in_progress"] and not told["aof_rewrite_scheduled"]

    await eventually(is_over, within=30, what="Redis to write its log")


@contextlib.asynccontextmanager
async def frozen(world: World, _: Random) -> AsyncIterator[None]:
    """Let Redis stand still, its connections open."""
    _redis(world).freeze()
    try:
        yield
    finally:
        _redis(world).thaw()


@contextlib.asynccontextmanager
async def gone(world: World, _: Random) -> AsyncIterator[None]:
    """Kill Redis; nobody listens."""
    _redis(world).kill()
    yield
    await _redis(world).start()


async def refusing(world: World, rng: Random, fault: Break, words: str) -> None:
    """Let Redis take nothing more: what it holds is still read, and said to be stale."""
    async with dripping(world), working(world, rng) as people:
        await _delivered_more(world, rng.randrange(5, 40))
        async with fault(world, rng):
            await degraded(world, words)
            await _goes_on(world, people, rng)
            await eventually(lambda: _is_stale(world), within=20, what="lists to be marked stale")
            world.kill("alerts-0")
            await world.ready("alerts-0")
            await degraded(world)
            await _goes_on(world, people, rng)
        await whole(world)
    await _prove(world, people)


async def _is_stale(world: World) -> bool:
    """Tell whether lists are shown as they were, with a reason why they may be out of date."""
    answer = await ask(world, "/api/v1/cases")
    if answer.status != 200:
        raise NotExact([f"cases that Redis still holds were answered {answer.status}"])
    fresh = answer.body["freshness"]
    return bool(answer.body["items"]) and fresh["stale"] and bool(fresh["reason"])


async def _goes_on(world: World, people: People, rng: Random) -> None:
    """Require that webhooks are delivered and actions are taken, all the same."""
    goal = people.pending + rng.randrange(3, 9)
    await _delivered_more(world, rng.randrange(5, 30))
    await eventually(lambda: people.pending >= goal, within=60, what="actions to be taken with 202")


async def away(world: World, rng: Random) -> None:
    """Let Redis be frozen, gone, and very slow, in any order: reads say 503, and say so soon."""
    async with dripping(world), working(world, rng) as people:
        for fault in rng.sample((frozen, gone, stuttering), 3):
            await _delivered_more(world, rng.randrange(5, 20))
            async with fault(world, rng):
                if fault is not stuttering:
                    await degraded(world)
                    await _require_said_soon(world, 503)
                    await _goes_on(world, people, rng)
                if rng.random() < 0.5:
                    world.kill("alerts-0")
                    await world.ready("alerts-0")
                await _require_said_soon(world, *(() if fault is stuttering else (503,)))
                await _delivered_more(world, rng.randrange(5, 20))
            await whole(world)
    await _prove(world, people)


@contextlib.asynccontextmanager
async def stuttering(world: World, _: Random) -> AsyncIterator[None]:
    """Let Redis stand still for most of the time: every answer takes about half a second."""

    async def stutter() -> None:
        while True:
            _redis(world).freeze()
            await asyncio.sleep(0.5)
            _redis(world).thaw()
            await asyncio.sleep(0.02)

    try:
        async with beside(stutter()) as task:
            yield
            task.cancel()
    finally:
        _redis(world).thaw()


async def _require_said_soon(world: World, *statuses: int) -> None:
    """Require answers within their bounds, and of those statuses, if any are named."""
    for path in ("/api/v1/cases", "/api/v1/accounts", "/api/v1/alerts", "/readyz", "/livez"):
        answer = await ask(world, path)
        bound = BOUND_SECONDS if path.startswith("/api") else READY_SECONDS
        if answer.seconds > bound:
            raise NotExact([f"{path} took {answer.seconds:.1f} s, more than {bound:g}"])
        if path.startswith("/api"):
            _require_told(path, answer.status, statuses or (200, 503))
            if answer.status == 503 and "retry-after" not in answer.headers:
                raise NotExact([f"{path} was answered 503 without Retry-After"])
        elif answer.status != 200:
            raise NotExact([f"{path} was answered {answer.status}: it does not need Redis"])


def _require_told(path: str, status: int, allowed: tuple[int, ...]) -> None:
    if status not in allowed:
        raise NotExact([f"{path} was answered {status} instead of {allowed}"])


async def _prove(world: World, people: People) -> None:
    """Require that the view is what the log says, and that everything people did is in it."""
    await rest(world)
    await people.prove()
    await require_same_when_rebuilt(world)


NEEDS = Needs(redis="own", settings=SETTINGS, within=300.0)

SCENARIOS = (
    Scenario(
        "redis-forgets",
        ("Redis restart, FLUSHALL",),
        partial(forgetting, times=len(LOSSES)),
        needs=NEEDS,
    ),
    Scenario(
        "redis-forgets-once",
        ("Redis restart, FLUSHALL",),
        partial(forgetting, times=1),
        needs=NEEDS,
    ),
    Scenario(
        "redis-memory-full",
        ("Redis OOM",),
        partial(refusing, fault=full_memory, words="OutOfMemoryError"),
        needs=NEEDS,
    ),
    Scenario(
        "redis-disk-full",
        ("Redis MISCONF", "disk full"),
        partial(refusing, fault=full_disk, words="MISCONF"),
        needs=NEEDS,
    ),
    Scenario("redis-away", ("Redis slow, frozen, gone",), away, needs=NEEDS),
)
