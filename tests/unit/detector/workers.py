"""Owners of one partition and what they leave behind: a log, a store, alerts, forwards on the way.

What a crash loses and what it cannot lose is told here once: a snapshot is written only after the
forwards that were found before it are in the log (design.md §5.4).
"""

from collections import deque
from collections.abc import Callable

from schemas.alerts import Alert
from schemas.envelope import Entry, decode_entry
from schemas.rejects import Reject
from services.detector.partition import Partition
from tests import playing

Deliver = Callable[[str, Entry], None]
"""Appends a forward to the log of its subject's partition; of the subject "", to all."""


class Owner:
    """A process that folds a partition, and the forwards that it has not sent yet.

    Args:
        partition: As it was loaded.
    """

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.unsent: deque[tuple[str, Entry]] = deque()

    def fold(self, log: playing.Log, count: int) -> None:
        playing.apply(self.partition, log.messages[self.partition.stamp + 1 :][:count])
        self._take()

    def judge(self, limit: int) -> bool:
        busy = self.partition.judge(limit)
        self._take()
        return busy

    def _take(self) -> None:
        self.unsent.extend((to, decode_entry(raw)) for to, raw in self.partition.forwards())

    def send(self, deliver: Deliver, count: int = 1 << 30) -> None:
        """Send forwards, the oldest first."""
        for _ in range(min(count, len(self.unsent))):
            deliver(*self.unsent.popleft())


class Worker:
    """One partition: its log, its owner, perhaps a former one that does not know, its store.

    Args:
        number: The partition.
        partitions: How many there are.
        horizon: Ids remembered.
    """

    def __init__(self, number: int, partitions: int, horizon: int) -> None:
        self.log = playing.Log()
        self.stored: dict[str, bytes] = {}
        self.alerts: list[Alert] = []
        self.rejects: list[Reject] = []
        self.zombie: Owner | None = None
        self._begin = (number, partitions, horizon)
        self.owner = Owner(Partition.begin(*self._begin))

    def fresh(self) -> Partition:
        """Return the partition that has folded nothing."""
        return Partition.begin(*self._begin)

    def restored(self) -> Partition:
        """Return the partition as it was stored last."""
        number, partitions, horizon = self._begin
        return Partition.restore(number, partitions, self.stored, horizon)

    def commit(self, deliver: Deliver) -> None:
        self.owner.send(deliver)
        cut = self.owner.partition.cut()
        self.stored = playing.store(self.stored, cut)
        self.alerts.extend(cut.alerts)
        self.rejects.extend(cut.rejects)

    def crash(self) -> None:
        self.owner = Owner(self.restored())

    def lose(self) -> None:
        """Another process takes the partition over; this one does not notice."""
        self.zombie = self.owner
        self.crash()
