"""Which Kafka the brokers are, as far as they tell.

A broker names the newest metadata version that it can do; each release has its own. Source: Kafka's
protocol, ApiVersions (key 18), version 3; KIP-584 for features; `MetadataVersion` of Apache Kafka.
"""

from io import BytesIO
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

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


class _Answer(Response):  # type: ignore[misc]
    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "apis",
            CompactArray(
                ("key", Int16), ("lowest", Int16), ("newest", Int16), ("tags", TaggedFields)
            ),
        ),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class _Struct(RequestStruct):  # type: ignore[misc]
    API_KEY = 18
    API_VERSION = 3
    RESPONSE_TYPE = _Answer
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("name", CompactString("utf-8")),
        ("version", CompactString("utf-8")),
        ("tags", TaggedFields),
    )

    def parse_response_header(self, read_buffer: Any) -> Any:
        # Of all flexible answers this one alone has the old header: KIP-511.
        return ResponseHeader_v0.decode(read_buffer)


class _Asked(Request[_Struct]):  # type: ignore[misc]
    API_KEY = 18

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class("ebbwatch", "1", {})


async def version(admin: AIOKafkaAdminClient) -> str:
    """Return the release of a broker, such as `4.1`, or what is known of it."""
    answer = await admin._send_request(_Asked())
    raw = answer.tags.get(SUPPORTED, b"")
    features = _FEATURES.decode(BytesIO(raw)) if raw else []
    level = next((newest for name, _, newest, _ in features or [] if name == METADATA), 0)
    return next((name for least, name in RELEASES if level >= least), OLDER)
