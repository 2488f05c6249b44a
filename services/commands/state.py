"""Reads what the detector has written of a partition, for the commands that show it."""

from typing import TYPE_CHECKING

from schemas import topics
from services.commands.terminal import fail
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from services.detector.partition import Partition


async def load_partition(known: ServiceSettings, number: int) -> "Partition":
    """Return a partition as its newest snapshot has it, or end with 1 where it cannot be read.

    Args:
        known: Which deployment.
        number: The partition.
    """
    from aiokafka.errors import KafkaError

    from services.detector.partition import Partition
    from services.snapshots import LoadTooSlow, load

    topic = topics.full_name(topics.STATE, known.prefix)
    try:
        snapshot = await load(known.kafka, topic, number)
    except (KafkaError, LoadTooSlow, OSError) as error:
        fail(f"{topic} cannot be read at {known.kafka}: {error}; is Kafka running?")
    try:
        return Partition.restore(number, known.partitions, snapshot)
    except ValueError as error:
        fail(f"{topic} partition {number}: {error}; once more, in case it is being written now")
