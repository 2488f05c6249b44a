"""How far a worker is, and whether Kafka answers it: what its watchdog and /readyz ask."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from services.detector.ownership import Ownership
from services.detector.store import Names
from services.kafka_clients import ANSWER_SECONDS, Reach
from services.watchdog import Ends, Place

LOOK_SECONDS: Final = 1.0
ADRIFT_MARGIN_SECONDS: Final = 30.0
"""For what a rebalance takes beside its own bound and a load."""
PULSE: Final = 0.75
"""Of the watchdog's patience: for so long a rebalance stands in one place. Kafka is asked each
time, and nothing is ended."""


class Position(NamedTuple):
    """How far a partition is.

    Attributes:
        stamp: Offset folded last.
        heard: When Kafka said last that nothing more waits; None while something does.
    """

    stamp: int
    heard: int | None


class Watch:
    """Watches the partitions of one worker.

    Args:
        names: The topics.
        ownership: The partitions.
        reach: Told whether Kafka answers.
        lag: Returns how many messages of a partition wait behind a stamp; None while unknown.
        heard: Returns when Kafka last told of a partition, milliseconds; None if it never did.
        clock: Seconds that only go up.
        patience: The watchdog's, seconds.
        adrift: How long a rebalance may take and a load after it, seconds.
    """

    def __init__(
        self,
        names: Names,
        ownership: Ownership,
        reach: Reach,
        lag: Callable[[int, int], int | None],
        heard: Callable[[int], int | None],
        clock: Callable[[], float],
        patience: float,
        adrift: float,
    ) -> None:
        self._names = names
        self._ownership = ownership
        self._reach = reach
        self._lag = lag
        self._heard = heard
        self._clock = clock
        self._pulse = PULSE * patience
        self._adrift_at_most = adrift + ADRIFT_MARGIN_SECONDS
        self._adrift_since: float | None = None
        self._unanswered = False
        self._told = 0
        self._silent = 0.0

    def probe(self) -> dict[Place, object]:
        """Return how far each owned partition is, and each of its flushes under way."""
        if self._ownership.generation == -1:
            return self._adrift()
        self._adrift_since = None
        found: dict[Place, object] = {}
        for number, owned in self._ownership.owned.items():
            stamp = owned.partition.stamp
            waits = self._lag(number, stamp)
            position = Position(stamp, None if waits else self._heard(number))
            found[Place(self._names.events, number)] = position
            if owned.lock.locked():
                found[Place(self._names.state, number)] = f"the flush after {owned.flushed_at:.1f}"
        return found

    def noting(self, ends: Ends) -> Ends:
        """Return the same question to Kafka, noting where it is not answered.

        Args:
            ends: Asks Kafka where its logs end; called in the watchdog's thread.
        """

        def ask(places: Collection[Place]) -> Mapping[tuple[str, int], int] | None:
            found = ends(places)
            self._unanswered |= found is None
            return found

        return ask

    def _adrift(self) -> dict[Place, object]:
        """A rebalance that does not end is no progress either; while Kafka is away none can."""
        now = self._clock()
        if self._adrift_since is None or self._unanswered:
            self._adrift_since, self._unanswered = now, False
        passed = now - self._adrift_since
        place = Place(self._names.events, 0)
        if passed < self._adrift_at_most:
            return {place: f"a rebalance, look {passed // self._pulse:.0f}"}
        return {place: "a rebalance that does not end"}

    async def run(self) -> None:
        """Tell whether Kafka answers, until cancelled."""
        looked = self._clock()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._clock()
            # Who was itself held up has not heard anything because of that.
            self.look(min(now - looked, 2 * LOOK_SECONDS))
            looked = now

    def look(self, passed: float) -> None:
        """Tell whether Kafka answers.

        Args:
            passed: Seconds since the look before.
        """
        if self._ownership.generation == -1:
            return
        told = max((self._heard(number) or 0 for number in self._ownership.owned), default=0)
        if told == 0:
            # Nothing is owned, or nothing was fetched yet.
            return
        self._silent = self._silent + passed if told == self._told else 0.0
        self._told = told
        if self._silent == 0.0:
            self._reach.tell(True)
        elif self._silent > ANSWER_SECONDS:
            self._reach.tell(False, f"silent for {self._silent:.0f} s")
