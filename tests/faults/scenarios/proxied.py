"""The network between the services and Kafka, and what Kafka says: delayed, broken, falsified."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

from tests.faults.asking import asking
from tests.faults.frames import Api
from tests.faults.proxy import Faults, Rewrite
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.scenarios.broker import UNHEARD
from tests.faults.scenarios.falsified import ALL, FOR_GOOD, FOR_NOW, MOVED, PROXY
from tests.faults.settling import scrape
from tests.faults.world import World
from tests.platform import eventually

ROUND_TRIP_SECONDS = 0.5
"""Source: issue 5 and the promise's table, "slow (RTT 500 ms)"."""

REQUEST_SECONDS = 10.0
"""Of every client of ours; see `services.snapshots` and `services.publishing.producer`."""

FAULTS = 10
"""In a row, of up to three seconds each."""

Fault = Callable[[World, Random], Awaitable[None]]


async def slow(world: World, rng: Random) -> None:
    """Let every answer take half a second, and kill one service meanwhile."""
    async with world.feeding(2_500) as feeding, asking(world):
        await feeding.reached(rng.uniform(0.05, 0.2))
        world.proxy.set(Faults(latency=ROUND_TRIP_SECONDS / 2))
        await feeding.further(0.2)
        world.kill(rng.choice(ALL))
        await feeding.further(0.3)
    world.proxy.heal()
    await world.ready(*ALL)


async def broken(world: World, rng: Random) -> None:
    """Break connections in every way there is, one after the other, under load."""
    ways: list[Fault] = [_reset, _end, _half_open, _throttle, _cut, _refuse]
    async with world.feeding(6_000) as feeding, asking(world):
        for way in rng.sample(ways, len(ways)):
            await feeding.further(rng.uniform(0.02, 0.08))
            await way(world, rng)
            world.proxy.heal()


async def at_random(world: World, rng: Random) -> None:
    """Let one fault follow the other, whatever they are, and kill a service now and then."""
    async with world.feeding(6_000) as feeding, asking(world):
        await feeding.reached(0.05)
        for _ in range(FAULTS):
            world.proxy.set(_any_fault(rng))
            await asyncio.sleep(rng.uniform(0, 3))
            if rng.random() < 0.3:
                rng.choice((world.proxy.reset, world.proxy.drop))()
            if rng.random() < 0.2:
                world.kill(rng.choice(ALL))
            if rng.random() < 0.5:
                world.proxy.heal()
                await asyncio.sleep(rng.uniform(0, 1))
        world.proxy.heal()


def _any_fault(rng: Random) -> Faults:
    falsified = rng.choice([*MOVED, Api.PRODUCE, Api.PRODUCE])
    codes = MOVED.get(falsified, (*FOR_NOW, *FOR_GOOD))
    applied = falsified != Api.PRODUCE or rng.random() < 0.5
    apis = frozenset({falsified})
    times = rng.randrange(1, 6)
    return rng.choice(
        (
            Faults(latency=rng.uniform(0.01, 0.5)),
            Faults(rate=rng.uniform(5_000, 100_000)),
            Faults(hole=True),
            Faults(withheld=frozenset(rng.sample(list(Api), rng.randrange(1, 4)))),
            Faults(cut_after=rng.randrange(100, 20_000)),
            Faults(refusing=True),
            Faults(rewrite=Rewrite(rng.choice(codes), 1, times, applied, apis)),
            Faults(rewrite=Rewrite(rng.choice(codes), 1, times, applied, apis), latency=0.05),
        )
    )


async def _reset(world: World, rng: Random) -> None:
    for _ in range(rng.randrange(1, 4)):
        world.proxy.reset()
        await asyncio.sleep(rng.uniform(0, 0.3))


async def _end(world: World, rng: Random) -> None:
    world.proxy.drop()


async def _half_open(world: World, rng: Random) -> None:
    """Nothing comes through, and nobody is told; then all of it does, or the connection breaks."""
    world.proxy.set(Faults(hole=True))
    await asyncio.sleep(rng.uniform(1, 6))
    if rng.random() < 0.5:
        world.proxy.reset()


async def _throttle(world: World, rng: Random) -> None:
    world.proxy.set(Faults(rate=rng.uniform(8_000, 50_000)))
    await asyncio.sleep(3)


async def _cut(world: World, rng: Random) -> None:
    """Every connection breaks in the middle of an answer, however often it is opened again."""
    world.proxy.set(Faults(cut_after=rng.randrange(500, 5_000)))
    await asyncio.sleep(2)


async def _refuse(world: World, rng: Random) -> None:
    world.proxy.set(Faults(refusing=True))
    world.proxy.reset()
    await asyncio.sleep(2)


async def unanswered(world: World, rng: Random) -> None:
    """Keep answers back for longer than any request may take, some requests after the other."""
    groups = (
        {Api.PRODUCE},
        {Api.END_TXN},
        {Api.ADD_PARTITIONS},
        {Api.FETCH, Api.METADATA},
        {Api.HEARTBEAT, Api.OFFSET_COMMIT},
    )
    async with world.feeding(3_000) as feeding, asking(world):
        # Two take long enough; of three seeds in a row each group has its turn.
        for apis in (groups[2 * world.seed % 5], groups[(2 * world.seed + 1) % 5]):
            await feeding.further(rng.uniform(0.05, 0.2))
            world.proxy.set(Faults(withheld=frozenset(apis)))
            await asyncio.sleep(REQUEST_SECONDS + rng.uniform(0.5, 3))
            if not world.proxy.withheld:
                raise NotExact([f"no answer to {sorted(apis)} was withheld: nothing was shown"])
            if rng.random() < 0.5:
                # The answers never come.
                world.proxy.reset()
            world.proxy.heal()


async def outcome_unknown(world: World, rng: Random) -> None:
    """Let no answer come about a transaction that Kafka has ended, or opened, until it is too late.

    Whoever waits for it ends, and the one who takes over asks Kafka how it ended.
    """
    apis = frozenset({(Api.END_TXN, Api.ADD_PARTITIONS)[world.seed % 2]})
    async with world.feeding(3_000) as feeding:
        await feeding.reached(rng.uniform(0.1, 0.5))
        world.proxy.set(Faults(withheld=apis))
        told = await world.died("detector-0", within=60)
        world.proxy.heal()
    if told.code not in (70, 75):
        raise NotExact([f"detector-0 ended with {told.code}, not with 70 or 75"])


async def load_too_slow(world: World, rng: Random) -> None:
    """Let one worker never get its snapshots: it ends before the group would go on without it.

    Another one joins meanwhile, and must get its share.
    """
    name, other = "detector-0", "detector-1"
    async with world.feeding(4_000) as feeding:
        await feeding.reached(rng.uniform(0.1, 0.4))
        world.always(name, EBBWATCH_KAFKA=world.broker.proxied_address)
        world.proxy.set(Faults(withheld=frozenset({Api.FETCH})))
        world.kill(name)
        await world.died(name, times=2)
        world.begin(other)
        await eventually(partial(_owns_some, world, other), within=60, what=f"{other} to own some")
        world.proxy.heal()
    await world.ready(name, other)
    wrong = [one for one in world.keepers[name].exits[1:] if one.code != 75]
    if wrong:
        raise NotExact([f"{one.name} ended with {one.code}, not with 75" for one in wrong])


async def _owns_some(world: World, name: str) -> bool:
    samples = await scrape(world, name)
    return any(one.name == "ebbwatch_stamp" for one in samples)


HASTY = {"EBBWATCH_DETECTOR_LOAD_SECONDS": "5"}
IMPATIENT = {"EBBWATCH_DETECTOR_STUCK_SECONDS": "12", "EBBWATCH_ALERTS_STUCK_SECONDS": "12"}

SCENARIOS = (
    Scenario("broker-slow", ("broker slow (RTT 500 ms)",), slow, needs=PROXY),
    Scenario(
        "connections-break",
        ("connections reset, half-open, throttled, cut, refused",),
        broken,
        needs=PROXY,
        ends=UNHEARD,
    ),
    Scenario(
        "network-at-random",
        ("connections reset, half-open, throttled, cut, refused", "answers delayed or falsified"),
        at_random,
        needs=PROXY,
        ends=UNHEARD,
    ),
    Scenario(
        "answers-withheld",
        ("answers withheld for longer than the request timeout",),
        unanswered,
        needs=PROXY,
        ends=UNHEARD,
    ),
    Scenario(
        "outcome-unknown",
        ("answers to EndTxn or AddPartitionsToTxn withheld",),
        outcome_unknown,
        needs=dataclasses.replace(PROXY, settings=IMPATIENT),
        ends=(*UNHEARD, "detector 75", "alerts 75"),
    ),
    Scenario(
        "load-too-slow",
        ("load longer than the rebalance timeout",),
        load_too_slow,
        needs=Needs(settings=HASTY),
        ends=("detector 75",),
    ),
)
