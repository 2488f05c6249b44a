import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping

import pytest

from services.runtime import ExitCode
from services.watchdog import Place, Watchdog
from tests.platform import eventually

EVENTS, STATE = Place("t.events.v1", 3), Place("t.state.v1", 3)

Positions = Mapping[Place, object]


class World:
    """A process that is watched with a patience of 60 s, looked at every 5 s, by hand."""

    def __init__(self) -> None:
        self.positions: Positions = {}
        self.answers = True
        self.asked: list[set[Place]] = []
        self.ended: list[tuple[str, ExitCode]] = []
        self.dog = Watchdog(self.probe, self.ends, 60, lambda *end: self.ended.append(end))
        self.dog._loop = asyncio.get_running_loop()
        self.dog._loop_thread = threading.get_ident()

    def probe(self) -> Positions:
        return self.positions

    def ends(self, places: Collection[Place]) -> dict[tuple[str, int], int] | None:
        self.asked.append(set(places))
        return dict.fromkeys(places, 400) if self.answers else None

    async def pass_by(self, seconds: float, at: Callable[[float], Positions]) -> None:
        """Look as time goes by, until something ends; `at` tells how far the work is when."""
        for step in range(round(seconds / 5)):
            self.positions = at(step * 5.0)
            self.dog.look(5.0)
            await asyncio.sleep(0)
            if self.ended:
                return


async def test_work_that_stands_still_ends_the_process_and_says_where() -> None:
    world = World()
    await world.pass_by(300, lambda _: {EVENTS: "stamp 17"})
    assert world.ended == [
        (
            "no progress for 60 s: t.events.v1 partition 3 stands at stamp 17, and Kafka has it up "
            "to 399",
            ExitCode.STUCK,
        )
    ]
    # After half of the patience, and at its end.
    assert world.asked == [{EVENTS}, {EVENTS}]


@pytest.mark.parametrize(
    "at",
    [
        lambda now: {EVENTS: now // 30},  # it moves every 30 s
        lambda now: {EVENTS: now // 55},  # every 55 s
        lambda _: {},  # nothing waits
        lambda now: {} if now % 50 == 0 else {EVENTS: 1},  # in between nothing waited
        lambda now: {EVENTS: now // 40, STATE: now // 50},
    ],
)
async def test_work_that_moves_now_and_then_goes_on(at: Callable[[float], Positions]) -> None:
    world = World()
    await world.pass_by(900, at)
    assert world.ended == []


async def test_one_place_that_stands_still_is_enough() -> None:
    world = World()
    await world.pass_by(300, lambda now: {EVENTS: now, STATE: "the flush after 3.5"})
    assert [code for _, code in world.ended] == [ExitCode.STUCK]
    assert "t.state.v1 partition 3 stands at the flush after 3.5" in world.ended[0][0]
    assert "events" not in world.ended[0][0]


async def test_while_kafka_does_not_answer_nothing_ends_and_then_patience_begins_anew() -> None:
    world = World()
    world.answers = False
    await world.pass_by(900, lambda _: {EVENTS: 17})
    assert world.ended == []
    world.answers = True
    # It is asked once more, and then half of the patience is left to go on in.
    await world.pass_by(30, lambda _: {EVENTS: 17})
    assert world.ended == []
    await world.pass_by(60, lambda _: {EVENTS: 17})
    assert [code for _, code in world.ended] == [ExitCode.STUCK]


async def test_kafka_that_is_back_at_the_last_moment_gives_time_to_go_on() -> None:
    world = World()

    def at(now: float) -> Positions:
        # Away from 35 s to 60 s: it answered after half of the patience, and at its end.
        world.answers = not 35 <= now <= 60
        return {EVENTS: now if now > 70 else 17}

    await world.pass_by(65, at)
    assert world.ended == []
    await world.pass_by(300, lambda now: {EVENTS: now})
    assert world.ended == []


async def test_a_probe_that_fails_ends_the_process_as_a_bug() -> None:
    ended: list[tuple[str, ExitCode]] = []

    def fails() -> Positions:
        raise ZeroDivisionError("by nothing")

    dog = Watchdog(fails, lambda _: {}, 0.6, lambda *end: ended.append(end))
    dog.start()
    await eventually(lambda: ended, what="an end")
    dog.stop()
    assert ended[0] == (
        "the watchdog itself failed: ZeroDivisionError('by nothing')",
        ExitCode.BUG,
    )


async def test_an_event_loop_that_stands_still_ends_the_process_and_the_line_is_named() -> None:
    ended: list[tuple[str, ExitCode]] = []
    seen = threading.Event()

    def end(what: str, code: ExitCode) -> None:
        ended.append((what, code))
        seen.set()

    dog = Watchdog(dict, lambda _: {}, 0.3, end)
    dog.start()
    stand_still(seen)
    dog.stop()
    what, code = ended[0]
    assert code == ExitCode.STUCK
    assert what.startswith("the event loop has not answered for 0.3 s; it is in ")
    assert "stand_still (" in what


def stand_still(until: threading.Event) -> None:
    # Nothing but the watchdog's own thread can end this.
    assert until.wait(20)


async def test_a_loop_that_is_busy_and_answers_goes_on() -> None:
    ended: list[tuple[str, ExitCode]] = []
    dog = Watchdog(dict, lambda _: {}, 1.0, lambda *end: ended.append(end))
    dog.start()
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        sum(range(10_000))
        await asyncio.sleep(0)
    dog.stop()
    assert ended == []
