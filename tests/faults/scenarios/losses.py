"""Logs that do not continue what was folded: deleted, made anew, partitioned otherwise."""

import asyncio
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from aiokafka.errors import KafkaError

from schemas import topics
from tests.faults.feeding import Noted
from tests.faults.load import http_only
from tests.faults.logs import Log, read, tail
from tests.faults.refusing import ended_refusing, refused
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.scenarios.damage import going_on, kit, loaded
from tests.faults.settling import rest, stamps_now
from tests.faults.world import World
from tests.platform import eventually

AHEAD = 3
"""Messages after the snapshot, at least, so that the log can be deleted beyond the next one."""

OF_ALERTS = {"usage": 60.0, "payments": 20.0, "contact": 20.0}
"""A load of which many alerts come."""


async def log_lost(world: World, rng: Random) -> None:
    """Lose the log in one way after the other, and put it back with the times that it had."""
    await loaded(world)
    stamps = await stamps_now(world)
    number = rng.randrange(world.partitions)
    tools, topic = kit(world), world.topic(topics.EVENTS)
    world.begin("ingest-0")
    await world.ready("ingest-0")
    async with world.feeding(600):
        await _beyond(world, topic, {number: stamps[number] + AHEAD})
    await world.end("ingest-0")
    kept = await tools.held(topic)

    await tools.delete_before(topic, {number: stamps[number] + AHEAD})
    where = f"events.v1 partition {number} begins at offset {stamps[number] + AHEAD}"
    await refused(world, "detector-0", where, f"ends at {stamps[number]}", "Restore them")
    await tools.renew(topic)
    await refused(world, "detector-0", "ends at offset 0", "Delete state.v1 with it, or restore")
    await _filled(world, topic, {one: len(messages) for one, messages in kept.items()})
    await refused(world, "detector-0", "this is another topic than the one that was folded")
    await tools.grow(topic, world.partitions + 1)
    for name in ("ingest-0", "detector-0"):
        await refused(world, name, f"{topic} has {world.partitions + 1} partitions")
    await tools.restore(topic, kept)
    await going_on(world)


async def log_lost_live(world: World, rng: Random) -> None:
    """Lose the log while a worker reads it: it must not go on with another one.

    Of a longer one it folds what lies beyond the stamp before it can know (test_log_watch.py).
    """
    await loaded(world)
    tools, topic = kit(world), world.topic(topics.EVENTS)
    kept = await tools.held(topic)
    for filled in rng.sample([True, False], 2):
        keeper = world.begin("detector-0")
        await world.ready("detector-0")
        await tools.renew(topic)
        if filled:
            await _filled(world, topic, {one: len(messages) for one, messages in kept.items()})
        await ended_refusing(world, "detector-0", keeper, "events.v1 partition")
        await tools.restore(topic, kept)
    await going_on(world)


async def _beyond(world: World, topic: str, offsets: Mapping[int, int]) -> None:
    """Wait until a log has a message at each of these offsets."""
    async with tail(world.kafka, topic, world.partitions) as log:

        async def there() -> bool:
            ends = await log.catch_up()
            return all(ends[number] > offset for number, offset in offsets.items())

        await eventually(there, within=60, what=f"messages beyond {offsets}")


async def _filled(world: World, topic: str, ends: Mapping[int, int]) -> None:
    """Let another topic have as many messages as the one that is gone."""
    for number, count in ends.items():
        await kit(world).write(topic, number, [(b"other", b"other")] * count)


async def count_changed(world: World, _: Random) -> None:
    """Set another partition count than the deployment was made with, and set it back."""
    await loaded(world, 800)
    told = str(world.partitions + 2)
    for name in ("ingest-0", "detector-0", "alerts-0"):
        world.always(name, EBBWATCH_PARTITIONS=told)
        await refused(world, name, f"has {world.partitions} partitions", told)
        world.always(name)
    await going_on(world)


async def log_begun_anew(world: World, _: Random) -> None:
    """Make the log anew, and delete the snapshot with it, as the detector says."""
    now = datetime.now(UTC)
    sent = world.load().events(1_500, now - timedelta(seconds=30), now, {"usage": 1})
    async with world.feeding([*http_only(sent)]):
        pass
    await world.settle()
    tools = kit(world)
    await tools.renew(world.topic(topics.EVENTS))
    await refused(world, "detector-0", "Delete state.v1 with it")
    await tools.renew(world.topic(topics.STATE))
    # What went with the topic is gone by decision; from here on everything counts.
    world.noted = Noted()
    await going_on(world, 1_500)


async def input_created_anew(world: World, _: Random) -> None:
    """Make an input topic anew: it stops, the others go on, until an operator accepts it."""
    await loaded(world)
    await world.verify()
    await kit(world).recreate(world.input_topic, world.input_partitions)
    # What it held is counted, and is nowhere any more to be compared with.
    world.noted.records.clear()
    for name in world.needs.starts:
        world.begin(name)
    await world.ready(*world.needs.starts)
    async with world.feeding(1_200) as feeding:
        await feeding.reached(0.2)
        await _stopped(world)
        wanted = "--created-anew", "--yes"
        told = await asyncio.to_thread(
            world.deployment.ebbwatch, "inputs", "reset", world.input, *wanted
        )
    world.input = f"{world.input}~2"
    if f"as {world.input!r}" not in told:
        raise NotExact([f"`inputs reset` does not say that it goes on as {world.input!r}: {told}"])


async def _stopped(world: World) -> None:
    """Wait until it is said of the input that it is stopped, and why."""

    def said() -> bool:
        told = world.deployment.ebbwatch("inputs", "list", code=1)
        return "STOPPED" in told and "was deleted and created anew" in told

    async def there() -> bool:
        return await asyncio.to_thread(said)

    await eventually(there, within=40, what="the input to be stopped")


async def alert_log_lost(world: World, rng: Random) -> None:
    """Lose the alert log in one way after the other, and put the broker's files back."""
    await loaded(world)
    number, first = await _more_alerts(world, rng)
    backup = await _backed_up(world)
    tools, topic = kit(world), world.topic(topics.ALERTS)
    ends = {one: len(log) and log[-1].offset + 1 for one, log in (await _committed(world)).items()}

    await tools.delete_before(topic, {number: first + 1})
    await refused(world, "alerts-0", f"alerts.v1 partition {number} begins at", "Restore them")
    await tools.renew(topic)
    await refused(world, "alerts-0", "ends at offset 0", "Delete cases.v1 with it, or restore")
    await _filled(world, topic, ends)
    await refused(world, "alerts-0", "this is another topic than the one that was folded")
    await tools.grow(topic, world.partitions + 1)
    for name in ("alerts-0", "detector-0"):
        await refused(world, name, f"{topic} has {world.partitions + 1} partitions")
    await _put_back(world, backup)
    await going_on(world)


async def _committed(world: World) -> Log:
    return await read(world.kafka, world.topic(topics.ALERTS), world.partitions, committed=True)


async def _more_alerts(world: World, rng: Random) -> tuple[int, int]:
    """Let alerts come that the desk does not know; return a partition and its first new one."""
    before = {number: len(log) for number, log in (await _committed(world)).items()}
    world.begin("ingest-0")
    world.begin("detector-0")
    await world.ready("ingest-0", "detector-0")
    now = datetime.now(UTC)
    load = world.load()
    sent = load.events(300, now - timedelta(seconds=30), now, OF_ALERTS)
    world.due += load.due
    async with world.feeding(sent):
        pass
    await rest(world)
    await world.end("detector-0")
    after = await _committed(world)
    number = rng.choice([one for one, log in after.items() if len(log) > before[one] + 1])
    return number, after[number][before[number]].offset


async def _backed_up(world: World) -> Path:
    """Copy all that the broker holds; it stands still meanwhile."""
    folder = world.broker.node.folder
    backup = folder.with_name("backup")
    await world.broker.end()
    await asyncio.to_thread(shutil.copytree, folder / "data", backup)
    await _started(world)
    return backup


async def _put_back(world: World, backup: Path) -> None:
    folder = world.broker.node.folder
    await world.broker.end()
    await asyncio.to_thread(shutil.rmtree, folder / "data")
    await asyncio.to_thread(shutil.move, backup, folder / "data")
    await _started(world)


async def _started(world: World) -> None:
    await world.broker.start()

    async def led() -> bool:
        try:
            return bool(await stamps_now(world))
        except KafkaError:
            return False

    await eventually(led, within=60, what="every partition to have a leader")


SCENARIOS = (
    Scenario(
        "log-lost",
        (
            "events.v1: deleted beyond the snapshot, created anew, another topic of the same end",
            "partition-count change: topic altered",
        ),
        log_lost,
    ),
    Scenario(
        "log-lost-live",
        ("events.v1: created anew under a worker, empty or as long",),
        log_lost_live,
        needs=Needs(within=240.0),
    ),
    Scenario(
        "partition-count-set-otherwise",
        ("partition-count change: setting",),
        count_changed,
        random=False,
    ),
    Scenario(
        "log-begun-anew",
        ("events.v1 created anew, state.v1 deleted with it",),
        log_begun_anew,
        random=False,
    ),
    Scenario(
        "input-created-anew",
        ("input topic created anew: stops with a clear error, `inputs reset` accepts it",),
        input_created_anew,
        random=False,
    ),
    Scenario(
        "alert-log-lost",
        ("alerts.v1: deleted beyond the snapshot, created anew, partitioned otherwise",),
        alert_log_lost,
        random=False,
        needs=Needs(broker="own", within=240.0),
    ),
)
