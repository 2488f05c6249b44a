"""The model test: whatever crashes, whatever comes twice, the log decides (design.md §6)."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from schemas import cases
from schemas.alerts import SEVERITIES, AlertRaised
from schemas.cases import LogRecord, NoticeFailed, NoticeIntended, Outcome
from services.alerts.cases import case as bounds
from services.alerts.cases.case import Answer, Case, worse
from services.alerts.cases.partition import Partition
from tests.unit.alerts import builders as a

WHO = ("acme", "a/b")
ALERTS = ("p", "q")
PEOPLE = ("ana", "bob")
CHANNELS = ("crm", "log")
GARBAGE = (None, b"", b'{"type":"case.merged"}', b"{")
OUTCOMES: tuple[Outcome, ...] = ("saved", "churned")

alerts = st.builds(
    lambda kind, id, severity, day, **about: kind(id, severity, day=day, stamp=day, **about),
    st.sampled_from([a.raised, a.raised, a.worsened, a.worsened, a.eased]),
    st.sampled_from(ALERTS),
    st.sampled_from(SEVERITIES),
    st.integers(1, 9),
    account=st.sampled_from(WHO),
    shadow=st.sampled_from([False, False, False, True]),
    historic=st.sampled_from([False, False, False, True]),
)
clearings = st.builds(
    lambda id, day, account: a.cleared(id, day=day, account=account),
    st.sampled_from(ALERTS),
    st.integers(1, 9),
    st.sampled_from(WHO),
)
acts = st.builds(
    lambda make, id, case, by, seen: make(id=f"k{id}", case=case, by=by, seen=seen),
    st.one_of(
        st.sampled_from([a.acknowledged, a.commented, a.reopened, a.woken]),
        st.sampled_from([60.0, 600.0]).map(lambda until: lambda **done: a.snoozed(until, **done)),
        st.sampled_from(OUTCOMES).map(lambda out: lambda **done: a.resolved(out, **done)),
        st.sampled_from([None, *PEOPLE]).map(lambda to: lambda **done: a.assigned(to, **done)),
        st.sampled_from(ALERTS).map(lambda id: lambda **done: a.feedback(id, **done)),
    ),
    st.integers(0, 40),
    st.sampled_from([*WHO, *WHO, *WHO, "nobody"]),
    st.sampled_from(PEOPLE),
    st.sampled_from([None, None, 1, 2, 3, 4]),
)


mixed = st.lists(st.one_of(alerts, acts, clearings), min_size=2, max_size=8)


class DeskModel(RuleBasedStateMachine):
    """A log that grows, an owner that folds it, crashes and is replaced, and a store."""

    def __init__(self) -> None:
        super().__init__()
        self.log = a.Log()
        self.owner = Partition.begin(0, 1)
        self.store: dict[str, bytes] = {}
        self.tight = False
        self.patch = pytest.MonkeyPatch()

    @initialize(tight=st.booleans())
    def begins(self, tight: bool) -> None:
        self.tight = tight
        if tight:
            self.patch.setattr(bounds, "ANSWER_LIMIT", 3)
            self.patch.setattr(bounds, "ENDED_LIMIT", 1)
            self.patch.setattr(bounds, "ENTRY_LIMIT", 4)

    @rule(told=st.lists(alerts | clearings, min_size=2, max_size=6))
    def rules_speak(self, told: list[LogRecord]) -> None:
        self.log.add(*told)

    @rule(told=st.lists(acts, min_size=2, max_size=6))
    def people_act(self, told: list[LogRecord]) -> None:
        self.log.add(*told)

    @rule(told=mixed)
    def both_at_once(self, told: list[LogRecord]) -> None:
        self.log.add(*told)

    @rule(told=mixed)
    def both_are_folded_at_once(self, told: list[LogRecord]) -> None:
        self.log.add(*told)
        self.fold(len(self.log.messages))

    @rule(back=st.lists(st.integers(1, 12), min_size=1, max_size=4))
    def something_comes_again(self, back: list[int]) -> None:
        for one in back:
            for again in self.log.messages[-one:][:1]:
                self.log.write(again.key, again.value)

    @rule(value=st.sampled_from(GARBAGE))
    def something_is_written_that_nobody_can_read(self, value: bytes | None) -> None:
        self.log.write("acme", value)

    @rule(
        channels=st.integers(0, 2),
        ends=st.lists(st.sampled_from(["sent", "again", "last"]), max_size=4),
        seconds=st.sampled_from([0, 60, 600]),
    )
    def what_is_due_is_done(self, channels: int, ends: list[str], seconds: int) -> None:
        self.fold(len(self.log.messages) // 2)
        left = iter(ends)
        for case, one in self.owner.open_notices():
            if one.deliveries is None:
                self.log.add(a.intended(one.id, *CHANNELS[:channels], case=case.id))
            for name, delivery in (one.deliveries or {}).items():
                end, attempt = next(left, None), delivery.attempts + 1
                if end == "sent":
                    self.log.add(a.delivered(one.id, name, attempt, case=case.id))
                elif end is not None:
                    again = 60.0 if end == "again" else None
                    self.log.add(a.failed(one.id, name, attempt, again, case=case.id))
        self.log.add(*self.owner.due(a.us(seconds)))

    @rule(count=st.integers(1, 20))
    def fold(self, count: int) -> None:
        new = [one for one in self.log.messages if one.offset > self.owner.stamp]
        a.apply(self.owner, new[:count])

    @rule()
    def replay(self) -> None:
        folded = [one for one in self.log.messages if one.offset <= self.owner.stamp]
        a.apply(self.owner, folded)

    @rule()
    def cut(self) -> None:
        self.store = a.store(self.store, self.owner.cut())

    @rule()
    def crash(self) -> None:
        self.owner = Partition.restore(0, 1, self.store)

    @rule()
    def crash_before_the_cut_is_written(self) -> None:
        self.owner.cut()
        self.owner = Partition.restore(0, 1, self.store)

    def teardown(self) -> None:
        try:
            self._end()
        finally:
            self.patch.undo()

    def _end(self) -> None:
        self.fold(len(self.log.messages))
        self.cut()
        undisturbed = Partition.begin(0, 1)
        watcher = Watcher(undisturbed, self.tight)
        for message in self.log.messages:
            watcher.apply(message)
        assert self.owner.cases == undisturbed.cases
        assert self.owner.failures == undisturbed.failures == []
        # A partition to which nothing was ever written has no snapshot yet.
        assert self.store == a.store({}, undisturbed.cut())
        assert Partition.restore(0, 1, self.store).cases == undisturbed.cases


class Watcher:
    """Folds a log one by one, and holds what must be true of every step and between two.

    Args:
        partition: What folds.
        tight: Bounds are small, so that what was forgotten may happen anew.
    """

    def __init__(self, partition: Partition, tight: bool) -> None:
        self.partition = partition
        self.tight = tight
        self.seen: list[LogRecord] = []
        self.answers: dict[tuple[str, str], Answer] = {}
        self.raised: dict[str, str] = {}

    def apply(self, message: a.Message) -> None:
        """Fold a message and look at what it did."""
        before = {one.id: one.copy() for one in self.partition.cases.values()}
        self.partition.apply(*message)
        try:
            record = cases.decode(message.value or b"")
        except ValueError:
            assert self.partition.cases == before
            return
        self.seen.append(record)
        key = a.case_of(record)
        others = {id: one for id, one in self.partition.cases.items() if id != key}
        assert others == {id: one for id, one in before.items() if id != key}
        case = self.partition.cases.get(key)
        if case is not None:
            self._case(before.get(key, Case(key)), case, record)
        for answer in self.partition.take_answers():
            if not self.tight:
                assert self.answers.setdefault((answer.case, answer.id), answer) == answer

    def _case(self, before: Case, case: Case, record: LogRecord) -> None:
        assert case.version >= before.version
        assert case.generation >= before.generation
        assert case.next_entry - before.next_entry in (0, 1)
        _consistent(case)
        begun = case.notices.keys() - before.notices.keys()
        assert len(begun) <= 1
        for closed in before.notices.keys() - case.notices.keys():
            _every_target_has_its_outcome(closed, self.seen)
        if isinstance(record, AlertRaised) and not self.tight:
            assert self.raised.setdefault(f"{case.id}/{record.alert_id}", case.id) == case.id
            holders = [
                one.id
                for one in self.partition.cases.values()
                if one.id == record.account and record.alert_id in one.standings
            ]
            assert holders == [case.id]
            self._told(before, case, record, bool(begun))

    def _told(self, before: Case, case: Case, record: AlertRaised, begun: bool) -> None:
        """A new alert is told, unless it is of history, in shadow, or snoozed with its case."""
        known = before.standings.get(record.alert_id)
        new = case.standings[record.alert_id] != known and not (known and known.counts)
        snoozed = before.state == "snoozed" and not worse(record.severity, before.handled)
        silent = record.historic or record.shadow or snoozed
        if new:
            assert begun == (not silent)


def _consistent(case: Case) -> None:
    assert (case.state == "snoozed") == (case.until is not None)
    assert case.outcome is None or case.state == "resolved"
    assert case.listed or (case.state == "resolved" and not list(case.counted()))
    counted = [SEVERITIES.index(one.latest.severity) for one in case.counted()]
    assert not counted or SEVERITIES.index(case.severity) == max(counted)
    assert not any(one.closed for one in case.notices.values())
    assert all(one.generation <= case.generation for one in case.notices.values())
    assert [one.n for one in case.entries] == list(
        range(case.next_entry - len(case.entries), case.next_entry)
    )
    assert len(case.entries) <= bounds.ENTRY_LIMIT
    assert len(case.answers) <= bounds.ANSWER_LIMIT
    assert sum(not one.open for one in case.standings.values()) <= bounds.ENDED_LIMIT


def _every_target_has_its_outcome(notice: str, seen: Iterable[LogRecord]) -> None:
    """Look it up in the log itself: the first intent, and what came after it."""
    mine: Sequence[LogRecord] = [
        one for one in seen if isinstance(one, cases.Note) and one.id == notice
    ]
    intents = [n for n, one in enumerate(mine) if isinstance(one, NoticeIntended)]
    assert intents
    first = mine[intents[0]]
    assert isinstance(first, NoticeIntended)
    ended = {
        one.channel
        for one in mine[intents[0] :]
        if isinstance(one, cases.NoticeDelivered)
        or (isinstance(one, NoticeFailed) and one.retry_at is None)
    }
    assert {one.channel for one in first.targets} <= ended


DeskModel.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class TestDeskModel(DeskModel.TestCase):  # type: ignore[misc,valid-type]
    """Hypothesis runs the machine; on a failure it prints the shortest story it found."""

    pytestmark = pytest.mark.timeout(120)
