"""What ingest can be told from outside, each by an environment variable."""

from typing import ClassVar

from pydantic import Field

from services.settings import Port, Secret, ServiceSettings
from services.watchdog import PATIENCE_SECONDS

MEGABYTE = 1024 * 1024


class IngestSettings(ServiceSettings):
    """Settings of ingest; field `ingest_port` is the variable `EBBWATCH_INGEST_PORT`.

    Attributes:
        secret_key: What API keys are hashed with; without it no key can be checked.
        ingest_port: HTTP port.
        ingest_deadline_seconds: How long a request waits for Kafka before it gets 503.
        ingest_tick_seconds: Between two ticks of the clock.
        ingest_body_bytes: Longest body of a single event, also when uncompressed.
            Source: faults-and-security.md, resource limits; for the batch likewise.
        ingest_batch_bytes: Longest body of many events, also when uncompressed.
        ingest_batch_events: Events in one body.
        ingest_upload_bytes: Bodies held at once, all requests together.
        ingest_upload_seconds: How long a client may take to send its body.
        ingest_pending_bytes: Entries that wait for Kafka, before requests get 503 at once.
        ingest_envelopes_per_second: As many as one detector worker takes.
        ingest_session_seconds: After how long a silent replica loses its input partitions.
        ingest_stuck_seconds: A replica that makes no progress for so long, though Kafka answers,
            ends with 75, and is started anew.
    """

    service: ClassVar[str] = "ingest"

    secret_key: Secret
    ingest_port: Port = 8600
    ingest_deadline_seconds: float = Field(10.0, gt=0, le=120)
    ingest_tick_seconds: float = Field(60.0, ge=0.05, le=60)
    ingest_body_bytes: int = Field(MEGABYTE, ge=1024, le=100 * MEGABYTE)
    ingest_batch_bytes: int = Field(10 * MEGABYTE, ge=1024, le=100 * MEGABYTE)
    ingest_batch_events: int = Field(10_000, ge=1, le=100_000)
    ingest_upload_bytes: int = Field(128 * MEGABYTE, ge=MEGABYTE)
    ingest_upload_seconds: float = Field(30.0, gt=0, le=600)
    ingest_pending_bytes: int = Field(64 * MEGABYTE, ge=MEGABYTE)
    ingest_envelopes_per_second: int = Field(1000, ge=10, le=100_000)
    ingest_session_seconds: float = Field(15.0, ge=1, le=300)
    ingest_stuck_seconds: float = Field(PATIENCE_SECONDS, ge=1, le=3600)
