"""Forwards on their way: their order, what a snapshot waits for, and where memory ends."""

import asyncio
from collections.abc import Sequence

import pytest

from services.detector import sending
from services.detector.sending import BATCH_ENTRIES, WAITING_LIMIT, Lost, Outgoing
from services.partitioning import home_of
from tests.platform import eventually

PARTITIONS = 3


class Log:
    """Takes entries when it is let to, one call at a time, as Kafka's acknowledgements come."""

    partitions = PARTITIONS

    def __init__(self) -> None:
        self.calls: list[list[tuple[int, bytes]]] = []
        self.open = asyncio.Semaphore(0)
        self.error: Exception | None = None

    async def publish(self, items: Sequence[tuple[int, bytes]]) -> object:
        self.calls.append(list(items))
        await self.open.acquire()
        if self.error is not None:
            raise self.error
        return None

    async def called(self, times: int) -> None:
        await eventually(lambda: len(self.calls) >= times, what=f"call {times}")

    def let(self, calls: int = 1_000) -> None:
        for _ in range(calls):
            self.open.release()


def at_home(subject: str) -> int:
    return home_of(subject, PARTITIONS)


def outgoing(log: Log, lost: list[Lost] | None = None) -> Outgoing:
    return Outgoing(log, ([] if lost is None else lost).append)


async def test_forwards_go_to_the_homes_of_their_subjects_and_broadcasts_everywhere() -> None:
    log = Log()
    out = outgoing(log)
    log.let()
    out.put([("account:a", b"1"), ("", b"all"), ("account:b", b"2")])
    await out.settle()
    assert log.calls == [
        [
            (at_home("account:a"), b"1"),
            *((partition, b"all") for partition in range(PARTITIONS)),
            (at_home("account:b"), b"2"),
        ]
    ]
    assert out.waiting == 0


async def test_what_comes_while_a_batch_is_on_its_way_goes_after_its_acknowledgement() -> None:
    log = Log()
    out = outgoing(log)
    out.put([("account:a", b"1")])
    await log.called(1)
    out.put([("account:a", b"2")])
    out.put([("account:b", b"3")])
    await asyncio.sleep(0)
    assert len(log.calls) == 1
    log.let(1)
    await log.called(2)
    assert log.calls[1] == [(at_home("account:a"), b"2"), (at_home("account:b"), b"3")]
    log.let()
    await out.settle()


async def test_a_snapshot_waits_for_what_was_put_before_it_and_for_nothing_later() -> None:
    log = Log()
    out = outgoing(log)
    out.put([("account:a", b"1")])
    settling = asyncio.ensure_future(out.settle())
    await log.called(1)
    assert not settling.done()
    out.put([("account:a", b"2")])
    log.let(1)
    await asyncio.wait_for(settling, 5)
    assert out.waiting == len(b"2")
    log.let()
    await out.settle()


async def test_nothing_put_is_settled_at_once() -> None:
    log = Log()
    await outgoing(log).settle()
    assert log.calls == []


async def test_folding_waits_while_more_than_the_limit_is_not_acknowledged() -> None:
    log = Log()
    out = outgoing(log)
    out.put([("account:a", bytes(WAITING_LIMIT))])
    await asyncio.wait_for(out.room(), 5)
    out.put([("account:a", b"1")])
    waiting = asyncio.ensure_future(out.room())
    await log.called(1)
    assert out.full
    assert not waiting.done()
    log.let()
    await asyncio.wait_for(waiting, 5)
    assert not out.full


async def test_many_forwards_go_in_batches_and_in_order() -> None:
    log = Log()
    out = outgoing(log)
    log.let()
    entries = [number.to_bytes(4, "big") for number in range(2 * BATCH_ENTRIES + 1)]
    out.put([("account:a", entry) for entry in entries])
    await out.settle()
    assert [len(call) for call in log.calls] == [BATCH_ENTRIES, BATCH_ENTRIES, 1]
    assert [entry for call in log.calls for _, entry in call] == entries


async def test_a_failed_send_is_told_at_once_also_if_nobody_waits() -> None:
    log, lost = Log(), list[Lost]()
    out = outgoing(log, lost)
    log.error = ValueError("an entry is too long")
    log.let()
    out.put([("account:a", b"1")])
    await eventually(lambda: bool(lost), what="the loss")
    assert str(lost[0]) == "forwards cannot be sent: ValueError('an entry is too long')"


async def test_a_log_that_acknowledges_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PATIENCE_SECONDS", 0.05)
    log, lost = Log(), list[Lost]()
    outgoing(log, lost).put([("account:a", b"1")])
    await eventually(lambda: bool(lost), what="the loss")
    assert str(lost[0]) == "no forward was acknowledged for 0.05 s"
