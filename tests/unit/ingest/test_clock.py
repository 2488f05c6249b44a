import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from schemas.envelope import Entry
from schemas.events import ClockTicked
from services.ingest.clock import Clock
from services.ingest.seen import HOUR_MICROS, Seen
from services.publishing.publisher import Publisher
from tests.platform import eventually
from tests.unit.ingest.builders import NOW, FakeProducer

MINUTE = 60_000_000
HOUR = NOW // HOUR_MICROS


class Hands:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def producer() -> FakeProducer:
    return FakeProducer()


@pytest.fixture
async def publisher(producer: FakeProducer) -> AsyncIterator[Publisher]:
    made = Publisher(producer, "events.v1", 2)
    await made.start()
    yield made
    await made.stop()


async def test_a_tick_goes_into_every_partition_with_what_was_seen_and_is_complete(
    publisher: Publisher, producer: FakeProducer
) -> None:
    seen = Seen()
    seen.note([("/b", HOUR), ("/a", HOUR), ("/a", HOUR - 1), ("/a", HOUR)])
    seen.fed.note([("usage", "/b"), ("usage", "/a"), ("billing", "/a"), ("usage", "/b")])
    clock = Clock(publisher, "r1", seen, lambda: {"usage/0": NOW - 5}, Hands())

    assert clock.why_closed() == "the first tick of the clock is not acknowledged yet"
    assert await clock.tick()
    assert await clock.tick()

    complete = {"usage/0": NOW - 5}
    hours = {"/a": [HOUR - 1, HOUR], "/b": [HOUR]}
    fed = {"billing": ["/a"], "usage": ["/a", "/b"]}
    first = ClockTicked(at=NOW, mode="live", complete_until=complete, seen=hours, fed=fed)
    second = ClockTicked(at=NOW, mode="live", complete_until=complete)
    for partition in range(2):
        assert producer.entries(partition) == [
            Entry("tick-r1-1", "ebbwatch", NOW, (), first),
            Entry("tick-r1-2", "ebbwatch", NOW, (), second),
        ]
    assert clock.why_closed() is None


async def test_what_is_future_goes_by_kafka_s_clock_where_the_own_is_behind(
    publisher: Publisher, producer: FakeProducer
) -> None:
    hands = Hands()
    clock = Clock(publisher, "r1", Seen(), dict, hands)
    hands.now = NOW - 60 * MINUTE
    assert clock.latest() == NOW - 60 * MINUTE, "before the first tick nothing else is known"

    assert await clock.tick()

    # Kafka appended the tick at NOW; since then some of a minute has passed.
    assert NOW <= clock.latest() < NOW + MINUTE
    hands.now = NOW + 60 * MINUTE
    assert clock.latest() == NOW + 60 * MINUTE


async def test_no_hour_before_1970_gets_into_a_tick(
    publisher: Publisher, producer: FakeProducer
) -> None:
    seen = Seen()
    seen.note([("/a", -1), ("/a", 0)])

    assert await Clock(publisher, "r1", seen, dict, Hands()).tick()

    tick = producer.entries(0)[-1].event
    assert isinstance(tick, ClockTicked)
    assert tick.seen == {"/a": [0]}


async def test_what_an_unacknowledged_tick_carried_goes_with_the_next_one(
    publisher: Publisher, producer: FakeProducer
) -> None:
    seen = Seen()
    seen.note([("/a", HOUR)])
    seen.fed.note([("usage", "/a")])
    producer.gate = asyncio.Event()
    clock = Clock(publisher, "r1", seen, dict, Hands(), interval=0.05)

    assert not await clock.tick()
    assert not clock.ticking.is_set()
    seen.note([("/a", HOUR + 1)])
    producer.gate.set()
    assert await clock.tick()

    newest = producer.entries(0)[-1].event
    assert isinstance(newest, ClockTicked)
    assert (newest.seen, newest.fed) == ({"/a": [HOUR, HOUR + 1]}, {"usage": ["/a"]})


@pytest.mark.parametrize(
    "off, closed",
    [
        (0, False),
        (2 * MINUTE, False),
        (2 * MINUTE + 2_000, True),  # ours ahead, one step past the broker's rounding
        (-2 * MINUTE, False),
        (-2 * MINUTE - 2_000, True),
    ],
)
async def test_a_clock_far_from_the_broker_s_closes_intake(
    publisher: Publisher, off: int, closed: bool
) -> None:
    hands = Hands()
    hands.now = NOW + off
    skews: list[float] = []
    clock = Clock(publisher, "r1", Seen(), dict, hands, on_skew=skews.append)

    await clock.tick()

    assert (clock.why_closed() is not None, round(skews[0])) == (closed, round(off / 1e6))


async def test_a_tick_that_waited_for_kafka_is_no_skew(
    publisher: Publisher, producer: FakeProducer
) -> None:
    hands = Hands()
    producer.gate = asyncio.Event()
    clock = Clock(publisher, "r1", Seen(), dict, hands)
    tick = asyncio.create_task(clock.tick())
    await eventually(lambda: producer.sent)
    hands.now = NOW + 5 * MINUTE
    producer.appended_ms = (NOW + 5 * MINUTE) // 1000
    producer.gate.set()

    assert await tick
    assert clock.why_closed() is None


async def test_it_ticks_at_whole_multiples_of_the_interval(
    publisher: Publisher, producer: FakeProducer
) -> None:
    hands = Hands()
    hands.now = NOW + 1  # the next multiple of 0.05 s is 49,999 us away
    clock = Clock(publisher, "r1", Seen(), dict, hands, interval=0.05)
    running = asyncio.create_task(clock.run())

    await eventually(lambda: len(producer.entries(0)) >= 3)
    running.cancel()

    numbers = [entry.id for entry in producer.entries(0)[:3]]
    assert numbers == ["tick-r1-1", "tick-r1-2", "tick-r1-3"]


def test_hours_seen_are_bounded_in_a_tick_and_in_all() -> None:
    seen = Seen()
    seen.note((f"s{n:06}", HOUR) for n in range(200_001))

    taken = seen.hours.take()

    # a name of seven characters and its hour take 23 bytes of 128 kB
    assert (len(taken), seen.dropped) == (128 * 1024 // 23, 1)
    seen.hours.give_back(taken)
    assert seen.hours.take() == taken


def test_a_tick_fits_into_an_entry_however_long_the_names_of_sources_are() -> None:
    seen = Seen()
    seen.note((f"{n:05}" + "é" * 251, HOUR) for n in range(2_500))

    seen.fed.note(("usage", f"{n:05}" + "é" * 251) for n in range(2_500))
    seen.fed.note((f"i{n:05}" + "é" * 90, "é" * 256) for n in range(2_500))

    tick = ClockTicked(at=1, mode="live", seen=seen.hours.take(), fed=seen.fed.take())

    assert 0 < len(tick.seen) < 2_500
    assert 0 < sum(map(len, tick.fed.values())) < 2_500
    assert len(msgspec.msgpack.encode(tick)) < 2 * 128 * 1024 + 1024
