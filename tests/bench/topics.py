"""Takes a figure's topics away again where the broker is somebody's own."""

import contextlib
from collections.abc import AsyncIterator

from aiokafka.admin import AIOKafkaAdminClient

from tests.bench.figure import Setting


@contextlib.asynccontextmanager
async def removed(setting: Setting, prefix: str) -> AsyncIterator[None]:
    """Delete all topics with a prefix at the end of the block.

    A broker started for the bench goes away as a whole, and deleting would disturb what follows.

    Args:
        setting: Which broker.
        prefix: Begins the names; unique to one figure of one run.
    """
    try:
        yield
    finally:
        if setting.kafka_pid is None:
            await _delete(setting.kafka, prefix)


async def _delete(kafka: str, prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        ours = [name for name in await admin.list_topics() if name.startswith(prefix)]
        if ours:
            await admin.delete_topics(ours)
    finally:
        await admin.close()
