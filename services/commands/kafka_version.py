"""Which Kafka the brokers are, as far as they tell.

A broker names the newest metadata version that it can do; each release has its own. Source: Kafka's
protocol, ApiVersions (key 18), version 3; KIP-584 for features; `MetadataVersion` of Apache Kafka.
"""

from io import BytesIO
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from services.kafka_requests import request

SUPPORTED: Final = 0
"""The tag of the features that a broker can do."""
METADATA: Final = "metadata.version"
RELEASES: Final = ((28, "4.2 or newer"), (26, "4.1"), (22, "4.0"), (21, "3.9"), (20, "3.8"))
"""The lowest newest level of each release, the newest release first."""
OLDER: Final = "older than 3.8"

_FEATURES: Final = CompactArray(
    ("name", CompactString("utf-8")),
    ("lowest", Int16),
    ("newest", Int16),
    ("tags", TaggedFields),
)


_VERSIONS: Final = request(
    18,
    3,
    Schema(
        ("name", CompactString("utf-8")),
        ("version", CompactString("utf-8")),
        ("tags", TaggedFields),
    ),
    Schema(
        ("error_code", Int16),
        (
            "apis",
            CompactArray(
                ("key", Int16), ("lowest", Int16), ("newest", Int16), ("tags", TaggedFields)
            ),
        ),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    ),
    flexible=True,
    # Of all flexible answers this one alone has the old header: KIP-511.
    old_header=True,
)


async def version(admin: AIOKafkaAdminClient) -> str:
    """Return the release of a broker, such as `4.1`, or what is known of it."""
    answer = await admin._send_request(_VERSIONS("ebbwatch", "1", {}))
    raw = answer.tags.get(SUPPORTED, b"")
    features = _FEATURES.decode(BytesIO(raw)) if raw else []
    level = next((newest for name, _, newest, _ in features or [] if name == METADATA), 0)
    return next((name for least, name in RELEASES if level >= least), OLDER)
