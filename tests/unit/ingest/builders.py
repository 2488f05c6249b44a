"""One line per event, with sensible defaults."""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from aiokafka.structs import RecordMetadata, TopicPartition

from schemas import envelope
from schemas.envelope import Entry
from services.publishing.producer import Producer

DAY = 86_400_000_000
NOW = 20_000 * DAY
"""2024-10-04T00:00:00Z in microseconds."""
NOW_TEXT = "2024-10-04T00:00:00Z"


def event(**changes: Any) -> dict[str, Any]:
    """A usage event; a field given as None is left out."""
    fields = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/api",
        "type": "usage.recorded",
        "subject": "acct_42",
        "time": NOW_TEXT,
        "data": {"metric": "api_calls", "quantity": 3},
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def body(*events: Mapping[str, Any]) -> bytes:
    """One event as an object, several as an array."""
    return json.dumps(events[0] if len(events) == 1 else events).encode()


def record(value: bytes | None, offset: int = 7, **changes: Any) -> Any:
    """A consumed record."""
    fields = {"topic": "usage", "partition": 2, "timestamp": NOW // 1000, "headers": ()}
    return SimpleNamespace(value=value, offset=offset, **{**fields, **changes})


class FakeProducer(Producer):
    """Keeps what is sent; `hold` delays acknowledgements, `error` is raised once."""

    def __init__(self, appended_ms: int = NOW // 1000) -> None:
        super().__init__("127.0.0.1:1")
        self.sent: list[tuple[str, int | None, bytes]] = []
        self.appended_ms = appended_ms
        self.gate: Any = None
        self.error: Exception | None = None

    async def send(
        self, topic: str, value: bytes, *, key: bytes | None = None, partition: int | None = None
    ) -> RecordMetadata:
        self.sent.append((topic, partition, value))
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        where = TopicPartition(topic, partition)
        return RecordMetadata(topic, partition, where, 0, self.appended_ms, 1, 0)

    def entries(self, partition: int | None = None) -> list[Entry]:
        """All entries of envelopes, in order; of one partition or of all."""
        return [
            entry
            for topic, where, value in self.sent
            if topic == "events.v1" and partition in (None, where)
            for _, entry in envelope.decode(value)[0]
        ]
