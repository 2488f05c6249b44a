"""Whether the log still continues what is folded of it, asked while a worker runs."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from aiokafka.errors import KafkaError

from schemas import topics
from services.continuity import CannotOwn, check
from services.detector.owned import Owned
from services.runtime import get_logger
from services.snapshots import Bounds

LOOK_SECONDS: Final = 5.0

_log = get_logger(__name__)

Ask = Callable[[Mapping[int, int]], Coroutine[Any, Any, Mapping[int, Bounds]]]


class LogWatch:
    """Looks whether the messages folded by this worker are still those of the log.

    Faust leaves out what comes before its place, and a consumer whose place is beyond the end
    begins anew: of a topic that was made anew, or of a log that a broker has cut, everything up to
    the stamp would be missed, and nobody told.

    Args:
        owned: The worker's partitions, parked ones too; read again at each look.
        ask: Returns what partitions of the log hold, by the offsets to look at.
    """

    def __init__(self, owned: Mapping[int, Owned], ask: Ask) -> None:
        self._owned = owned
        self._ask = ask

    async def run(self, refuse: Callable[[CannotOwn], object]) -> None:
        """Look again and again, until cancelled.

        Args:
            refuse: Told that the log does not continue what was folded; ends the process.
        """
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except CannotOwn as error:
                refuse(error)
            except (KafkaError, OSError, TimeoutError) as error:
                _log.debug("log not looked at", error=repr(error))

    async def look(self) -> None:
        """Look once at what was folded last when the look before began, or at the take-over.

        What is folded last now would not tell of a log that was cut in between, and has grown
        past it.

        Raises:
            CannotOwn: If a message that was folded is not there any more, or is another one.
            KafkaError: Kafka does not answer.
        """
        asked = dict(self._owned)
        if not asked:
            return
        now = {number: owned.folded() for number, owned in asked.items()}
        held = await self._ask({number: owned.seen.stamp for number, owned in asked.items()})
        for number, owned in asked.items():
            # Whoever owns it by now has looked when it took it over.
            if self._owned.get(number) is owned:
                of, found = (topics.EVENTS.name, topics.STATE.name, number), held[number]
                check(*of, *now[number], found._replace(appended=None))
                check(*of, *owned.seen, found, now[number].stamp + 1)
                owned.seen = now[number]
