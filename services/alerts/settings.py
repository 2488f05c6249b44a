"""What the alerts service can be told from outside, each by an environment variable."""

from typing import ClassVar

from pydantic import Field

from services.settings import Port, Secret, ServiceSettings
from services.watchdog import PATIENCE_SECONDS


class AlertsSettings(ServiceSettings):
    """Settings of the alerts service; field `alerts_port` is the variable `EBBWATCH_ALERTS_PORT`.

    Attributes:
        secret_key: What the secrets of channels are sealed with.
        alerts_port: API, console, metrics and health.
        alerts_url: Where people reach the console; links in notices begin with it. Empty: the
            address that it listens on.
        alerts_flush_seconds: Longest time between two snapshots; a restart folds so much anew.
        alerts_session_seconds: After this long without a heartbeat a replica is taken for dead.
        alerts_stuck_seconds: A replica that makes no progress for so long, though Kafka answers,
            ends with 75, and is started anew.
        alerts_send_seconds: For one attempt of a delivery, all in all.
            Source: faults-and-security.md, SSRF.
        alerts_sends_per_channel: Attempts of one channel at once.
        alerts_retry_scale: Factor on the retry schedule, so that tests need not wait.
        alerts_answer_seconds: How long an action waits for its verdict before it gets 202.
            Source: design.md §6.
        alerts_stale_seconds: A partition of the view that was not written for so long is stale.
    """

    service: ClassVar[str] = "alerts"

    secret_key: Secret
    alerts_port: Port = 8601
    alerts_url: str = Field("", pattern=r"^(https?://[^\s]+)?$")
    alerts_flush_seconds: float = Field(5.0, ge=0.05, le=300)
    alerts_session_seconds: float = Field(15.0, ge=1, le=300)
    alerts_stuck_seconds: float = Field(PATIENCE_SECONDS, ge=1, le=3600)
    alerts_send_seconds: float = Field(15.0, ge=0.1, le=60)
    alerts_sends_per_channel: int = Field(16, ge=1, le=256)
    alerts_retry_scale: float = Field(1.0, gt=0, le=1)
    alerts_answer_seconds: float = Field(5.0, ge=0, le=60)
    alerts_stale_seconds: float = Field(15.0, ge=1, le=600)
