"""The model test: whatever crashes, whoever owns a partition, the logs decide (design.md §5)."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from schemas.config import MetricFlags
from schemas.envelope import Entry
from schemas.events import ClockTicked, UsageRecorded
from services.detector import persons
from services.detector.facts import Moment, Step
from services.detector.facts.usage import Usage
from tests import builders as a
from tests import playing
from tests.unit.detector import contents
from tests.unit.detector.oracle import Recount, Sent
from tests.unit.detector.stories import BUG, KINDS, WHO, Stories, home
from tests.unit.detector.workers import Owner, Worker

HORIZON = 40
"""Ids remembered: generations of eight, so that their borders are met often."""

WAITING_LIMIT = 4
PARTITIONS = 2
NO_RULES_KEEP = 60

RULE_SETS: tuple[tuple[int, Sequence[Any], dict[str, Any]], ...] = (
    # the days of silence, 56 of rhythm, 28 for corrections
    (2 + 56 + 28, (a.silent(2), a.unpaid(2)), {}),
    (2 + 56 + 28, (a.silent(2, clear_days=2), a.unpaid(1), a.gone(), a.no_admin()), {}),
    (40 + 56 + 28, (a.silent(40),), {"metrics": {"logins": MetricFlags(meaningful=False)}}),
    (2 + 56 + 28, (a.silent(2, off=True), a.unpaid(2, shadow=True)), {}),
    (60 + 28, (a.unpaid(1),), {}),
    (140 + 56 + 28, (a.silent(140),), {}),
)

partitions = st.integers(0, PARTITIONS - 1)
specs = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 2), st.integers(0, 60)),
    min_size=2,
    max_size=10,
)


class PartitionModel(RuleBasedStateMachine):
    """Two logs that grow, owners that fold them, crash and are replaced, and what they store.

    Attributes:
        rule_sets: Days of history that each asks for, its rules, and the rest of its content.
        at_once: Accounts that are judged at a time when all comes to its end.
        portions: The same of the undisturbed owners with whom all is compared.
    """

    rule_sets = RULE_SETS
    at_once = 2
    portions: tuple[int, ...] = (1, 250)

    def __init__(self) -> None:
        super().__init__()
        self.now = a.at(100, 3)
        self.workers = [Worker(n, PARTITIONS, HORIZON) for n in range(PARTITIONS)]
        self.kept_days = {0: NO_RULES_KEEP}
        self.stories = Stories()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(Usage, "fold", _with_a_bug(Usage.fold))
        self.patch.setattr(persons, "WAITING_LIMIT", WAITING_LIMIT)

    @initialize()
    def begins(self) -> None:
        rules = self._rules(0)
        for worker in self.workers:
            worker.log.add(rules, a.tick(100, 3, seen={"app": [99]}))
        for who in WHO:
            self._append([a.usage(3, account=who, person="u1", day=99)])

    @rule(told=specs)
    def append_events(self, told: list[tuple[str, int, int]]) -> None:
        recent = [entry for worker in self.workers for entry in worker.log.entries[-4:]]
        self._append([self.stories.tell(*one, self.now, recent) for one in told])

    @rule(
        days=st.sampled_from([1, 0, 2, 1, 3, 0, 5, 31]),
        quiet=st.integers(0, 5),
        late=st.sampled_from([None, None, 0, 1]),
    )
    def append_a_tick(self, days: int, quiet: int, late: int | None) -> None:
        hours = 6 if days == 0 else 24 * days
        before, self.now = self.now, self.now + hours * a.HOUR_US
        gone = range((self.now - before) // a.HOUR_US + 1)
        seen = {} if quiet == 5 else {"app": [before // a.HOUR_US + hour for hour in gone]}
        tick = Entry("", "ebbwatch", 0, (), ClockTicked(at=self.now, mode="live", seen=seen))
        for number, worker in enumerate(self.workers):
            if number != late:
                worker.log.add(tick, appended=self.now)

    @rule(
        who=st.integers(0, 2),
        back=st.integers(1, 3),
        end=st.sampled_from(["late", "merge", "erase"]),
    )
    def append_days_of_silence_and_their_end(self, who: int, back: int, end: str) -> None:
        self.append_events([("usage", who, 9)])
        for _ in range(4):
            self.append_a_tick(1, 0, None)
        if end == "late":
            self._append([a.usage(account=WHO[who], time=self.now - back * a.DAY_US)])
            self.append_a_tick(1, 0, None)
        elif end == "merge":
            self.append_events([("merges", who, 3 * back)])
        else:
            self.append_an_erasure(False, who, 0)

    @rule(
        who=st.integers(0, 2),
        zones=st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0, 0, 1])), max_size=4),
    )
    def append_an_account_that_moves(self, who: int, zones: list[tuple[int, int]]) -> None:
        for zone, days in zones:
            self.append_events(
                [("zone", who, zone), ("zone", (who + 1) % 3, zone), ("usage", who, 1)]
            )
            self.append_a_tick(days, 0, None)

    @rule(n=st.integers(0, 2), who=st.lists(st.integers(0, 2), max_size=3))
    def append_a_person_who_may_join_among_their_events(self, n: int, who: list[int]) -> None:
        told = [("of_person", 0, 3 * k + n) for k in range(1, 4)]
        for k, account in enumerate(who):
            told[k + 1 : k + 1] = [("joins", account, 3 * k + n), ("of_person", 0, 30 + n)]
        self.append_events(told)

    @rule(who=st.integers(0, 2), into=st.integers(0, 2), n=st.integers(0, 60))
    def append_a_merge(self, who: int, into: int, n: int) -> None:
        merge = ("merges", who, 3 * into)
        self.append_events([("usage", who, n), ("failed", who, n), merge, ("usage", who, n + 1)])
        self.append_events([("usage", into, n), ("failed", who, 0), ("role", who, n)])

    @rule(
        what=st.sampled_from(["rules"] * 4 + ["repair"] * 2 + ["poison"]),
        which=st.integers(0, len(RULE_SETS) - 1),
    )
    def append_something_of_the_system(self, what: str, which: int) -> None:
        if what == "rules":
            self._everywhere(self._rules(which))
        elif what == "repair":
            self._everywhere(a.repaired(WHO[which % 3]))
        else:
            self.workers[which % PARTITIONS].log.garbage(b"\x92\x01\x91\x01")

    @rule(person=st.booleans(), n=st.integers(0, 2), back=st.sampled_from([0, 0, 1, 30]))
    def append_an_erasure(self, person: bool, n: int, back: int) -> None:
        at = self.now - back * a.MINUTE_US
        erased = a.person_erased(f"u{n}", time=at) if person else a.erased(account=WHO[n], time=at)
        self._everywhere(erased)

    @rule(sent=st.booleans())
    def go_on(self, sent: bool) -> None:
        for worker in self.workers:
            worker.owner.fold(worker.log, len(worker.log.messages))
            if sent:
                worker.owner.send(self._deliver)

    @rule(which=partitions, count=st.integers(1, 8))
    def fold(self, which: int, count: int) -> None:
        self.workers[which].owner.fold(self.workers[which].log, count)

    @rule(which=partitions, limit=st.integers(1, 4))
    def judge(self, which: int, limit: int) -> None:
        self.workers[which].owner.judge(limit)

    @rule(which=partitions)
    def replay(self, which: int) -> None:
        worker = self.workers[which]
        playing.apply(
            worker.owner.partition, worker.log.messages[: worker.owner.partition.stamp + 1]
        )

    @rule(which=partitions, count=st.integers(1, 4))
    def send_forwards(self, which: int, count: int) -> None:
        self.workers[which].owner.send(self._deliver, count)

    @rule(which=partitions, folded=st.booleans(), crash=st.booleans())
    def commit(self, which: int, folded: bool, crash: bool) -> None:
        worker = self.workers[which]
        if folded:
            worker.owner.fold(worker.log, len(worker.log.messages))
        worker.commit(self._deliver)
        if crash:
            worker.crash()

    @rule(which=partitions)
    def crash(self, which: int) -> None:
        self.workers[which].crash()

    @rule(which=partitions)
    def crash_before_the_commit(self, which: int) -> None:
        worker = self.workers[which]
        worker.owner.send(self._deliver)
        worker.owner.partition.cut()
        worker.crash()

    @rule(which=partitions)
    def lose_the_partition(self, which: int) -> None:
        self.workers[which].lose()

    @precondition(lambda self: any(worker.zombie for worker in self.workers))
    @rule(count=st.integers(1, 4), sent=st.integers(0, 4))
    def former_owners_go_on_and_are_refused(self, count: int, sent: int) -> None:
        for worker in self.workers:
            if worker.zombie is not None:
                worker.zombie.fold(worker.log, count)
                worker.zombie.judge(count)
                # Nobody fences the producer of forwards: what it sends must be known as repeated.
                worker.zombie.send(self._deliver, sent)
                worker.zombie.partition.cut()

    def teardown(self) -> None:
        try:
            if self.workers[0].log.messages:
                self._end()
        finally:
            self.patch.undo()

    def _end(self) -> None:
        rounds = 0
        while any(self._proceed(worker) for worker in self.workers):
            rounds += 1
            assert rounds < 40, "forwards go round and round"
        for worker in self.workers:
            worker.commit(self._deliver)
        recounts = [self._recount(number) for number in range(PARTITIONS)]
        for number, worker in enumerate(self.workers):
            for judged_at_once in self.portions:
                self._same(number, self._undisturbed(worker, judged_at_once))
            # Whoever is erased and begins anew may be told of the same day once more.
            told = {(contents.moment(one), one.account_now.stamp) for one in worker.alerts}
            assert len(told) == len(worker.alerts)
            self._counted(worker, recounts[number])

    def _proceed(self, worker: Worker) -> bool:
        """Fold and judge all, and send what came of it; tell whether anything happened."""
        before = worker.owner.partition.stamp
        worker.owner.fold(worker.log, len(worker.log.messages))
        while worker.owner.judge(self.at_once):
            pass
        moved = worker.owner.partition.stamp != before or bool(worker.owner.unsent)
        worker.owner.send(self._deliver)
        return moved

    def _undisturbed(self, worker: Worker, judged_at_once: int) -> Owner:
        owner = Owner(worker.fresh())
        for _ in worker.log:
            owner.fold(worker.log, 1)
            while judged_at_once > 1 and owner.judge(judged_at_once):
                pass
        while owner.judge(judged_at_once):
            pass
        return owner

    def _same(self, number: int, undisturbed: Owner) -> None:
        """What was stored, raised and sent is what one undisturbed owner would have."""
        worker, cut = self.workers[number], undisturbed.partition.cut()
        assert worker.stored == playing.store(self.stored_before(number), cut)
        assert contents.encoded(worker.alerts) == contents.encoded(cut.alerts)
        assert contents.plain(worker.rejects) == contents.plain(cut.rejects)
        for target, other in enumerate(self.workers):
            told = [one for to, one in undisturbed.unsent if to and home(to) == target]
            assert [*contents.forwards(other.log, number).values()] == told
            said = {one.id: one for to, one in undisturbed.unsent if not to}
            assert self.said(other.log, number) == said

    def stored_before(self, number: int) -> dict[str, bytes]:
        """Return what was stored of a partition before the story begins."""
        return {}

    def said(self, log: playing.Log, number: int) -> dict[str, Entry]:
        """Return what a partition has said in a log since the story began, by id."""
        return contents.said(log, number)

    def _counted(self, worker: Worker, recount: Recount) -> None:
        """What was counted is what a recount of the log says, which shares no code with it."""
        partition, buggy = worker.restored(), self._buggy()
        counted = contents.buckets(partition, recount)
        assert contents.without(buggy, counted) == contents.without(buggy, recount.kept())
        assert contents.subjects(partition) == recount.subjects()
        found = [
            Sent(one.subjects[0].partition(":")[2], one.id, *one.origin)
            for other in self.workers
            for one in contents.forwards(other.log, recount.number).values()
            if one.origin is not None
        ]
        erased = {(who, until) for who, until in recount.erasures if who not in buggy}
        for other in self.workers:
            assert erased <= contents.erasures(other.log)
        sent = [one for one in recount.sent if not self._held(worker.log, one, buggy)]
        assert sorted(one for one in found if not self._held(worker.log, one, buggy)) == sorted(
            sent
        )

    def _recount(self, number: int) -> Recount:
        recount, log = Recount(number, self.kept_days, WAITING_LIMIT), self.workers[number].log
        for message, entries in zip(log, log.entries, strict=True):
            recount.message(message.offset, message.appended, entries)
        return recount

    def _buggy(self) -> set[str]:
        """Accounts whose fold raised: they are held back, and nobody tells from when on."""
        return {
            one.subjects[0].partition(":")[2]
            for worker in self.workers
            for entries in worker.log.entries
            for one in entries
            if isinstance(one.event, UsageRecorded) and one.event.metric == BUG
        }

    def _held(self, log: playing.Log, sent: Sent, buggy: set[str]) -> bool:
        """Tell whether a forward is of an entry that a quarantine may have held."""
        cause = log.entries[sent.offset][sent.place >> 20]
        return any(subject.partition(":")[2] in buggy for subject in cause.subjects)

    def _append(self, told: Sequence[Entry]) -> None:
        for number, entries in enumerate(self.stories.spread(told, PARTITIONS)):
            if entries:
                self.workers[number].log.add(*entries, appended=self.now)

    def _everywhere(self, one: Entry) -> None:
        for worker in self.workers:
            worker.log.add(one, appended=self.now)

    def _deliver(self, subject: str, one: Entry) -> None:
        for worker in self.workers if subject == "" else [self.workers[home(subject)]]:
            worker.log.add(one, appended=self.now)

    def _rules(self, which: int) -> Entry:
        kept, declared, beside = self.rule_sets[which % len(self.rule_sets)]
        n = len(self.kept_days)
        self.kept_days[n] = kept
        return a.rules(*declared, n=n, **beside)


def _with_a_bug(fold: Callable[..., Step | str | None]) -> Callable[..., Step | str | None]:
    """A fold that raises on one metric."""

    def folded(usage: Usage, one: Entry, at: Moment) -> Step | str | None:
        if isinstance(one.event, UsageRecorded) and one.event.metric == BUG:
            raise ArithmeticError("a bug")
        return fold(usage, one, at)

    return folded


def test_an_account_that_is_erased_and_begins_anew_gets_its_alert_anew_on_the_same_day() -> None:
    model = PartitionModel()
    model.begins()
    model.append_a_merge(who=0, into=0, n=0)
    model.append_an_erasure(person=False, n=0, back=1)
    model.append_a_merge(who=0, into=0, n=0)
    model.teardown()
    assert playing.told(model.workers[0].alerts) == [
        ("acme", "unpaid", "p0", told, 100) for told in ("raised", "superseded", "raised")
    ]


PartitionModel.TestCase.settings = settings(
    max_examples=50,
    stateful_step_count=35,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class TestPartitionModel(PartitionModel.TestCase):  # type: ignore[misc,valid-type]
    """Hypothesis runs the machine; on a failure it prints the shortest story it found."""

    pytestmark = pytest.mark.timeout(120)
