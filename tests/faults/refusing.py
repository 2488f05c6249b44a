"""Services that must refuse to run: they end with 78, say why, and change nothing."""

from typing import TYPE_CHECKING

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import topics
from services import topic_admin
from tests.faults.scenario import NotExact
from tests.platform import eventually

if TYPE_CHECKING:
    from tests.faults.keeper import Keeper
    from tests.faults.world import World

CONFIG = 78
WITHIN = 40.0
WRITTEN = (topics.EVENTS, topics.STATE, topics.ACCOUNTS, topics.ALERTS, topics.CASES)


async def refused(world: "World", name: str, *words: str) -> None:
    """Start a service that must not run as things are, and take what it says for right.

    Args:
        world: The world; no replica of the service runs.
        name: Such as `detector-0`.
        words: Must stand in the last line that it logs: what is wrong, and what to do.

    Raises:
        NotExact: It ran, ended otherwise, said something else, or moved the snapshot.
    """
    before = await _ends(world)
    await ended_refusing(world, name, world.begin(name), *words)
    after = await _ends(world)
    if after != before:
        text = f"{name} must not run and wrote: topics ended at {before}, now at {after}"
        raise NotExact([text])


async def ended_refusing(world: "World", name: str, keeper: "Keeper", *words: str) -> None:
    """Wait until a service refuses to run on, and take what it says for right.

    Args:
        world: The world.
        name: Such as `detector-0`.
        keeper: Of its process.
        words: Must stand in the last line that it logs: what is wrong, and what to do.

    Raises:
        NotExact: It ended otherwise, or said something else.
    """
    await eventually(lambda: keeper.over, within=WITHIN, what=f"{name} to refuse: {words[0]}")
    ended = keeper.exits[-1]
    said = last_line(world, name)
    wrong = [f"{name} does not say {word!r}, but {said!r}" for word in words if word not in said]
    if ended.code != CONFIG:
        wrong.append(f"{name} ended with {ended.code}, not with {CONFIG}: {said}")
    if wrong:
        raise NotExact(wrong)
    # It was to be: at the end only what nobody asked for is told.
    world.exits.remove(ended)


async def _ends(world: "World") -> dict[str, dict[int, int]]:
    """Return where every topic ends that a service writes into, by name and partition."""
    names = [world.topic(one) for one in WRITTEN]
    counts = await topic_admin.partition_counts(world.kafka)
    parts = [TopicPartition(name, number) for name in names for number in range(counts[name])]
    consumer = AIOKafkaConsumer(bootstrap_servers=world.kafka, group_id=None)
    await consumer.start()
    try:
        consumer.assign(parts)
        found = await consumer.end_offsets(parts)
    finally:
        await consumer.stop()
    return {
        name: {part.partition: end for part, end in found.items() if part.topic == name}
        for name in names
    }


def last_line(world: "World", name: str) -> str:
    """Return why the newest process of a service ended, as its log says."""
    lines = (world.folder / f"{name}.log").read_bytes().splitlines()
    for line in reversed(lines):
        if b'"process ends"' in line:
            return str(msgspec.json.decode(line).get("error", ""))
    return ""
