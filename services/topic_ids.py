"""Which topics there are, and whether one is still that of before: Kafka gives each an id.

A topic that was deleted and created at once has its old name, and another id. aiokafka 0.14 does
not ask for ids. Source: Kafka's protocol, Metadata (key 3), version 10; KIP-516.
"""

from collections.abc import Iterable
from io import BytesIO
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from services.kafka_clients import close
from services.kafka_requests import request

UNKNOWN: Final = ""
"""Of a topic whose broker knows of no ids: older than Kafka 2.8, or no Apache Kafka."""
_NO_ID: Final = bytes(16)
LEADERLESS: Final = frozenset({0, 5})
"""NONE and LEADER_NOT_AVAILABLE: the topic is there."""


class _Id(AbstractType[bytes]):  # type: ignore[misc]
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


_PARTITIONS: Final = CompactArray(
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("isr", CompactArray(Int32)),
    ("offline", CompactArray(Int32)),
    ("tags", TaggedFields),
)


_IDS: Final = request(
    3,
    10,
    Schema(
        (
            "topics",
            CompactArray(("id", _Id), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("create", Boolean),
        ("cluster_operations", Boolean),
        ("topic_operations", Boolean),
        ("tags", TaggedFields),
    ),
    Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("id", _Id),
                ("is_internal", Boolean),
                ("partitions", _PARTITIONS),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("operations", Int32),
        ("tags", TaggedFields),
    ),
    flexible=True,
)


async def topic_ids(kafka: str, names: Iterable[str]) -> dict[str, str]:
    """Return the ids of those topics that exist, over a connection of its own; as `ids_of`.

    Args:
        kafka: Bootstrap servers.
        names: Full names of topics.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka, request_timeout_ms=10_000)
    try:
        await admin.start()
        return await ids_of(admin, names)
    finally:
        await close(admin.close)


async def ids_of(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, str]:
    """Return the ids of those topics that exist.

    Args:
        admin: A connection.
        names: Full names of topics.

    Returns:
        Id by name, 32 hexadecimal digits; `UNKNOWN` where the broker knows of none.

    Raises:
        KafkaError: Kafka does not answer or refuses.
    """
    wanted = sorted(set(names))
    asked: list[tuple[bytes, str, dict[int, bytes]]] = [(_NO_ID, name, {}) for name in wanted]
    try:
        answer = await admin._send_request(_IDS(asked, False, False, False, {}))
    except NotImplementedError:
        existing = frozenset(await admin.list_topics())
        return {name: UNKNOWN for name in wanted if name in existing}
    return {
        name: UNKNOWN if id == _NO_ID else id.hex()
        for code, name, id, *_ in answer.topics
        if code in LEADERLESS
    }
