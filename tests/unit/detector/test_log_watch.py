"""A log that ends behind what was folded of it, or is another one, is not gone on with."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from services.continuity import CannotOwn
from services.detector.log_watch import LogWatch
from services.detector.owned import Owned
from services.detector.partition import Partition
from services.snapshots import Bounds

UNUSED = cast(Any, None)
HOUR = 3_600_000_000


class Broker:
    """One partition's log: the append times of what it holds, and the offset of the first."""

    def __init__(self, *appended: int) -> None:
        self.start = 0
        self.appended = list(appended)
        self.asked: list[dict[int, int]] = []

    async def ask(self, offsets: Mapping[int, int]) -> Mapping[int, Bounds]:
        self.asked.append(dict(offsets))
        end = self.start + len(self.appended)
        return {
            number: Bounds(
                self.start,
                end,
                self.appended[offset - self.start] if self.start <= offset < end else None,
                8,
            )
            for number, offset in offsets.items()
        }


class Worker:
    """A worker that has taken partition 0 over, and has folded nothing yet."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.owned = {0: Owned(Partition.begin(0, 8), UNUSED, UNUSED, 0.0)}
        self.watch = LogWatch(self.owned, broker.ask)

    def fold(self) -> None:
        """Fold all that the log holds and that was not folded."""
        partition = self.owned[0].partition
        for place, appended in enumerate(self.broker.appended):
            offset = self.broker.start + place
            if offset > partition.stamp:
                partition.take(offset, appended, [])


async def test_a_log_that_grows_is_gone_on_with() -> None:
    worker = Worker(Broker())
    for hour in range(3):
        worker.broker.appended.append(hour * HOUR)
        worker.fold()
        await worker.watch.look()
    assert worker.broker.asked == [{0: -1}, {0: 0}, {0: 1}]


async def test_retention_may_delete_what_is_folded() -> None:
    worker = Worker(Broker(1, 2, 3))
    worker.fold()
    await worker.watch.look()
    worker.broker.start, worker.broker.appended = 3, []
    await worker.watch.look()


async def test_what_is_not_folded_yet_may_not_be_deleted() -> None:
    worker = Worker(Broker(1, 2, 3))
    worker.fold()
    worker.broker.start, worker.broker.appended = 4, [5]
    with pytest.raises(CannotOwn, match="begins at offset 4, but the snapshot ends at 2"):
        await worker.watch.look()


async def test_a_log_that_ends_before_what_was_folded_is_refused() -> None:
    worker = Worker(Broker(1, 2, 3))
    worker.fold()
    await worker.watch.look()
    worker.broker.appended = [1]
    with pytest.raises(CannotOwn, match="ends at offset 1, but the snapshot is at 2"):
        await worker.watch.look()


@pytest.mark.parametrize(
    "then",
    [
        pytest.param([7, 8, 9], id="as long"),
        pytest.param([7, 8, 9, 10, 11], id="longer, and folded beyond the old end"),
        pytest.param([1, 2, 9, 10], id="cut by a message, and grown past it"),
    ],
)
async def test_another_log_is_refused_though_it_has_grown_past_what_was_folded(
    then: list[int],
) -> None:
    worker = Worker(Broker(1, 2, 3))
    worker.fold()
    await worker.watch.look()
    worker.broker.appended = then
    worker.fold()
    with pytest.raises(CannotOwn, match="this is another topic than the one that was folded"):
        await worker.watch.look()


async def test_a_parked_partition_is_looked_at_and_one_that_is_given_up_meanwhile_is_not() -> None:
    worker = Worker(Broker(1, 2, 3))
    worker.fold()
    await worker.watch.look()
    worker.owned[0].parked = True
    worker.broker.appended = []
    with pytest.raises(CannotOwn):
        await worker.watch.look()
    gone = worker.owned[0]

    async def ask(offsets: Mapping[int, int]) -> Mapping[int, Bounds]:
        worker.owned.clear()
        return await worker.broker.ask(offsets)

    assert gone.parked
    await LogWatch(worker.owned, ask).look()
