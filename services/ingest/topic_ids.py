"""Which topics there are, and whether one is still that of before: Kafka gives each an id.

A topic that was deleted and created at once has its old name, and another id. aiokafka 0.14 does
not ask for ids. Source: Kafka's protocol, Metadata (key 3), version 10; KIP-516.
"""

from collections.abc import Iterable
from io import BytesIO
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
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
from services.topic_admin import partition_counts

UNKNOWN: Final = bytes(16)
"""Of a topic whose broker knows of no ids: older than Kafka 2.8, or no Apache Kafka."""
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


class _Answer(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
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
    )


class _Struct(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _Answer
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("id", _Id), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("create", Boolean),
        ("cluster_operations", Boolean),
        ("topic_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Naming(Request[_Struct]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, names: Iterable[str]) -> None:
        self._topics: list[tuple[bytes, str, dict[int, bytes]]] = [
            (UNKNOWN, name, {}) for name in names
        ]

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._topics, False, False, False, {})


async def topic_ids(kafka: str, names: Iterable[str]) -> dict[str, bytes]:
    """Return the ids of those topics that exist, over a connection of its own.

    Args:
        kafka: Bootstrap servers.
        names: Full names of topics.

    Returns:
        Id by name, 16 bytes; `UNKNOWN` where the broker knows of none.

    Raises:
        KafkaError: Kafka does not answer or refuses.
    """
    wanted = sorted(set(names))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka, request_timeout_ms=10_000)
    try:
        await admin.start()
        answer = await admin._send_request(_Naming(wanted))
    except NotImplementedError:
        existing = await partition_counts(kafka)
        return {name: UNKNOWN for name in wanted if name in existing}
    finally:
        await close(admin.close)
    return {name: id for code, name, id, *_ in answer.topics if code in LEADERLESS}
