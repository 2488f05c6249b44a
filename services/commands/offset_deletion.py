"""Deletes what a consumer group has committed of a topic; aiokafka 0.14 has no call for that.

The broker does it also while the group has members, as long as none of them reads the topic:
ingest leaves a stopped input out. Source: Kafka's protocol, OffsetDelete (key 47), version 0.
"""

from collections.abc import Iterable
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

from services.kafka_clients import close
from services.kafka_requests import request

STILL_READ: Final = 86
"""GROUP_SUBSCRIBED_TO_TOPIC: a member of the group reads the topic."""


class StillRead(Exception):
    """A member of the group reads the topic, so that nothing may be deleted."""


_DELETION: Final = request(
    47,
    0,
    Schema(
        ("group", String("utf-8")),
        ("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))),
    ),
    Schema(
        ("error_code", Int16),
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                ("partitions", Array(("partition", Int32), ("error_code", Int16))),
            ),
        ),
    ),
)


async def delete_offsets(kafka: str, group: str, topic: str, partitions: Iterable[int]) -> None:
    """Delete what a group has committed of some partitions; what is not there is no error.

    Args:
        kafka: Bootstrap servers.
        group: Name of the group.
        topic: Full name of the topic.
        partitions: Its partitions.

    Raises:
        StillRead: A member of the group reads the topic.
        KafkaError: Kafka refuses, or does not answer.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka, request_timeout_ms=10_000)
    try:
        await admin.start()
        node = await admin.find_coordinator(group)
        asked = _DELETION(group, [(topic, list(partitions))])
        answer = await admin._send_request(asked, node)
    finally:
        await close(admin.close)
    codes = [code for _, some in answer.topics for _, code in some]
    for code in (answer.error_code, *codes):
        if code == STILL_READ:
            raise StillRead(f"group {group} reads {topic}")
        if code:
            raise for_code(code)(f"offsets of group {group} in {topic} cannot be deleted")
