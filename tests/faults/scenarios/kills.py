"""Processes that are killed, stopped, frozen or joined, at any moment and at the worst."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from random import Random

from tests.faults.lapse import days_ago
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.settling import scrape, stamps_now
from tests.faults.stopping import stopped
from tests.faults.world import World
from tests.platform import eventually

TWO_DOORS = ("ingest-0", "ingest-1", "detector-0", "alerts-0")
"""With a second ingest the load goes on while the first one starts again."""

SNAPSHOT = ("snapshot.load", "snapshot.cut", "snapshot.in_transaction", "snapshot.committed")
DETECTOR = (*SNAPSHOT, "detector.fold", "detector.forwarded")
INGEST = ("bridge.published", "bridge.committed", "http.published")
ALERTS = (*SNAPSHOT, "outbox.intended", "outbox.sent", "outbox.noted")

FED_SECONDS = 100.0
"""Longer than what a scenario waits for takes on a busy machine."""


async def at_random(world: World, rng: Random, kills: int, events: int) -> None:
    """Kill one service or another at random moments of the load; most when they are at work."""
    async with world.feeding(events) as feeding:
        for share in sorted(rng.uniform(0.05, 0.95) for _ in range(kills)):
            await feeding.reached(share)
            victim = rng.choice(TWO_DOORS)
            if rng.random() < 0.7:
                await world.ready(victim)
            world.kill(victim)
    # That each has ended a process of its own is found out in the end.
    world.figures["killed"] = sum(one.kills for one in world.keepers.values())


async def at_failpoints(world: World, rng: Random, name: str, places: tuple[str, ...]) -> None:
    """Let a service die at one place after the other, each the first time or a little later."""
    order = rng.sample(places, len(places))
    world.arm(name, *(f"{place}=kill@{rng.randrange(1, 4)}" for place in order))
    # The first death is by our hand: what is armed holds from the next start on.
    world.kill(name)
    await feed_until(world, lambda: not world.arming.left(name))


async def at_some_failpoints(world: World, rng: Random) -> None:
    """Let every service die at places of its own, all at the same time."""
    for name, places in (("detector-0", DETECTOR), ("alerts-0", ALERTS), ("ingest-0", INGEST)):
        chosen = rng.sample(places, 2 if name == "detector-0" else 1)
        world.arm(name, *(f"{place}=kill@{rng.randrange(1, 4)}" for place in chosen))
        world.kill(name)
    names = ("detector-0", "alerts-0", "ingest-0")
    await feed_until(world, lambda: not any(world.arming.left(name) for name in names))


async def feed_until(world: World, happened: Callable[[], bool], events: int = 600) -> None:
    """Feed one small load after the other until something has happened."""
    try:
        async with asyncio.timeout(FED_SECONDS):
            while not happened():
                async with world.feeding(events):
                    await eventually(happened_or_fed(world, happened, events), within=FED_SECONDS)
    except TimeoutError:
        why = f"{FED_SECONDS:g} s of load did not bring about what was waited for"
        raise NotExact([why]) from None


def happened_or_fed(world: World, happened: Callable[[], bool], events: int) -> Callable[[], bool]:
    """Return a condition that also holds once most of so many events more are noted."""
    goal = world.noted.count + events * 4 // 5

    def asked() -> bool:
        for name in world.keepers:
            world.require_alive(name)
        return happened() or world.noted.count >= goal

    return asked


async def stopped_under_load(world: World, rng: Random) -> None:
    """Stop each service under load as an operator does, and start it again: exit 0 within 10 s.

    It is asked to at a moment at which not all that it has folded is durable; afterwards all is.
    """
    async with world.feeding(9_000) as feeding:
        for name in rng.sample(TWO_DOORS, len(TWO_DOORS)):
            await feeding.further(0.12)
            await world.ready(name)
            await stopped(world, name)
            world.begin(name)
    await world.ready("detector-0")


async def joining_and_leaving(world: World, rng: Random, events: int) -> None:
    """Let two workers join under load and leave again, one of them by kill -9."""
    async with world.feeding(events) as feeding:
        await feeding.reached(0.1)
        for name in ("detector-1", "detector-2"):
            world.begin(name)
            await feeding.further(0.1)
        names = ("detector-0", "detector-1", "detector-2")
        await world.ready(*names)
        await _require_owned_once(world)
        first, second = rng.sample(names, 2)
        await world.end(first)
        await feeding.further(0.1)
        world.kill(second)
        await world.died(second)
        await world.ready(second)
        await world.end(second)


async def _require_owned_once(world: World) -> None:
    """Wait until every partition has one owner; while they settle, none may have two for long."""

    async def shared() -> bool:
        samples = await scrape(world, "detector")
        owned = [one.labels["partition"] for one in samples if one.name == "ebbwatch_stamp"]
        return sorted(owned) == [str(number) for number in range(world.partitions)]

    await eventually(shared, within=30, what="each partition to have one owner")


async def one_joins_one_leaves(world: World, rng: Random) -> None:
    """Let a second worker join under load; then the first one leaves, killed before or not."""
    async with world.feeding(3_000) as feeding:
        await feeding.reached(rng.uniform(0.05, 0.3))
        world.begin("detector-1")
        await world.ready("detector-0", "detector-1")
        await _require_owned_once(world)
        if world.seed % 2:
            world.kill("detector-0")
            await world.ready("detector-0")
        await world.end("detector-0")


async def crash_looping(world: World, rng: Random) -> None:
    """Let the detector die again and again before its first flush: its snapshot must not move."""
    async with world.feeding(3_000) as feeding:
        await feeding.reached(rng.uniform(0.1, 0.3))
        world.always("detector-0", EBBWATCH_FAILPOINTS="snapshot.cut=kill@1")
        world.kill("detector-0")
        await world.died("detector-0", times=2)
        before = await stamps_now(world)
        await world.died("detector-0", times=5)
        after = await stamps_now(world)
        world.always("detector-0")
    if after != before:
        raise NotExact([f"the snapshot moved from {before} to {after} though no flush ended"])


async def killed_in_time_lapse(world: World, rng: Random, days: int, kills: int) -> None:
    """Let weeks pass in seconds, and kill detector and desk while days are closed and judged."""
    begin, end = days_ago(days), datetime.now(UTC)
    load = world.load()
    sent = load.events(55 * days, begin, end)
    world.due += load.due
    lapse = world.lapse()
    async with lapse.writing(sent, begin, end):
        for share in sorted(rng.uniform(0.05, 0.95) for _ in range(kills)):
            await lapse.reached(share)
            victim = rng.choice(("detector-0", "detector-0", "alerts-0"))
            await world.ready(victim)
            world.kill(victim)
    world.begin("ingest-0")
    await world.ready("ingest-0")
    async with world.feeding(800):
        pass


SCENARIOS = (
    Scenario(
        "kill-at-random",
        ("kill -9 of each service at a random moment",),
        partial(at_random, kills=10, events=6_000),
        needs=Needs(starts=TWO_DOORS),
    ),
    Scenario(
        "kill-a-few",
        ("kill -9 of each service at a random moment",),
        partial(at_random, kills=4, events=2_500),
        needs=Needs(starts=TWO_DOORS),
    ),
    Scenario(
        "kill-detector-at-failpoints",
        ("kill -9 of the detector between fold, forward, alert, state and acknowledgement",),
        partial(at_failpoints, name="detector-0", places=DETECTOR),
    ),
    Scenario(
        "kill-ingest-at-failpoints",
        ("kill -9 of ingest between acknowledgement, answer and commit",),
        partial(at_failpoints, name="ingest-0", places=INGEST),
        needs=Needs(starts=TWO_DOORS),
    ),
    Scenario(
        "kill-alerts-at-failpoints",
        ("kill -9 of the desk between intent, send, outcome and snapshot",),
        partial(at_failpoints, name="alerts-0", places=ALERTS),
    ),
    Scenario(
        "stop-under-load",
        ("SIGTERM under load",),
        stopped_under_load,
        needs=Needs(starts=TWO_DOORS),
    ),
    Scenario(
        "workers-join-and-leave",
        ("two or three workers join and leave under load",),
        partial(joining_and_leaving, events=5_000),
    ),
    Scenario(
        "kill-at-some-failpoints",
        ("kill -9 of each service between any two steps",),
        at_some_failpoints,
        needs=Needs(starts=TWO_DOORS),
    ),
    Scenario(
        "worker-joins-and-leaves",
        ("two workers join and leave under load",),
        one_joins_one_leaves,
    ),
    Scenario(
        "kill-in-short-time-lapse",
        ("kill -9 while days are judged",),
        partial(killed_in_time_lapse, days=15, kills=2),
        needs=Needs(starts=("detector-0", "alerts-0")),
    ),
    Scenario("crash-loop", ("crash loop",), crash_looping),
    Scenario(
        "kill-in-time-lapse",
        ("kill -9 while days are judged",),
        partial(killed_in_time_lapse, days=35, kills=5),
        needs=Needs(starts=("detector-0", "alerts-0")),
    ),
)
