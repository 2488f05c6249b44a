"""What runs before Faust does: health over HTTP, and the check that the topics are as declared.

A worker that is set up wrong must not join the group: the healthy ones would lose their partitions
to it, and get them back only when its session is over.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final

import mode
from aiokafka.errors import KafkaError

from schemas import topics
from services.detector.settings import DetectorSettings
from services.kafka_clients import Reach
from services.runtime import ConfigurationError, ExitCode, PortTaken, die
from services.topic_admin import require

TOPICS: Final = (topics.EVENTS, topics.STATE, topics.ACCOUNTS, topics.ALERTS, topics.REJECTS)
RETRY_SECONDS: Final = 1.0


class Gate(mode.Service):
    """Is started before the Faust app, and stopped after it.

    Args:
        settings: The detector's settings.
        reach: Told whether Kafka answers.
        beside: What runs as long as the worker does, by name; begun before Kafka is asked.
    """

    def __init__(
        self,
        settings: DetectorSettings,
        reach: Reach,
        beside: dict[str, Callable[[], Coroutine[Any, Any, None]]],
    ) -> None:
        super().__init__()
        self._settings = settings
        self._reach = reach
        self._beside = beside

    async def on_start(self) -> None:
        """Return when the topics are as they must be, or the worker is told to end."""
        for name, work in self._beside.items():
            self.add_future(crash_only(name, work()))
        await crash_only("topics", self._require_topics())

    async def _require_topics(self) -> None:
        settings = self._settings
        while not self.should_stop:
            try:
                await require(settings.kafka, settings.prefix, settings.partitions, TOPICS)
            except (KafkaError, OSError, TimeoutError) as error:
                self._reach.tell(False, str(error) or type(error).__name__)
            else:
                self._reach.tell(True)
                return
            await self.sleep(RETRY_SECONDS)


async def crash_only(where: str, body: Coroutine[Any, Any, None]) -> None:
    """Run one of the worker's tasks; Faust would log its exception and go on without it.

    Args:
        where: For the log.
        body: The task.
    """
    try:
        await body
    except ConfigurationError as error:
        die(where, error, ExitCode.CONFIG)
    except PortTaken as taken:
        die(where, taken, ExitCode.FAILED)
    except Exception as error:
        die(where, error)
