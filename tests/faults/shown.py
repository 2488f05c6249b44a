"""What the view holds, whether it is whole, and whether it is what the log says."""

import time
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis

from tests.faults.people import ask
from tests.faults.scenario import NotExact
from tests.faults.settling import scrape
from tests.faults.world import World
from tests.platform import eventually

WHOLE_SECONDS = 60.0
"""Some seconds on an idle machine; this one may be anything but idle."""

_PASSING = (":marker", ":moved", "view:stream")
"""Keys that say when something was written, not what."""


def client(world: World) -> Redis:
    """Return a client of a world's Redis."""
    assert world.redis is not None
    return Redis.from_url(world.redis.url, socket_timeout=20.0)


async def whole(world: World, within: float = WHOLE_SECONDS) -> None:
    """Wait until the view is there again, with nothing missing, and the desk says so."""

    async def says_so() -> bool:
        ready, status = await ask(world, "/readyz"), await ask(world, "/api/v1/status")
        if ready.status != 200 or status.status != 200:
            return False
        fresh = status.body["freshness"]
        return ready.body["checks"]["view"]["ok"] and fresh["complete"] and not fresh["stale"]

    begun = time.monotonic()
    await eventually(says_so, within=within, what="the view to be whole")
    longest = world.figures.get("s until whole", 0.0)
    world.figures["s until whole"] = max(longest, time.monotonic() - begun)


async def degraded(world: World, *words: str, within: float = 15.0) -> None:
    """Wait until the desk says that it goes on without its view, why, and what to do.

    Args:
        world: Its Redis is broken.
        words: What must stand in the reason.
        within: Seconds.
    """

    async def says_so() -> bool:
        answer = await ask(world, "/readyz")
        if answer.status != 200 or not answer.body["degraded"]:
            return False
        detail = str(answer.body["checks"]["view"]["detail"])
        up = [one.value for one in await scrape(world, "alerts") if one.name == "ebbwatch_view_up"]
        return up == [0.0] and all(one in detail for one in (*words, "EBBWATCH_REDIS_URL"))

    what = f"/readyz to say 200, degraded, because of {' '.join(words) or 'Redis'}"
    await eventually(says_so, within=within, what=what)


async def dump(world: World) -> dict[str, Any]:
    """Return everything that the view holds, by key, but what says when it was written."""
    found: dict[str, Any] = {}
    async with client(world) as redis:
        async for raw in redis.scan_iter(f"{world.prefix}view:*", count=1000):
            key = raw.decode()
            if not key.endswith(_PASSING):
                found[key] = await _value(redis, raw)
    return {key: value for key, value in found.items() if value}


async def _value(redis: Any, key: bytes) -> Any:
    kind = await redis.type(key)
    if kind == b"hash":
        return await redis.hgetall(key)
    if kind == b"set":
        return await redis.smembers(key)
    return dict(await redis.zrange(key, 0, -1, withscores=True))


async def require_same_when_rebuilt(world: World) -> None:
    """Empty Redis, let the view be written anew from the log, and compare both.

    Raises:
        NotExact: What it held before is not what the log says.
    """
    before = await dump(world)
    async with client(world) as redis:
        await redis.flushall()
    await whole(world)

    async def same() -> bool:
        return _told(await dump(world), before) == []

    try:
        await eventually(same, within=WHOLE_SECONDS, what="the same view")
    except BaseException:
        found = _told(await dump(world), before)
        if not found:
            raise
        raise NotExact(found) from None


def _told(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    keys = sorted(now.keys() | before.keys())
    return [
        f"{key} was {before.get(key)!r:.600}, and written anew it is {now.get(key)!r:.600}"
        for key in keys
        if now.get(key) != before.get(key)
    ][:20]
