"""Settings of the detector."""

from typing import ClassVar

from pydantic import Field

from services.detector.recent import HORIZON
from services.settings import Port, ServiceSettings
from services.snapshots import LOAD_SECONDS
from services.watchdog import PATIENCE_SECONDS


class DetectorSettings(ServiceSettings):
    """What the detector needs to know beside what every service does.

    Attributes:
        detector_port: Metrics and health.
        detector_instance: Name of this worker, stable over restarts (static membership).
        detector_flush_seconds: Longest time between two snapshots, 0.05..300.
        detector_session_seconds: After this long without a heartbeat a worker is taken for dead.
        detector_stuck_seconds: A worker that makes no progress for so long, though Kafka answers,
            ends with 75, and is started anew.
        detector_load_seconds: A worker that has not taken its partitions over within so long ends
            with 75; the group waits a third longer for it before it goes on without it.
        detector_data_dir: Folder of this worker's own files.
        detector_id_horizon: Ids remembered per partition and channel, 1..5,000,000.
    """

    service: ClassVar[str] = "detector"

    detector_port: Port = 8610
    detector_instance: str = Field("detector-0", min_length=1, max_length=200)
    detector_flush_seconds: float = Field(30.0, ge=0.05, le=300)
    detector_session_seconds: float = Field(15.0, ge=1, le=300)
    detector_stuck_seconds: float = Field(PATIENCE_SECONDS, ge=1, le=3600)
    detector_load_seconds: float = Field(LOAD_SECONDS, ge=5, le=3600)
    detector_data_dir: str = ""
    detector_id_horizon: int = Field(HORIZON, ge=1, le=5_000_000)
