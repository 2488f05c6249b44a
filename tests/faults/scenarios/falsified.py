"""What Kafka says to the services, falsified: errors that a real one will not produce on demand."""

import dataclasses
from functools import partial
from itertools import product
from random import Random

from tests.faults.frames import Api
from tests.faults.proxy import Faults, Rewrite
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.scenarios.kills import feed_until
from tests.faults.world import World

ALL = ("ingest-0", "detector-0", "alerts-0")

FOR_NOW = {6: "not leader", 7: "request timed out", 19: "not enough replicas"}
FOR_GOOD = {10: "message too large", 47: "invalid epoch", 90: "fenced"}
"""Kafka's error codes."""

LOADS, NOT_AVAILABLE, NOT_COORDINATOR = 14, 15, 16
UNKNOWN_PARTITION, NOT_LEADER = 3, 6
"""Kafka's error codes."""

MOVED = {
    Api.FIND_COORDINATOR: (NOT_AVAILABLE,),
    Api.JOIN_GROUP: (LOADS, NOT_AVAILABLE, NOT_COORDINATOR),
    Api.SYNC_GROUP: (NOT_AVAILABLE, NOT_COORDINATOR),
    Api.HEARTBEAT: (NOT_AVAILABLE, NOT_COORDINATOR),
    Api.OFFSET_COMMIT: (LOADS, NOT_AVAILABLE, NOT_COORDINATOR),
    Api.INIT_PRODUCER_ID: (LOADS, NOT_AVAILABLE, NOT_COORDINATOR),
    Api.ADD_PARTITIONS: (LOADS, NOT_AVAILABLE, NOT_COORDINATOR),
    Api.END_TXN: (LOADS, NOT_AVAILABLE, NOT_COORDINATOR),
    Api.FETCH: (UNKNOWN_PARTITION, NOT_LEADER),
    Api.LIST_OFFSETS: (UNKNOWN_PARTITION, NOT_LEADER),
}
"""What Kafka answers while a coordinator or a leader moves to another broker, and before its
clients know of it; of `Produce` see `FOR_NOW`."""

AT_THE_START = frozenset(
    {
        Api.FIND_COORDINATOR,
        Api.JOIN_GROUP,
        Api.SYNC_GROUP,
        Api.INIT_PRODUCER_ID,
        Api.LIST_OFFSETS,
    }
)
"""Asked only when a service starts or the group meets."""

DETECTOR_STATE, ALERTS_STATE = "state.v1-", "cases.v1-"
"""What stands in the transactional ids of either service; see their `store.py`."""


async def refused_for_now(world: World, rng: Random) -> None:
    """Let Kafka say that records are not taken, which they are or are not; nobody may end of it."""
    cases = list(product(("ingest", DETECTOR_STATE, ALERTS_STATE), FOR_NOW))
    for who, code in rng.sample(cases, len(cases)):
        nth, times, applied = rng.randrange(1, 4), rng.randrange(1, 4), rng.random() < 0.5
        rewrite = Rewrite(code, nth=nth, times=times, applied=applied, who=who)
        await _falsify(world, rewrite)
    if world.exits:
        raise NotExact([f"{one.name} ended with {one.code}" for one in world.exits])


async def _falsify(world: World, rewrite: Rewrite) -> None:
    """Feed until as many answers were falsified as were to be."""
    world.proxy.set(Faults(rewrite=rewrite))
    await feed_until(world, lambda: world.proxy.falsified >= rewrite.times, events=250)
    world.proxy.heal()


async def refused_for_good(world: World, rng: Random) -> None:
    """Let Kafka say what no repetition mends: the process ends with 70, and nothing is lost."""
    cases = [*product((DETECTOR_STATE, ALERTS_STATE), FOR_GOOD), ("ingest", 10)]
    names = {DETECTOR_STATE: "detector-0", ALERTS_STATE: "alerts-0", "ingest": "ingest-0"}
    for who, code in rng.sample(cases, len(cases)):
        name = names[who]
        await world.ready(name)
        ends = len(world.keepers[name].exits)
        nth, applied = rng.randrange(1, 4), rng.random() < 0.5
        world.proxy.set(Faults(rewrite=Rewrite(code, nth=nth, applied=applied, who=who)))
        await feed_until(world, partial(_ended, world, name, ends), events=250)
        world.proxy.heal()
        told = world.keepers[name].exits[ends]
        if told.code != 70:
            raise NotExact([f"{name} ended with {told.code} of error {code}, not with 70"])


def _ended(world: World, name: str, ends: int) -> bool:
    return len(world.keepers[name].exits) > ends


async def fenced_ingest(world: World, rng: Random) -> None:
    """Let Kafka tell ingest's producer that it is fenced: it is replaced, and goes on."""
    for code, applied in rng.sample(list(product((47, 90), (True, False))), 4):
        await _falsify(world, Rewrite(code, nth=rng.randrange(1, 3), applied=applied, who="ingest"))
    if world.exits:
        raise NotExact([f"{one.name} ended with {one.code}" for one in world.exits])


async def moved(world: World, rng: Random) -> None:
    """Let Kafka say, of one request after the other, that another broker is to be asked now."""
    for api in rng.sample(list(MOVED), len(MOVED)):
        code = rng.choice(MOVED[api])
        rewrite = Rewrite(code, times=rng.randrange(1, 4), apis=frozenset({api}))
        world.proxy.set(Faults(rewrite=rewrite))
        if api in AT_THE_START:
            world.kill(rng.choice(("detector-0", "alerts-0")))
        await feed_until(world, lambda: world.proxy.falsified >= 1, events=250)
        await world.ready(*ALL)
        world.proxy.heal()


PROXY = Needs(
    proxied=("ingest", "detector", "alerts"), settings={"EBBWATCH_INGEST_DEADLINE_SECONDS": "3"}
)

SCENARIOS = (
    Scenario(
        "produce-refused-for-now",
        ("produce errors, retriable",),
        refused_for_now,
        needs=PROXY,
    ),
    Scenario(
        "produce-refused-for-good",
        ("produce errors, fatal",),
        refused_for_good,
        needs=dataclasses.replace(PROXY, within=240),
        ends=("ingest 70", "detector 70", "alerts 70"),
    ),
    Scenario("ingest-fenced", ("produce errors, fatal",), fenced_ingest, needs=PROXY),
    Scenario("leaders-move", ("coordinator move", "leader move"), moved, needs=PROXY),
)
