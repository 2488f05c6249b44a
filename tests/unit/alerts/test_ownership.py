"""When what is folded is written, and what ends a process that would lose it."""

import asyncio
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.envelope import decode_entry
from schemas.rejects import Reject
from services.alerts import ownership as module
from services.alerts import store as store_module
from services.alerts.accounts import Accounts
from services.alerts.cases.partition import Partition
from services.alerts.ownership import AHEAD_RECORDS, AHEAD_SECONDS, Owned, Ownership
from services.alerts.settings import AlertsSettings
from services.runtime import Health
from services.settings import load_settings
from services.snapshots import LoadTooSlow
from tests.platform import eventually
from tests.unit.alerts import builders as a

ROOT = Path(__file__).parents[3]


class Kept:
    """A store in memory."""

    def __init__(self) -> None:
        self.writes: list[tuple[list[tuple[str, bytes | None]], list[Reject]]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def write(
        self, records: Iterable[tuple[str, bytes | None]], rejects: Iterable[Reject]
    ) -> None:
        await self.gate.wait()
        self.writes.append(([*records], [*rejects]))

    async def close(self) -> None:
        pass


def owning(partition: Partition) -> tuple[Ownership, Owned, Kept]:
    """Return what owns a partition that was flushed just now, and is flushed every five minutes."""
    environ = {"EBBWATCH_SECRET_KEY": "k", "EBBWATCH_ALERTS_FLUSH_SECONDS": "300"}
    unused: Any = None
    owner = Ownership(load_settings(AlertsSettings, environ), Health(), unused, unused, unused)
    store: Any = Kept()
    owned = Owned(partition, store, Accounts(), unused, partition.stamp)
    owner.owned[0] = owned
    return owner, owned, store


async def test_what_has_changed_waits_for_its_time() -> None:
    owner, owned, store = owning(a.folded(a.raised()))
    owner.flush_due()
    await asyncio.sleep(0)
    assert (store.writes, owned.durable) == ([], 0)
    owned.flushed_at -= 300.0
    owner.flush_due()
    await eventually(lambda: store.writes, what="the flush")
    assert (owned.partition.dirty, owned.durable) == (0, 0)


@pytest.mark.parametrize("limit, bound", [("FULL_RECORDS", 4), ("FULL_BYTES", 300)])
async def test_much_is_written_at_once(
    monkeypatch: pytest.MonkeyPatch, limit: str, bound: int
) -> None:
    monkeypatch.setattr(module, limit, bound)
    owner, owned, store = owning(a.folded(a.raised()))
    owner.flush_due()
    await eventually(lambda: store.writes, what="the flush")
    assert owned.partition.weight == 0


async def test_many_refusals_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL_BYTES", 300)
    owner, owned, store = owning(Partition.begin(0, 1))
    owned.partition.apply(0, a.us(), "acme", b"x" * 299)
    owner.flush_due()
    await asyncio.sleep(0)
    assert store.writes == []
    owned.partition.apply(1, a.us(), "acme", b"x")
    owner.flush_due()
    await eventually(lambda: store.writes, what="the flush")
    ((_, rejects),) = store.writes
    assert [one.offset for one in rejects] == [0, 1]


@pytest.mark.parametrize("ahead, waited", [(AHEAD_RECORDS, 0.0), (1, AHEAD_SECONDS)])
async def test_a_position_that_runs_ahead_is_written_though_no_case_has_changed(
    ahead: int, waited: float
) -> None:
    partition = a.folded(a.raised())
    partition.cut()
    owner, owned, store = owning(partition)
    partition.reach(partition.position + ahead - 1)
    owner.flush_due()
    owned.flushed_at -= waited - 1
    owner.flush_due()
    await asyncio.sleep(0)
    assert store.writes == []
    partition.reach(1 + ahead)
    owned.flushed_at -= 1
    owner.flush_due()
    await eventually(lambda: store.writes, what="the flush")
    assert Partition.restore(0, 1, a.store({}, store.writes[0][0])).position == 1 + ahead


async def test_nothing_is_begun_while_a_flush_is_under_way() -> None:
    owner, owned, store = owning(a.folded(a.raised()))
    store.gate.clear()
    owned.flushed_at -= 300.0
    for _ in range(3):
        owner.flush_due()
        await asyncio.sleep(0)
    log = a.Log()
    log.add(a.raised(), a.commented())
    a.apply(owned.partition, log.messages)
    owned.flushed_at -= 300.0
    owner.flush_due()
    store.gate.set()
    await eventually(lambda: store.writes, what="the flush")
    assert (len(store.writes), owned.durable, owned.partition.stamp) == (1, 0, 1)


async def test_who_comes_too_late_fences_nobody() -> None:
    owner, *_ = owning(Partition.begin(0, 1))
    # Partitions have been assigned anew since: a producer that starts now would fence their owner.
    owner._generation = 2
    await owner._own(1, 1)
    assert [*owner.owned] == [0]


async def test_a_load_that_is_under_way_ends_as_soon_as_partitions_are_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, loads = asyncio.Event(), Kept()

    async def take_over() -> Partition:
        await gate.wait()
        return Partition.begin(1, 2)

    monkeypatch.setattr(loads, "take_over", take_over, raising=False)
    monkeypatch.setattr(module, "Store", lambda *_: loads)
    owner, owned, _ = owning(Partition.begin(0, 1))
    owner.assign([1])
    await asyncio.sleep(0)
    owner.part()
    # Until what is sent just now has landed, some seconds may pass.
    gate.set()
    await eventually(lambda: not owner._loading, what="the load to end")
    assert ([*owner.owned], owned.revoked) == ([0], True)


async def test_whoever_waits_for_kafka_in_vain_says_for_what(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_module, "ANSWER_SECONDS", 0.01)
    with pytest.raises(LoadTooSlow, match="the producer did not answer within"):
        async with store_module.answering("the producer"):
            await asyncio.Event().wait()


CANCELLED = """
import asyncio
from tests.unit.alerts import builders as a
from tests.unit.alerts.test_ownership import owning

async def cancelled(*_):
    raise asyncio.CancelledError

async def main():
    owner, owned, store = owning(a.folded(a.raised()))
    store.write = cancelled
    owned.revoked = {revoked}
    await asyncio.wait({{asyncio.ensure_future(owner.flush(owned))}})

asyncio.run(main())
"""


@pytest.mark.parametrize("revoked, code", [(False, 70), (True, 0)])
def test_a_flush_that_somebody_else_cancels_ends_the_process_unless_it_is_given_up(
    revoked: bool, code: int
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CANCELLED.format(revoked=revoked)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert (ended.returncode, "one of its own tasks" in ended.stdout) == (code, code == 70)


class Detector:
    """Takes what goes back to it as soon as its gate is open."""

    def __init__(self, owner: Ownership) -> None:
        self.gate = asyncio.Event()
        self.sent: list[Any] = []
        self.acknowledged: list[Any] = []
        owner._give_back = self.take

    async def take(self, items: Sequence[tuple[int, bytes]]) -> None:
        self.sent += items
        await self.gate.wait()
        self.acknowledged += items

    def votes(self) -> list[tuple[int, str]]:
        """Return the partition and the id of what it took."""
        return [(number, decode_entry(raw).id) for number, raw in self.acknowledged]


async def test_what_goes_back_to_the_detector_is_acknowledged_before_the_snapshot_is_written() -> (
    None
):
    owner, owned, store = owning(a.folded(a.raised(), a.feedback()))
    detector = Detector(owner)
    flushing = asyncio.ensure_future(owner.flush(owned))
    await eventually(lambda: detector.sent, what="what goes back")
    assert (len(detector.sent), detector.sent[0][0], store.writes) == (1, 0, [])
    detector.gate.set()
    await flushing
    assert (len(store.writes), owned.partition.returned) == (1, [])


async def test_a_snapshot_is_left_for_later_while_the_detector_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is sent twice meanwhile, nothing is forgotten, and the process goes on."""
    monkeypatch.setattr(module, "RETURN_SECONDS", 0.01)
    log = a.Log()
    log.add(a.raised(), a.feedback(id="k1", by="ana"))
    owner, owned, store = owning(a.apply(Partition.begin(0, 1), log.messages))
    detector = Detector(owner)
    await owner.flush(owned)
    log.add(a.feedback(id="k2", by="bob"))
    a.apply(owned.partition, log.messages)
    await owner.flush(owned)
    assert (store.writes, len(detector.sent), owned.durable) == ([], 1, 1)

    detector.gate.set()
    await owner.flush(owned)

    begun = a.us()
    assert detector.votes() == [(0, f"feedback~{begun}-0-1"), (0, f"feedback~{begun}-0-3")]
    assert (len(store.writes), owned.durable, owned.partition.returned) == (1, 3, [])
    restored = Partition.restore(0, 1, a.store({}, store.writes[0][0]))
    assert [*restored.cases] == ["acme"]


async def test_what_cannot_be_told_holds_no_rebalance_and_is_folded_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RETURN_SECONDS", 0.01)
    owner, owned, store = owning(a.folded(a.raised(), a.feedback()))
    detector, projection = Detector(owner), Kept()
    monkeypatch.setattr(owned, "projection", projection)
    monkeypatch.setattr(projection, "stop", projection.close, raising=False)
    await owner.flush(owned)
    # what is late already is not waited for again
    monkeypatch.setattr(module, "RETURN_SECONDS", 60.0)

    async with asyncio.timeout(5):
        await owner.revoke()

    assert (store.writes, owner.owned) == ([], {})
    # who owns it next folds from the same snapshot on; of what arrives after all it is known
    detector.gate.set()
    await eventually(lambda: detector.acknowledged, what="what was on its way")


async def test_a_detector_that_can_never_be_told_ends_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where the broker refuses the topic: nobody may think that it waits."""
    ends: list[str] = []
    monkeypatch.setattr(module, "die", lambda where, error: ends.append(f"{where}: {error}"))
    owner, owned, store = owning(a.folded(a.raised(), a.feedback()))

    async def refuse(_: Any) -> None:
        raise ValueError("no such topic")

    owner._give_back = refuse
    await owner.flush(owned)
    assert (ends, store.writes) == (["flush of partition 0: no such topic"], [])
