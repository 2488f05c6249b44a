"""A bug in the fold and its end, lived through by the whole service: whatever crashes meanwhile."""

import contextlib
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from schemas.alerts import Alert, AlertRaised
from schemas.cases import LogRecord
from services import runtime
from services.alerts import consumer, outbox, ownership
from services.alerts.cases import alarms
from services.alerts.cases.case import Case, Place
from services.alerts.cases.notices import notice_id
from services.alerts.cases.partition import Partition
from tests.unit.alerts import builders as a
from tests.unit.alerts.simulation.clock import Clock
from tests.unit.alerts.simulation.ending import settle
from tests.unit.alerts.simulation.replica import Store
from tests.unit.alerts.simulation.stories import CHANNELS, alerts, clearings
from tests.unit.alerts.simulation.world import World
from tests.unit.alerts.test_model import _process

REAL = alarms.take


class Bugged(World):
    """A world whose snapshots may lack what is held."""

    def look_at_snapshot(self) -> Partition:
        """Return what is stored."""
        return Partition.restore(0, 1, dict(self.snapshots.kept))


def take(case: Case, alert: Alert, at: Place) -> bool:
    """Fold a record; the bug is in how the alerts that are called `q` begin."""
    changed = REAL(case, alert, at)
    if alert.alert_id == "q" and isinstance(alert, AlertRaised):
        raise ArithmeticError("a bug")
    return changed


@contextlib.contextmanager
def living() -> Iterator[Bugged]:
    """Give a world, two replicas in it."""
    with pytest.MonkeyPatch.context() as patch, capture_logs():
        patch.setattr(runtime, "leave", lambda code: _process().end(int(code)))
        patch.setattr(ownership, "Store", lambda *_: Store(_process()))
        clock = Clock(a.START)
        for module in (consumer, ownership, outbox):
            patch.setattr(module, "time", clock)
        world = Bugged(clock)
        try:
            world.passes(3.0)
            yield world
        finally:
            for one in world.replicas:
                one.crash()
                one.bury()


def pass_turns(world: World, turns: int) -> None:
    for _ in range(turns):
        world.step(until=world.clock.monotonic() + 60.0)


def restart(world: World) -> None:
    """End both processes; others begin in their places."""
    for one in world.replicas:
        one.crash()


def standings(partition: Partition) -> dict[str, list[object]]:
    return {id: list(case.standings.items()) for id, case in partition.cases.items()}


def times(world: World, notice: str) -> list[int]:
    """Return how often each channel got a notice."""
    return [len(world.endpoints.received[channel, notice]) for channel in CHANNELS]


def test_its_notice_is_sent_once_when_the_bug_is_gone_and_not_before() -> None:
    with living() as world, pytest.MonkeyPatch.context() as patch:
        patch.setattr(alarms, "take", take)
        world.log.transact([a.raised("p"), a.raised("q", "high"), a.raised("r")], "committed")
        world.passes(30.0)
        steps = [notice_id("acme", one.offset, one.appended, "added") for one in world.log.messages]
        assert [times(world, id) for id in steps[1:3]] == [[0, 0], [1, 1]]
        assert world.rejected == [1]

        restart(world)
        world.passes(30.0)
        assert (times(world, steps[1]), world.rejected) == ([0, 0], [1])

        patch.undo()
        restart(world)
        partition = settle(world)
        assert times(world, steps[1]) == [1, 1]
        assert [*partition.cases["acme"].standings] == ["p", "q", "r"]
        assert (world.rejected, partition.held) == ([1], 0)


@settings(max_examples=60, deadline=None)
@given(
    told=st.lists(alerts | clearings, min_size=1, max_size=8),
    before=st.lists(st.integers(0, 80), max_size=2),
    more=st.lists(alerts | clearings, max_size=3),
    after=st.lists(st.integers(0, 120), max_size=3),
)
def test_every_alert_stands_in_its_case_and_is_told_whenever_processes_die(
    told: Sequence[LogRecord], before: list[int], more: Sequence[LogRecord], after: list[int]
) -> None:
    with living() as world, pytest.MonkeyPatch.context() as patch:
        patch.setattr(alarms, "take", take)
        world.log.transact([*told], "committed")
        for turns in before:
            pass_turns(world, turns)
            restart(world)
        world.passes(8.0)
        patch.undo()
        world.log.transact([*more], "committed")
        restart(world)
        for turns in after:
            pass_turns(world, turns)
            restart(world)
        partition = settle(world)
        undisturbed = a.apply(Partition.begin(0, 1), world.log.committed)
        assert standings(partition) == standings(undisturbed)
        assert partition.held == 0
        assert len(set(world.rejected)) == len(world.rejected)
        for (channel, notice), bodies in world.endpoints.received.items():
            assert world.endpoints.took(channel, notice)
            assert len({body for body, _ in bodies}) == 1
