"""The broker ends, is killed, stays away, stands still, or has no room left."""

import asyncio
import time
from random import Random

from tests.faults.asking import Asking, asking, cpu_seconds, resident_bytes
from tests.faults.disks import fill, free
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.settling import scrape
from tests.faults.world import World
from tests.platform import eventually

DEADLINE_SECONDS = 3
DEADLINE = {"EBBWATCH_INGEST_DEADLINE_SECONDS": f"{DEADLINE_SECONDS}"}
SMALL = {**DEADLINE, "EBBWATCH_INGEST_PENDING_BYTES": "1048576"}
ALL = ("ingest-0", "detector-0", "alerts-0")

AWAY_SECONDS = 60.0
WAITED_FOR_SECONDS = 50.0
"""A detector that has a forward on its way ends after a minute without Kafka; see its `sending`."""

WAITING_SECONDS = 4.0
SETTLED_SECONDS = 15.0
"""After so long a service that waits for Kafka does nothing else any more."""

IDLE_CPU = 0.3
"""Of one core, that a service may take while it does nothing but wait for Kafka. A client that asks
without a pause takes 0.87 (measured; see `services.kafka_clients.pace`)."""

FROZEN_SECONDS = 13.0
"""Longer than a session (4 s) and than a request of any of our clients (10 s)."""

MEGABYTE = 1024 * 1024
PENDING = "ebbwatch_ingest_pending_bytes"
CROWD_BODIES, CROWD_EVENTS = 16, 1_500
"""Of 16 bodies with about 0.4 MB of entries each, two or three fit."""

DISK_MEGABYTES = 128

GROWTH_BYTES = 96 * MEGABYTE
"""What ingest may take for all of them at once, decoded, until they are answered."""


async def restarted(world: World, rng: Random) -> None:
    """Let the broker end and start again under load: once as asked to, once by kill -9."""
    async with world.feeding(5_000) as feeding, asking(world) as asked:
        for end in rng.sample((world.broker.end, world.broker.kill), 2):
            await world.ready(*world.needs.starts)
            await feeding.further(rng.uniform(0.05, 0.3))
            await end()
            gone = time.monotonic()
            await asked.closed()
            await asyncio.sleep(rng.uniform(0, 3))
            asked.require_shut(gone, time.monotonic())
            await world.broker.start()


async def away(world: World, rng: Random) -> None:
    """Let the broker be away for a minute: ingest says so, nothing spins, all comes back."""
    async with world.feeding(4_000) as feeding, asking(world) as asked:
        await feeding.reached(0.3)
        await world.broker.kill()
        gone = time.monotonic()
        await asked.unready(*ALL)
        await asyncio.sleep(max(0.0, gone + SETTLED_SECONDS - time.monotonic()))
        await _idle(world, gone + WAITED_FOR_SECONDS)
        await asyncio.sleep(max(0.0, gone + AWAY_SECONDS - time.monotonic()))
        asked.require_shut(gone, time.monotonic())
        _require_told(asked, gone + SETTLED_SECONDS, gone + WAITED_FOR_SECONDS)
        back = time.monotonic()
        await world.broker.start()
        await world.ready(*ALL)
        world.figures["s until ready after the start"] = round(time.monotonic() - back, 1)


async def _idle(world: World, until: float) -> None:
    """Measure what services do while they wait; fail if one of them does too much."""
    begun = time.monotonic()
    pids = {name: world.keepers[name].pid for name in ALL}
    used = {name: cpu_seconds(pid) for name, pid in pids.items()}
    await asyncio.sleep(max(1.0, until - begun))
    busy: list[str] = []
    for name, pid in pids.items():
        if world.keepers[name].pid != pid or not world.keepers[name].running:
            busy.append(f"{name} ended while Kafka was away, instead of waiting")
            continue
        share = (cpu_seconds(pid) - used[name]) / (time.monotonic() - begun)
        world.figures[f"% CPU of {name} while away"] = round(100 * share, 1)
        if share > IDLE_CPU:
            busy.append(f"{name} took {share:.0%} of a core while Kafka was away")
    if busy:
        raise NotExact(busy)


def _require_told(asked: Asking, since: float, until: float) -> None:
    """Fail unless everybody was alive, and nobody ready, for that span of time."""
    wrong = [
        f"{name} answered {status} to {path} while Kafka was away, not {wanted}"
        for name in ALL
        for path, wanted in (("/livez", 200), ("/readyz", 503))
        for status in sorted(
            {one.status for one in asked.of(path, name) if since < one.asked < until}
        )
        if status != wanted
    ]
    if wrong:
        raise NotExact(wrong)


async def stopped_while_away(world: World, rng: Random) -> None:
    """Stop all services while Kafka is away, and start them: they end in time, start, and wait."""
    async with world.feeding(3_000) as feeding, asking(world) as asked:
        await feeding.reached(rng.uniform(0.1, 0.6))
        await world.broker.kill()
        gone = time.monotonic()
        await asyncio.sleep(rng.uniform(0, 6))
        codes = await asyncio.gather(*(world.end(name) for name in ALL))
        for name in ALL:
            world.begin(name)
        await asked.unready(*ALL)
        starts = {name: world.keepers[name].starts for name in ALL}
        await asyncio.sleep(WAITING_SECONDS)
        again = [name for name in ALL if world.keepers[name].starts != starts[name]]
        asked.require_shut(gone, time.monotonic())
        await world.broker.start()
    world.figures["services that could not write before they ended"] = codes.count(70)
    if again:
        raise NotExact([f"{name} ended instead of waiting for Kafka" for name in again])


async def frozen(world: World, rng: Random) -> None:
    """Let the broker stand still, its connections open, for longer than any request may take.

    Meanwhile producers send more than ingest may hold.
    """
    async with world.feeding(4_000) as feeding, asking(world) as asked:
        await feeding.reached(rng.uniform(0.1, 0.6))
        world.broker.freeze()
        stopped = time.monotonic()
        try:
            await asked.closed()
            await _require_bounded(world, asked)
            await asyncio.sleep(max(0.0, stopped + FROZEN_SECONDS - time.monotonic()))
            asked.require_shut(stopped, time.monotonic())
        finally:
            world.broker.thaw()


async def _require_bounded(world: World, asked: Asking) -> None:
    """Send ingest more than it may hold, and fail unless it turns the rest away at once."""
    pid = world.keepers["ingest-0"].pid
    before = resident_bytes(pid)
    crowd = asyncio.create_task(asked.crowd("ingest-0", CROWD_BODIES, CROWD_EVENTS))
    held = 0.0
    while not crowd.done():
        samples = await scrape(world, "ingest-0")
        held = max([held, *(one.value for one in samples if one.name == PENDING)])
        await asyncio.wait({crowd}, timeout=0.1)
    at_once = [one for one in crowd.result() if one.status == 503 and one.took < DEADLINE_SECONDS]
    grown = resident_bytes(pid) - before
    world.figures["KB held at most"] = held // 1024
    world.figures["MB more of ingest"] = grown // MEGABYTE
    wrong = [
        *([f"ingest held {held:.0f} bytes, more than {MEGABYTE}"] if held > MEGABYTE else []),
        *([f"ingest grew by {grown} bytes"] if grown > GROWTH_BYTES else []),
        *([] if at_once else ["ingest turned nothing away before its deadline"]),
    ]
    if wrong:
        raise NotExact(wrong)


async def full(world: World, rng: Random) -> None:
    """Let the broker's disk be full under load, and make room some time after it ended of that."""
    disk = world.broker.node.folder / "data"
    async with world.feeding(4_000) as feeding, asking(world) as asked:
        await feeding.reached(rng.uniform(0.1, 0.6))
        fill(disk)
        await asked.closed()
        await eventually(
            lambda: world.broker.node.daemon.pid() is None, within=60, what="the broker to end"
        )
        gone = time.monotonic()
        await asyncio.sleep(rng.uniform(0, 3))
        asked.require_shut(gone, time.monotonic())
        free(disk)
        await world.broker.start()


UNHEARD = ("detector 70", "alerts 70")
"""Whoever does not hear from Kafka how it ended what was being written is started again."""

SCENARIOS = (
    Scenario(
        "broker-restarts",
        ("broker restart", "kill -9 of the broker"),
        restarted,
        needs=Needs(broker="own", settings=DEADLINE, within=240),
        ends=UNHEARD,
    ),
    Scenario(
        "broker-away",
        ("broker away for 60 s",),
        away,
        random=False,
        needs=Needs(broker="own", settings=DEADLINE, within=300),
        ends=UNHEARD,
    ),
    Scenario(
        "stopped-while-broker-away",
        ("SIGTERM and start while the broker is away",),
        stopped_while_away,
        needs=Needs(broker="own", settings=DEADLINE, within=240),
        ends=UNHEARD,
    ),
    Scenario(
        "broker-frozen",
        ("broker away for longer than the request timeout", "intake's buffer is bounded"),
        frozen,
        needs=Needs(broker="own", settings=SMALL, within=240),
        ends=UNHEARD,
    ),
    Scenario(
        "broker-disk-full",
        ("disk full under Kafka",),
        full,
        needs=Needs(broker="own", disk=DISK_MEGABYTES, settings=DEADLINE, within=240),
        ends=UNHEARD,
    ),
)
