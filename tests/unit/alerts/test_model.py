"""The model test of the whole service: whatever crashes and whoever owns, the log decides (§6).

Two replicas with everything real but Kafka, Redis and the endpoints; every example is a story of
records, crashes and answers, with an end at which all is well again. Then the cases are what the
log says, and everything that had to be told was told, or is known not to have been.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from structlog.testing import capture_logs

from schemas.accounts import AccountSummary
from schemas.cases import LogRecord
from services import failpoints, runtime
from services.alerts import consumer, outbox, ownership
from services.alerts.cases.partition import Partition
from tests.unit.alerts import builders as a
from tests.unit.alerts.oracle import recount
from tests.unit.alerts.pictures import pictures
from tests.unit.alerts.simulation.clock import Clock
from tests.unit.alerts.simulation.ending import require_said, require_told, settle
from tests.unit.alerts.simulation.kafka import End
from tests.unit.alerts.simulation.outside import Manner
from tests.unit.alerts.simulation.replica import Replica, Store
from tests.unit.alerts.simulation.stories import (
    CHANNELS,
    HOUR,
    PEOPLE,
    WHO,
    Act,
    alerts,
    clearings,
    done,
)
from tests.unit.alerts.simulation.world import Fate, World, records

POINTS = ("outbox.intended", "outbox.sent", "outbox.noted")
GARBAGE = (None, b"", b'{"type":"case.merged"}', b"{")
places = st.integers(0, 1)


class ServiceModel(RuleBasedStateMachine):
    """A log that grows, replicas that fold it and tell of it, and everything that may go wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.quiet = contextlib.ExitStack()
        self.quiet.enter_context(capture_logs())
        self.patch.setattr(runtime, "leave", lambda code: _process().end(int(code)))
        self.patch.setattr(ownership, "Store", lambda *_: Store(_process()))
        # Fewer turns, and batches that end in the middle of a transaction.
        self.patch.setattr(consumer, "POLL_MILLISECONDS", 1000)
        self.patch.setattr(consumer, "POLL_RECORDS", 4)
        clock = Clock(a.START)
        for module in (consumer, ownership, outbox):
            self.patch.setattr(module, "time", clock)
        self.world = World(clock)

    @initialize()
    def begins(self) -> None:
        self.world.passes(3.0)

    @rule(
        told=st.lists(alerts | clearings, min_size=1, max_size=5),
        end=st.sampled_from(get_args(End)),
    )
    def rules_speak(self, told: list[LogRecord], end: End) -> None:
        self.world.log.transact(told, end)

    @rule(told=st.lists(alerts, min_size=1, max_size=3), turns=st.integers(1, 60))
    def rules_speak_and_it_is_told(self, told: list[LogRecord], turns: int) -> None:
        self.world.log.transact(told, "committed")
        self.some_turns(turns)

    @rule(told=st.lists(done, min_size=1, max_size=4), turns=st.integers(0, 20))
    def people_act(
        self, told: list[tuple[Act | float, int, str, str, int | None]], turns: int
    ) -> None:
        for act, id, case, by, behind in told:
            self.world.append(self._act(act, id, case, by, behind))
        self.some_turns(turns)

    @rule(
        back=st.lists(st.integers(1, 12), max_size=3),
        value=st.sampled_from(GARBAGE),
        end=st.sampled_from(["committed", "aborted"]),
    )
    def something_is_written_that_says_nothing_new(
        self, back: list[int], value: bytes | None, end: End
    ) -> None:
        self.world.log.settle(end)
        for one in back:
            for again in self.world.log.messages[-one:][:1]:
                self.world.log.write(again.key, again.value)
        if not back:
            self.world.log.write("acme", value)

    @rule(
        who=st.sampled_from(WHO), owner=st.sampled_from([None, *PEOPLE]), stamp=st.integers(0, 12)
    )
    def an_account_changes_hands(self, who: str, owner: str | None, stamp: int) -> None:
        self.world.accounts.put(AccountSummary(account=who, stamp=stamp, owner=owner))

    @rule(turns=st.integers(1, 60))
    def some_turns(self, turns: int) -> None:
        for _ in range(turns):
            self.world.step(until=self.world.clock.monotonic() + 60.0)

    @rule(seconds=st.sampled_from([0.5, 3.0, 10.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.passes(seconds)

    @rule(seconds=st.sampled_from([20.0, 400.0, 3 * HOUR, 30 * HOUR]), after=st.integers(0, 8))
    def all_stand_still_for_a_while(self, seconds: float, after: int) -> None:
        self.world.jump(seconds)
        self.world.passes(after)

    @rule(turns=st.integers(0, 60), owner=st.sampled_from([True, True, False]))
    def a_process_is_killed(self, turns: int, owner: bool) -> None:
        self.some_turns(turns)
        place = self.world.owner or 0
        self.world.replicas[place if owner else 1 - place].crash()

    @rule(point=st.sampled_from(POINTS), told=alerts)
    def a_process_dies_at(self, point: str, told: LogRecord) -> None:
        failpoints.arm(f"{point}=raise")
        self.world.log.transact([told], "committed")
        self.world.passes(2.0)

    @rule(seconds=st.sampled_from([0.2, 3.0, 30.0]), told=alerts)
    def the_owner_freezes_and_another_takes_over(self, seconds: float, told: LogRecord) -> None:
        former = self.world.owning
        if former is None:
            return
        former.frozen = True
        self.world.hand_over(1 - former.place, told=False)
        self.world.log.transact([told], "committed")
        self.world.passes(seconds)
        former.frozen = False

    @rule(place=places, frozen=st.booleans())
    def a_process_freezes_or_goes_on(self, place: int, frozen: bool) -> None:
        self.world.replicas[place].frozen = frozen

    @rule(to=places, told=st.booleans(), turns=st.integers(0, 40))
    def the_partition_is_given_away(self, to: int, told: bool, turns: int) -> None:
        self.world.hand_over(to, told)
        self.some_turns(turns)

    @rule(told=alerts, turns=st.lists(st.integers(1, 60), min_size=1, max_size=4))
    def it_comes_and_goes_while_something_is_sent(self, told: LogRecord, turns: list[int]) -> None:
        self.world.endpoints.planned["crm"].append("slow")
        self.world.endpoints.planned["log"].append("asks for time")
        self.rules_speak_and_it_is_told([told], 40)
        for some in turns:
            self.the_partition_is_given_away(self.world.owner or 0, True, some)

    @rule(place=places, records=st.integers(1, 30))
    def some_of_the_log_is_read_once_more(self, place: int, records: int) -> None:
        self.world.replicas[place].reader.go_back(records)

    @rule(place=places)
    def who_lost_the_partition_learns_of_it(self, place: int) -> None:
        one = self.world.replicas[place]
        if one.holds and self.world.owner not in (None, place):
            one.leave(lambda: None)

    @rule(
        channel=st.sampled_from(CHANNELS),
        how=st.lists(st.sampled_from(get_args(Manner)), max_size=4),
    )
    def an_endpoint_will_answer(self, channel: str, how: list[Manner]) -> None:
        self.world.endpoints.planned[channel].extend(how)
        self.world.endpoints.broken ^= set() if how else {channel}

    @rule(
        channel=st.sampled_from(CHANNELS),
        state=st.sampled_from(["there", "there", "gone", "on", "on"]),
        lag=st.sampled_from([0.1, 0.1, 50.0]),
        away=st.sampled_from([False, False, True]),
        people=st.sampled_from([(), (), ("ana",), PEOPLE]),
    )
    def the_files_change(
        self, channel: str, state: str, lag: float, away: bool, people: tuple[str, ...]
    ) -> None:
        company = self.world.company
        self.world.lag, company.away = lag, away
        company.name(people)
        if state == "on":
            company.switch_on(channel)
        else:
            company.set_channel(channel, state == "there")

    @rule(
        fates=st.lists(st.sampled_from(get_args(Fate)), max_size=3),
        endings=st.lists(st.sampled_from(["is lost", "is not answered"]), max_size=1),
        away=st.sampled_from([0.0, 2.0, 30.0]),
    )
    def kafka_will_be_bad(self, fates: list[Fate], endings: list[Fate], away: float) -> None:
        self.world.fates.extend(fates)
        self.world.endings.extend(endings)
        self.world.away_until = self.world.clock.monotonic() + away

    @invariant()
    def nothing_happened_that_must_not(self) -> None:
        assert self.world.faults == []

    def teardown(self) -> None:
        try:
            self._end()
        finally:
            failpoints.arm("")
            for one in self.world.replicas:
                one.crash()
                one.bury()
            self.patch.undo()
            self.quiet.close()

    def _end(self) -> None:
        owner = settle(self.world)
        messages = self.world.log.committed
        counted = recount(messages)
        undisturbed = a.apply(Partition.begin(0, 1), messages)
        undisturbed.reach(owner.position)
        # A partition in which nothing ever stood has no snapshot.
        kept = a.store({}, undisturbed.cut()) if owner.position else {}
        assert pictures(undisturbed) == pictures(owner) == counted.pictures()
        assert (self.world.snapshots.kept, owner.failures) == (kept, [])
        refused = [one.offset or 0 for one in undisturbed.rejects]
        assert sorted(self.world.rejected) == refused
        require_told(self.world, counted)
        require_said(records(self.world.log), undisturbed)

    def _act(self, act: Act | float, id: int, case: str, by: str, behind: int | None) -> Any:
        version = next(self._versions(case), 1)
        seen = None if behind is None else max(0, version - behind)
        named: dict[str, Any] = {"id": f"k{id}", "case": case, "by": by, "seen": seen}
        if isinstance(act, float):
            since = (self.world.clock.now() - a.START).total_seconds()
            return a.snoozed(since + act, **named)
        return act(**named)

    def _versions(self, case: str) -> Iterator[int]:
        for one in self.world.replicas:
            owned = one.ownership.find(0)
            if owned is not None and case in owned.partition.cases:
                yield owned.partition.cases[case].version


def _process() -> Replica:
    process: Replica = asyncio.get_running_loop().process  # type: ignore[attr-defined]
    return process


ServiceModel.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class TestServiceModel(ServiceModel.TestCase):  # type: ignore[misc,valid-type]
    """Hypothesis runs the machine; on a failure it prints the shortest story it found."""

    pytestmark = pytest.mark.timeout(120)
