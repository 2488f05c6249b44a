"""Processes that stand still: frozen at any moment or as they begin to write, or held up."""

from functools import partial
from random import Random

from services.runtime import ExitCode
from tests.faults.dripping import dripping
from tests.faults.logs import Group, tail
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.scenarios.kills import TWO_DOORS
from tests.faults.settling import scrape
from tests.faults.world import World
from tests.platform import eventually

SESSION_SECONDS = 4.0
"""Of every service in a world; see `world.SETTINGS`."""

STUCK_SECONDS = 9.0
"""After which the watchdog of a worker that is stalled ends it: a minute of a deployment's."""

STALLS_SECONDS = 30.0
"""Longer than that."""


async def frozen(world: World, rng: Random, service: str) -> None:
    """Freeze a replica past its session at any moment; the woken one must not disturb.

    It need not end: what was all written when it froze has nothing that could be refused.

    Args:
        world: The world.
        rng: Decides when.
        service: Whose replica; a second one is started, and takes over where there is an owner.
    """
    name, other = _two(world, service)
    async with world.feeding(4_500) as feeding:
        await world.ready(name, other)
        await feeding.further(rng.uniform(0.02, 0.15))
        world.freeze(name)
        if service == "ingest":
            # The other one reads on where it stood, before the load ends.
            await _read_by_another(world)
        else:
            await _owns_all(world, other)
        if not world.keepers[name].frozen:
            raise NotExact([f"{name} did not stand still until {other} had taken over"])
        world.thaw(name)


async def _read_by_another(world: World) -> None:
    """Wait until all is forwarded that every partition of the input topic has by now."""
    async with (
        tail(world.kafka, world.input_topic, world.input_partitions) as records,
        Group(world.kafka, f"{world.prefix}ingest") as group,
    ):
        ends = await records.catch_up()

        async def forwarded() -> bool:
            done = await group.committed()
            return all(
                done.get((world.input_topic, number), 0) >= end for number, end in ends.items()
            )

        await eventually(forwarded, within=40, what="another replica to read on")


async def frozen_writing(world: World, rng: Random, service: str) -> None:
    """Freeze an owner as it begins to write; another takes over, and the woken one is fenced."""
    name, other = _two(world, service)
    world.arm(name, f"snapshot.cut=freeze@{rng.randrange(2, 8)}")
    world.kill(name)
    async with world.feeding(4_500):
        keeper = world.keepers[name]
        await eventually(lambda: keeper.frozen, within=60, what=f"{name} to stand still")
        ends = len(keeper.exits)
        await _owns_all(world, other)
        world.thaw(name)
        ended = await world.died(name, ends + 1, within=30)
        if ended.code != ExitCode.BUG:
            raise NotExact([f"the woken {name} ended with {ended.code}, not with 70"])


def _two(world: World, service: str) -> tuple[str, str]:
    """Return the names of two replicas; the second one is started if there is none."""
    name, other = f"{service}-0", f"{service}-1"
    if other not in world.keepers:
        world.begin(other)
    return name, other


async def _owns_all(world: World, name: str) -> None:
    async def taken_over() -> bool:
        samples = await scrape(world, name)
        return len([one for one in samples if one.name == "ebbwatch_stamp"]) == world.partitions

    await eventually(taken_over, within=40, what=f"{name} to own every partition")


async def stalled(world: World, rng: Random) -> None:
    """Let the event loop of one worker of two stand still: for less than the watchdog's patience.

    It goes on then, though its session may be over. What stands for longer is ended with 75.
    """
    name = "detector-0"
    world.begin("detector-1")
    async with dripping(world, rate=400):
        await _stalls(world, name, f"stall:{SESSION_SECONDS * 1.5}@{rng.randrange(5, 20)}")
        pid = world.keepers[name].pid
        await world.ready(name)
        if world.keepers[name].pid != pid:
            ended = world.keepers[name].exits[-1]
            raise NotExact([f"{name} stood still for a moment and ended with {ended.code}"])
        await _stalls(world, name, f"stall:{STALLS_SECONDS}@{rng.randrange(5, 20)}")
        ended = await world.died(name, len(world.keepers[name].exits) + 1, within=STALLS_SECONDS)
        if ended.code != ExitCode.STUCK:
            raise NotExact([f"{name} stood still for long and ended with {ended.code}, not 75"])
    if more := [one for one in world.exits if one.code == ExitCode.STUCK and one != ended]:
        raise NotExact([f"{one.name} ended with 75 and had not stood still" for one in more])


async def _stalls(world: World, name: str, action: str) -> None:
    """Start a service anew that then stands still while it folds."""
    world.arm(name, f"detector.fold={action}")
    world.kill(name)
    await world.struck(name)


SCENARIOS = (
    Scenario(
        "freeze-detector",
        ("zombie worker",),
        partial(frozen_writing, service="detector"),
        ends=("detector 70",),
    ),
    Scenario(
        "freeze-alerts",
        ("zombie replica of the desk",),
        partial(frozen_writing, service="alerts"),
        ends=("alerts 70",),
    ),
    *(
        Scenario(
            f"freeze-{service}-at-random",
            (f"replica of {service} that stands still at any moment",),
            partial(frozen, service=service),
            needs=Needs(starts=TWO_DOORS),
            ends=() if service == "ingest" else (f"{service} 70",),
        )
        for service in ("detector", "alerts", "ingest")
    ),
    Scenario(
        "stall-detector",
        ("event-loop stall",),
        stalled,
        needs=Needs(settings={"EBBWATCH_DETECTOR_STUCK_SECONDS": f"{STUCK_SECONDS:g}"}),
        ends=("detector 75",),
    ),
)
