"""What no other scenario would notice: each was written for a sabotage that they all let pass."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas import topics
from tests.faults.frames import Api
from tests.faults.lapse import days_ago
from tests.faults.load import Sent
from tests.faults.logs import Group, tail
from tests.faults.proxy import Faults, Rewrite
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.scenarios.kills import TWO_DOORS
from tests.faults.settling import scrape, stamp, stamps_now
from tests.faults.shown import client
from tests.faults.world import World
from tests.platform import eventually

UNANSWERED_SECONDS = 3.0
"""The detector commits its position twice a second, and waits for an answer for ten."""

UNKNOWN = -1
"""Kafka's error that a producer does not repeat a request for: UNKNOWN_SERVER_ERROR."""

NO_FORWARDS = Rewrite(UNKNOWN, times=1_000, applied=False, who="ebbwatch-detector-0")
"""No envelope of the detector's own; its transactions have another producer."""

REPLAYED_AT_MOST = 20
"""Messages at or before the stamp that a worker may meet: about none, wherever it was told to go
on. One that went on at a position far back would meet thousands."""

BACKLOG = 12_000
"""Records: more than the bridge takes at once, and more than an envelope for each partition."""

SHORT_SECONDS = 0.1
LATENCY_SECONDS = 0.2
"""Each way: so that an envelope is still on its way when the next one is cut."""

BY_INPUT = "/usage"
"""The source that `inputs.toml` names: what it sends is masked when the input is late."""


async def transaction_unanswered(world: World, rng: Random) -> None:
    """Kafka does not answer when a transaction begins: what it is to hold counts as not done.

    The position that is committed beside it must not run ahead; then the worker is killed.
    """
    async with world.feeding(4_000) as feeding:
        await feeding.reached(rng.uniform(0.05, 0.3))
        world.proxy.set(Faults(withheld=frozenset({Api.ADD_PARTITIONS})))
        # The length of the fault, shorter than a request may take.
        await asyncio.sleep(UNANSWERED_SECONDS)
        await eventually(lambda: world.proxy.withheld > 0, within=60)
        ahead = await _committed_ahead(world)
        world.kill("detector-0")
        world.proxy.heal()
    if ahead:
        raise NotExact(ahead)


async def killed_while_kafka_is_slow(world: World, rng: Random) -> None:
    """Ingest dies with what is on its way to Kafka: nobody may have been told that it is taken."""
    world.proxy.set(Faults(latency=LATENCY_SECONDS))
    async with world.feeding(1_500, rate=400) as feeding:
        for share in sorted(rng.uniform(0.1, 0.9) for _ in range(4)):
            await feeding.reached(share)
            name = rng.choice(("ingest-0", "ingest-1"))
            await world.ready(name)
            world.kill(name)
        world.proxy.heal()


async def _committed_ahead(world: World) -> list[str]:
    """Return where a position is committed that no snapshot holds."""
    async with Group(world.kafka, _group(world)) as group:
        committed = await group.committed()
    # Read after it: a snapshot only moves on.
    stamps = await stamps_now(world)
    return [
        f"partition {number} is committed up to {offset - 1}, ahead of the snapshot at {durable}"
        for number, durable in stamps.items()
        if (offset := committed.get((_events(world), number), 0)) > durable + 1
    ]


def _group(world: World) -> str:
    return f"{world.prefix}detector"


def _events(world: World) -> str:
    return world.topic(topics.EVENTS)


async def committed_offsets_lie(world: World, rng: Random) -> None:
    """Positions are committed that are far ahead or far back; reading goes on after the stamps."""
    async with world.feeding(3_000) as feeding:
        await feeding.reached(rng.uniform(0.1, 0.4))
        await world.ready("detector-0")
        await world.end("detector-0")
        await feeding.further(0.2)
        ends = await _commit_somewhere(world, rng)
        keeper = world.begin("detector-0")
        before = len(keeper.exits)
        await eventually(partial(_past, world, ends, lambda: len(keeper.exits) > before), within=60)
        if len(keeper.exits) > before:
            raise NotExact([f"detector-0 ended with {keeper.exits[-1].code} of a wrong position"])
    again = sum(
        one.value
        for one in await scrape(world, "detector")
        if one.name == "ebbwatch_replayed_total"
    )
    if again > REPLAYED_AT_MOST:
        raise NotExact([f"{again:.0f} messages were replayed because of a wrong position"])


async def _commit_somewhere(world: World, rng: Random) -> dict[int, int]:
    """Commit the beginning or the end of each partition, as somebody's tool might; return ends."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=world.kafka, group_id=_group(world), enable_auto_commit=False
    )
    await consumer.start()
    try:
        parts = [TopicPartition(_events(world), number) for number in range(world.partitions)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        places = {part: rng.choice((0, end)) for part, end in ends.items()}

        async def committed() -> bool:
            try:
                await consumer.commit(places)
            except KafkaError:
                # The worker that ended belongs to the group until its session is over.
                return False
            return True

        await eventually(committed, within=40, what="wrong positions to be committed")
    finally:
        await consumer.stop()
    return {part.partition: end for part, end in ends.items()}


async def _past(world: World, ends: dict[int, int], ended: Callable[[], bool]) -> bool:
    stamps = await stamps_now(world)
    return ended() or all(durable >= ends[number] for number, durable in stamps.items())


async def forwards_refused(world: World, rng: Random) -> None:
    """Kafka takes no forwards for a while: no snapshot may say that what caused them is done.

    Folding goes on meanwhile. The worker is killed while they wait, and once more at the moment at
    which the snapshot that waited for them is written.
    """
    async with world.feeding(5_000) as feeding:
        await feeding.reached(rng.uniform(0.05, 0.2))
        await world.ready("detector-0")
        world.proxy.set(Faults(latency=SHORT_SECONDS, rewrite=NO_FORWARDS))
        await eventually(lambda: world.proxy.falsified > 0, within=60)
        await asyncio.sleep(rng.uniform(1.0, 2.0))
        world.kill("detector-0")
        world.proxy.heal()
        await world.ready("detector-0")
        await feeding.further(0.1)
        world.proxy.set(Faults(latency=SHORT_SECONDS, rewrite=NO_FORWARDS))
        await eventually(lambda: world.proxy.falsified > 0, within=60)
        await asyncio.sleep(rng.uniform(1.0, 2.0))
        await _kill_once_written(world)


async def _kill_once_written(world: World) -> None:
    """Let forwards through, and kill the worker when a snapshot of any partition is written."""
    topic = world.topic(topics.STATE)
    async with tail(world.kafka, topic, world.partitions, committed=True) as state:
        await state.catch_up()
        before = [stamp(state, number) for number in range(world.partitions)]
        world.proxy.set(Faults(latency=SHORT_SECONDS))

        async def moved() -> bool:
            await state.catch_up()
            return [stamp(state, number) for number in range(world.partitions)] != before

        await eventually(moved, within=60, what="a snapshot to be written")
        world.kill("detector-0")
    world.proxy.heal()


async def produce_overtaken(world: World, rng: Random) -> None:
    """Kafka is slow, and refuses an envelope, and then the first one of the producer begun anew.

    Of a producer that it does not know Kafka takes any envelope: the next one of the partition must
    not be on its way before the refused one is in the log. What waits in the input topic fills
    several envelopes at once.
    """
    await world.end("ingest-0")
    load, now = world.load(), datetime.now(UTC)
    sent = load.events(BACKLOG, now - timedelta(seconds=30), now, {"usage": 1.0})
    async with world.feeding([Sent("input", one.event) for one in sent], rate=20_000):
        pass
    world.proxy.set(Faults(latency=LATENCY_SECONDS))
    world.begin("ingest-0")
    await world.ready("ingest-0")
    refused = Rewrite(UNKNOWN, applied=False, who="ingest")
    for _ in range(3):
        world.proxy.set(Faults(latency=LATENCY_SECONDS, rewrite=refused))
        await eventually(lambda: world.proxy.falsified > 0, within=60)
        begun = world.proxy.passed[Api.INIT_PRODUCER_ID]
        await eventually(partial(_begun_since, world, begun), within=60)
        world.proxy.set(Faults(latency=LATENCY_SECONDS, rewrite=refused))
        await eventually(lambda: world.proxy.falsified > 0, within=60)
        await asyncio.sleep(rng.uniform(0, 0.3))
    world.proxy.heal()


def _begun_since(world: World, producers: int) -> bool:
    return world.proxy.passed[Api.INIT_PRODUCER_ID] > producers


async def ticks_out_of_order(world: World, rng: Random) -> None:
    """Two replicas of ingest tick, one of which is behind by hours: the most that any said holds.

    So a day waits for an input that is late by less than six hours, and nothing of it is masked.
    """
    begin, end = days_ago(14), datetime.now(UTC)
    load = world.load()
    sent = [_by_input(one) for one in load.events(750, begin, end)]
    world.due += load.due
    behind = [timedelta(hours=hours) for hours in (0, 0, 3, 30)]
    lapse = world.lapse()
    lapse.until = lambda _, at: at - round(rng.choice(behind).total_seconds() * 1e6)
    async with lapse.writing(sent, begin, end):
        await lapse.reached(rng.uniform(0.2, 0.8))
        world.kill("detector-0")
    world.begin("ingest-0")
    await world.ready("ingest-0")


def _by_input(sent: Sent) -> Sent:
    """Let what happens to every other account come from the source of the input."""
    named = str(sent.event.get("subject", ""))
    if not named.endswith(("0", "2", "4", "6", "8")):
        return sent
    return Sent(sent.way, sent.event | {"source": BY_INPUT})


async def view_flushed(world: World, rng: Random) -> None:
    """Redis is emptied: every case is listed again, also those that nothing has changed since."""
    async with world.feeding(2_500) as feeding:
        await feeding.reached(rng.uniform(0.5, 0.9))
        async with client(world) as redis:
            await redis.flushall()


SCENARIOS = (
    Scenario(
        "transaction-unanswered",
        ("answers withheld between transaction and acknowledgement",),
        transaction_unanswered,
        needs=Needs(proxied=("detector",)),
    ),
    Scenario(
        "killed-while-kafka-is-slow",
        ("kill -9 of ingest between acknowledgement and answer",),
        killed_while_kafka_is_slow,
        needs=Needs(proxied=("ingest",), starts=TWO_DOORS),
    ),
    Scenario(
        "committed-offsets-lie",
        ("Kafka's committed offset is wrong",),
        committed_offsets_lie,
    ),
    Scenario(
        "forwards-refused",
        ("forwards refused while what caused them is folded",),
        forwards_refused,
        needs=Needs(proxied=("detector",)),
    ),
    Scenario(
        "produce-overtaken",
        ("produce errors, while the next envelope is on its way",),
        produce_overtaken,
        needs=Needs(proxied=("ingest",), partitions=1),
    ),
    Scenario(
        "ticks-out-of-order",
        ("late inputs: a day waits for them, whichever replica tells of them",),
        ticks_out_of_order,
        needs=Needs(starts=("detector-0", "alerts-0")),
    ),
    Scenario("view-flushed", ("FLUSHALL",), view_flushed),
)
