"""One partition that this worker owns: its state, where it is written, and what is on its way."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from services.detector.partition import Partition
from services.detector.sending import Outgoing
from services.detector.store import Store

ALERT_FLUSH_SECONDS: Final = 0.05
DIRTY_LIMIT: Final = 20_000
PENDING_LIMIT: Final = 32 * 1024 * 1024
"""Of messages that are not acknowledged, bytes; this and those above: design.md §5.7."""
JUDGED_AT_ONCE: Final = 250


class Folded(NamedTuple):
    """The message folded last.

    Attributes:
        stamp: Its offset; -1 before the first.
        appended: When it was appended, microseconds since 1970-01-01 UTC.
    """

    stamp: int
    appended: int


@dataclass(slots=True)
class Owned:
    """One owned partition.

    Attributes:
        partition: Its state in memory.
        store: Where it is written.
        outgoing: Its forwards that are on their way.
        flushed_at: When the last flush ended, or the load, monotonic seconds.
        waiting: Events folded since the last cut, to be acknowledged once they are durable.
        pending: Their bytes.
        lock: One flush at a time.
        parked: Revoked, flushed, and perhaps about to come back: left alone until then.
        seen: The message folded last when the log was looked at, or taken over.
    """

    partition: Partition
    store: Store
    outgoing: Outgoing
    flushed_at: float
    waiting: list[Any] = field(default_factory=list)
    pending: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    parked: bool = False
    seen: Folded = field(init=False)

    def __post_init__(self) -> None:
        """Note what was folded when it was taken over."""
        self.seen = self.folded()

    def folded(self) -> Folded:
        """Return the message folded last."""
        record = self.partition.ledger.record
        return Folded(record.stamp, record.appended)

    def judge(self) -> bool:
        """Judge some accounts, and tell whether closings are still open."""
        busy = self.partition.judge(JUDGED_AT_ONCE)
        self.forward()
        return busy

    def forward(self) -> None:
        """Send what folding and judging found for other partitions, without waiting for it."""
        self.outgoing.put(self.partition.forwards())

    def due(self, now: float, interval: float) -> bool:
        """Tell whether something waits that a flush must not keep waiting longer."""
        if self.partition.urgent:
            return now - self.flushed_at >= ALERT_FLUSH_SECONDS
        if self.pending >= PENDING_LIMIT or self.partition.dirty >= DIRTY_LIMIT:
            return True
        return bool(self.waiting) and now - self.flushed_at >= interval
