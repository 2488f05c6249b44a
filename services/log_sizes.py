"""How many bytes a topic's partitions take on the brokers, asked once in a while."""

import asyncio
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String

from services.kafka_clients import ANSWER_SECONDS, close
from services.kafka_requests import request
from services.runtime import get_logger

LOOK_SECONDS: Final = 60.0

_log = get_logger(__name__)


_SIZES: Final = request(
    35,
    1,
    Schema(("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32))))),
    Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("error_code", Int16),
                ("log_dir", String("utf-8")),
                (
                    "topics",
                    Array(
                        ("topic", String("utf-8")),
                        (
                            "partitions",
                            Array(
                                ("partition", Int32),
                                ("size", Int64),
                                ("offset_lag", Int64),
                                ("is_future", Boolean),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    ),
)
"""Source: Kafka's protocol, DescribeLogDirs version 1; aiokafka has none of its own."""


class LogSizes:
    """The size of each partition of a topic on disk.

    Args:
        kafka: Bootstrap servers.
        topic: Full name.

    Attributes:
        bytes: By partition, the largest replica's, as it was when asked last; empty where the
            brokers do not tell (asking needs the right to describe the cluster).
        segment: How large a segment of the topic grows before it can be compacted, bytes; 0 while
            unknown.
    """

    def __init__(self, kafka: str, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._told = False
        self.bytes: dict[int, int] = {}
        self.segment = 0

    async def run(self) -> None:
        """Ask once a minute, until cancelled."""
        while True:
            try:
                await self.look()
            except (KafkaError, OSError, TimeoutError) as error:
                self.bytes = {}
                if not self._told:
                    self._told = True
                    _log.info("sizes of logs not told", topic=self._topic, error=repr(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Ask all brokers.

        Raises:
            KafkaError: Kafka does not answer or refuses.
            TimeoutError: It does not answer in time.
        """
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka, request_timeout_ms=10_000)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await admin.start()
                self.segment = await self._segment(admin)
                self.bytes = await self._sizes(admin)
        finally:
            await close(admin.close)

    async def _segment(self, admin: Any) -> int:
        topic = ConfigResource(
            ConfigResourceType.TOPIC, self._topic, configs={"segment.bytes": None}
        )
        for answer in await admin.describe_configs([topic]):
            for *_, entries in answer.resources:
                for name, value, *_ in entries:
                    if name == "segment.bytes":
                        return int(value)
        return 0

    async def _sizes(self, admin: Any) -> dict[int, int]:
        (topic,) = await admin.describe_topics([self._topic])
        numbers = [each["partition"] for each in topic["partitions"]]
        found: dict[int, int] = {}
        for broker in admin._client.cluster.brokers():
            asked = _SIZES([(self._topic, numbers)])
            answer = await admin._send_request_to_node(broker.nodeId, asked)
            for _, _, topics in answer.results:
                for _, partitions in topics:
                    for number, size, _, _ in partitions:
                        found[number] = max(size, found.get(number, 0))
        return found
