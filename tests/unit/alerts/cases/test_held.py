"""A record whose fold raises is held, and folded where it stood once the bug is gone."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import cases
from schemas.alerts import Alert
from schemas.cases import LogRecord
from schemas.envelope import Origin
from schemas.rejects import Reject
from services.alerts.cases import actions, alarms, held, ledger
from services.alerts.cases.case import Case, Place
from services.alerts.cases.held import ERROR_LIMIT, RAW_BYTES, TooManyHeld
from services.alerts.cases.partition import Failure, Partition
from services.alerts.cases.records import RECORD_BYTES
from tests.unit.alerts import builders as a

ERROR = "ArithmeticError: a bug"
REAL = alarms.take
TYPES = ("AlertRaised", "AlertWorsened", "AlertEased", "AlertCleared")


class Bug:
    """Lets the fold of some alerts' records raise, by their id and whether they raise an alert."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ids = {"bug"}
        self.types = {*TYPES}
        patch.setattr(alarms, "take", self.take)

    def take(self, case: Case, alert: Alert, at: Place) -> bool:
        """Fold a record; raise half-way where the bug is."""
        changed = REAL(case, alert, at)
        if alert.alert_id in self.ids and type(alert).__name__ in self.types:
            raise ArithmeticError("a bug")
        return changed

    def mend(self) -> None:
        """Be gone."""
        self.ids = set()


@pytest.fixture
def bug(monkeypatch: pytest.MonkeyPatch) -> Bug:
    return Bug(monkeypatch)


def kept(partition: Partition) -> dict[str, bytes]:
    return a.store({}, partition.cut())


def loaded(stored: dict[str, bytes]) -> Partition:
    """Return what the next owner begins with."""
    partition = Partition.restore(0, 1, stored)
    partition.fold_held()
    return partition


def reject(offset: int, record: LogRecord) -> Reject:
    return Reject(
        stage="alerts",
        reason="fold_raised",
        detail=ERROR,
        raw=cases.encode(record),
        source=a.case_of(record),
        topic="alerts.v1",
        partition=0,
        offset=offset,
    )


def test_its_case_stays_as_it_was_and_the_record_is_refused_and_held(bug: Bug) -> None:
    good: list[LogRecord] = [a.raised(), a.acknowledged(id="k")]
    bad: list[LogRecord] = [a.raised("bug"), a.raised("bug", account="beta")]
    partition = a.folded(*good, *bad)
    assert partition.cases == a.folded(*good).cases
    assert partition.failures == [Failure("acme", 3, ERROR), Failure("beta", 4, ERROR)]
    assert partition.rejects == [reject(3, bad[0]), reject(4, bad[1])]
    assert (partition.stamp, partition.held) == (4, 2)
    assert partition.counts["failed", "alert.raised"] == 2
    assert partition.counts["rejected", "fold_raised"] == 2
    stored = kept(partition)
    names = [f"\x1fheld\x1f{offset:020d}" for offset in (3, 4)]
    assert [key for key in stored if "held" in key] == names
    assert msgspec.json.decode(stored[names[1]]) == {
        "v": 1,
        "case": "beta",
        "offset": 4,
        "appended": a.us(3),
        "thread": "bug",
        "error": ERROR,
        "record": msgspec.json.decode(cases.encode(bad[1])),
    }


def test_once_the_bug_is_gone_it_stands_in_its_case_and_is_told_under_the_id_of_its_place(
    bug: Bug,
) -> None:
    story: list[LogRecord] = [a.raised(), a.raised("bug", "high"), a.commented(id="k")]
    partition = a.folded(*story)
    stored = kept(partition)
    bug.mend()
    mended = loaded(stored)
    case = mended.cases["acme"]
    assert case.standings == a.folded(*story).cases["acme"].standings
    assert (case.severity, mended.held) == ("high", 0)
    assert [*case.notices] == [a.notice(0, "opened"), a.notice(1, "added")]
    assert [(one.type, one.at) for one in case.entries] == [
        ("alert.raised", a.us(0)),
        ("case.commented", a.us(2)),
        ("alert.raised", a.us(1)),
    ]
    assert {id: [one.n for one in new] for id, new in mended.take_changed().items()} == {
        "acme": [2]
    }
    assert mended.counts["mended", "alert.raised"] == 1
    assert (mended.failures, mended.rejects) == ([], [])
    after = a.store(stored, mended.cut())
    assert not [key for key in after if "held" in key]
    again = loaded(after)
    assert (again.cases, again.dirty) == (mended.cases, 0)
    assert list(again.cases["acme"].standings) == list(case.standings)


def test_a_crash_before_that_is_written_begins_the_same_notice_again(bug: Bug) -> None:
    """What was intended and sent meanwhile is known by its id, so that it is not sent once more."""
    log = a.Log()
    log.add(a.raised(), a.raised("bug"))
    stored = kept(a.apply(Partition.begin(0, 1), log.messages))
    bug.mend()
    (first,) = loaded(stored).cases["acme"].notices.keys() - {a.notice(0, "opened")}
    log.add(a.intended(first, "crm"), a.delivered(first))
    partition = a.apply(loaded(stored), log.messages)
    assert [*partition.cases["acme"].notices] == [a.notice(0, "opened")]
    assert partition.counts["closed", "delivered"] == 1


def test_the_first_alert_of_a_customer_opens_its_case_late(bug: Bug) -> None:
    partition = a.folded(a.raised("bug"), a.acknowledged(id="k"))
    assert (partition.cases, partition.take_changed()) == ({}, {})
    bug.mend()
    mended = loaded(kept(partition))
    case = mended.cases["acme"]
    assert (case.state, case.opened_at) == ("open", a.us(0))
    assert [*case.notices] == [a.notice(0, "opened")]


def test_as_long_as_it_raises_it_is_held_counted_and_noted_but_refused_once(bug: Bug) -> None:
    stored = kept(a.folded(a.raised(), a.raised("bug")))
    partition = loaded(stored)
    assert partition.failures == [Failure("acme", 1, ERROR)]
    assert partition.counts["failed", "alert.raised"] == 1
    assert (partition.rejects, partition.held, partition.dirty) == ([], 1, 0)
    assert partition.cut() == [(ledger.KEY, stored[ledger.KEY])]


def test_later_records_of_the_alert_wait_and_all_others_are_folded(bug: Bug) -> None:
    bug.types = {"AlertRaised"}
    story: list[LogRecord] = [
        a.raised(),
        a.raised("bug", "high"),
        a.worsened("bug", "critical"),
        a.raised("c"),
        a.acknowledged(id="k"),
        a.cleared("bug"),
        a.raised("bug", account="beta", shadow=True),
        a.raised("c", account="beta"),
    ]
    partition = a.folded(*story)
    assert [*partition.cases["acme"].standings] == ["a", "c"]
    assert partition.cases["acme"].state == "acknowledged"
    assert [*partition.cases["beta"].standings] == ["c"]
    assert [one.offset for one in partition.failures] == [1, 9]
    assert [one.offset for one in partition.rejects] == [1, 9]
    assert partition.counts["behind", "alert.worsened"] == 1
    assert partition.counts["behind", "alert.cleared"] == 1
    stored = kept(partition)
    bug.mend()
    mended = loaded(stored)
    undisturbed = a.folded(*story)
    for name, case in undisturbed.cases.items():
        assert list(mended.cases[name].standings.items()) == list(case.standings.items())
    # It came, got worse and was over, each told; what the person did about the others stands.
    case = mended.cases["acme"]
    assert (case.state, case.severity) == ("open", "medium")
    assert [one.step for one in case.notices.values()] == ["opened", "added", "worsened", "added"]


def test_what_waited_and_raises_by_itself_is_refused_then_and_only_then(bug: Bug) -> None:
    bug.types = {"AlertRaised"}
    stored = kept(a.folded(a.raised("bug"), a.worsened("bug")))
    bug.types = {"AlertWorsened"}
    partition = loaded(stored)
    assert partition.rejects == [reject(1, a.worsened("bug"))]
    assert [*partition.cases["acme"].standings] == ["bug"]
    again = loaded(a.store(stored, partition.cut()))
    assert (again.rejects, again.failures) == ([], [Failure("acme", 1, ERROR)])


def test_an_action_whose_fold_raises_is_answered_once_the_bug_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def take(*_: object) -> None:
        raise ArithmeticError("a bug")

    story: list[LogRecord] = [
        a.raised(),
        a.commented(id="k1", seen=1),
        a.resolved(id="k2"),
        a.acknowledged(id="k3"),
        a.acknowledged(id="k4", case="beta"),
    ]
    log = a.Log()
    log.add(a.raised(account="beta"), *story)
    with monkeypatch.context() as broken:
        broken.setattr(actions, "take", take)
        partition = a.apply(Partition.begin(0, 1), log.messages)
    assert partition.take_answers() == []
    log.add(a.snoozed(id="k5", seen=1), a.reopened(id="k6", seen=2))
    mended = loaded(kept(a.apply(partition, log.messages)))
    # Of what stands now k2 and k3 have seen nothing: they conflict, as of whoever is late.
    assert [(one.id, one.status) for one in mended.take_answers()] == [
        ("k1", "applied"),
        ("k2", "conflict"),
        ("k3", "conflict"),
        ("k4", "applied"),
    ]
    assert [one.type for one in mended.cases["acme"].entries] == [
        "alert.raised",
        "case.snoozed",
        "case.reopened",
        "case.commented",
    ]


def test_what_the_detector_learns_late_is_no_repetition_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def take(case: Case, record: Any, at: Place) -> object:
        if getattr(record, "id", "") in ("k1", "k2"):
            raise ArithmeticError("a bug")
        return real(case, record, at)

    real = actions.take
    with monkeypatch.context() as broken:
        broken.setattr(actions, "take", take)
        partition = a.folded(
            a.raised(),
            a.feedback(id="k1"),
            a.feedback(id="k2", by="bob"),
            a.feedback(id="k3", by="kim"),
            a.feedback("a", "known", id="k4"),
        )
    track = f"alerts.v1~{a.us()}"
    assert [one.origin for one in partition.returned] == [Origin(track, 0, 4, 0)]
    partition.returned.clear()
    stored = kept(partition)
    mended = loaded(stored)
    assert [(one.id, one.origin) for one in mended.returned] == [
        (f"feedback~{a.us()}-0-1", Origin(track, 0, 6, 1)),
        (f"feedback~{a.us()}-0-3", Origin(track, 0, 6, 2)),
        (f"feedback~{a.us()}-0-6", Origin(track, 0, 6, 3)),
    ]
    # What one person says of an alert keeps its order: the last word is the last.
    said = {"kim": "useful", "ana": "known", "bob": "useful"}
    assert mended.cases["acme"].standings["a"].feedback == said
    assert loaded(stored).returned == mended.returned


def test_what_is_held_fits_into_its_topic_and_is_all_there(bug: Bug) -> None:
    big = {"text": "\u0001" * 9_000}
    record = a.raised("bug", account="é" * 210, because=big)
    long = cases.encode(record).replace(
        b'"because"', b'"new":"' + b"x" * RAW_BYTES + b'","because"'
    )
    partition = Partition.begin(0, 1)
    partition.apply(0, a.us(), record.account, long)
    (raw,) = [raw for key, raw in kept(partition).items() if "held" in key and raw]
    assert len(raw) <= RECORD_BYTES - 1_000
    read = msgspec.json.decode(raw, type=held.Held)
    assert read.read() == record


def test_an_error_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(*_: object) -> None:
        raise ArithmeticError("\x00" * 10_000)

    monkeypatch.setattr(alarms, "take", take)
    (raw,) = [raw for key, raw in kept(a.folded(a.raised())).items() if "held" in key]
    assert len(msgspec.json.decode(raw)["error"]) == ERROR_LIMIT


def test_more_than_may_wait_is_not_passed_over(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(cases.encode(a.raised("bug")))
    monkeypatch.setattr(held, "HELD_BYTES", 2 * size)
    log = a.Log()
    log.add(*[a.raised("bug")] * 3)
    partition = a.apply(Partition.begin(0, 1), log.messages[:2])
    with pytest.raises(TooManyHeld, match="the folds of 3 records raised"):
        a.apply(partition, log.messages)
    assert partition.stamp == 1


@pytest.mark.parametrize(
    "change, message",
    [
        ({"\x1fheld\x1f1": b"{}"}, r"record '\x1fheld\x1f1' cannot be read: Object missing"),
        (
            {
                f"\x1fheld\x1f{7:020d}": b'{"v":1,"case":"a","offset":8,"appended":1,"record":{}}',
            },
            rf"record '\x1fheld\x1f{7:020d}' is the one of '\x1fheld\x1f{8:020d}'",
        ),
        (
            {
                f"\x1fheld\x1f{7:020d}": b'{"v":9,"case":"a","offset":7,"appended":1,"record":{}}',
            },
            rf"record '\x1fheld\x1f{7:020d}' is of version 9, this code reads 1",
        ),
    ],
)
def test_a_held_record_that_cannot_be_used_is_refused(
    change: dict[str, bytes | None], message: str
) -> None:
    snapshot = a.store(kept(a.folded(a.raised())), change.items())
    with pytest.raises(ValueError, match=re.escape(message)):
        Partition.restore(0, 1, snapshot)


def test_a_held_record_that_this_version_cannot_read_waits_for_one_that_can(bug: Bug) -> None:
    stored = kept(a.folded(a.raised("bug")))
    key = f"\x1fheld\x1f{0:020d}"
    stored[key] = stored[key].replace(b"alert.raised", b"alert.dreamt")
    bug.mend()
    partition = loaded(stored)
    assert (partition.cases, partition.held, partition.dirty) == ({}, 1, 0)
    assert partition.counts["failed", "unknown_type"] == 1
    (failure,) = partition.failures
    assert failure == Failure("acme", 0, "this version knows no record of type 'alert.dreamt'")
    assert loaded(a.store(stored, [(key, None)])).held == 0


speaking = st.builds(
    lambda kind, id, severity, **about: kind(id, severity, **about),
    st.sampled_from([a.raised, a.raised, a.worsened, a.eased]),
    st.sampled_from(["a", "bug"]),
    st.sampled_from(["low", "medium", "critical"]),
    day=st.integers(1, 9),
    account=st.sampled_from(["acme", "beta"]),
    shadow=st.sampled_from([False, False, True]),
    historic=st.sampled_from([False, False, True]),
)
ending = st.builds(
    lambda id, day, account: a.cleared(id, day=day, account=account),
    st.sampled_from(["a", "bug"]),
    st.integers(1, 9),
    st.sampled_from(["acme", "beta"]),
)
acting = st.builds(
    lambda make, case, seen: make(case=case, seen=seen),
    st.sampled_from([a.acknowledged, a.snoozed, a.resolved, a.assigned, a.commented, a.reopened]),
    st.sampled_from(["acme", "beta"]),
    st.sampled_from([None, 1, 2]),
)


@given(
    told=st.lists(speaking | ending | acting, max_size=14),
    crashes=st.sets(st.integers(0, 14)),
    more=st.lists(speaking | ending | acting, max_size=4),
    raising=st.sets(st.sampled_from(TYPES), min_size=1),
)
def test_every_alert_ends_as_in_a_log_without_a_bug_wherever_the_owner_crashed(
    told: Sequence[LogRecord], crashes: set[int], more: Sequence[LogRecord], raising: set[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        log, bug = a.Log(), Bug(patch)
        bug.types = raising
        log.add(*told)
        whole = kept(a.apply(Partition.begin(0, 1), log.messages))
        partition, stored = Partition.begin(0, 1), dict[str, bytes]()
        for n, message in enumerate(log.messages):
            partition.apply(*message)
            if n in crashes:
                stored = a.store(stored, partition.cut())
                partition = loaded(stored)
        stored = a.store(stored, partition.cut())
        assert stored == whole
        bug.mend()
        log.add(*more)
        mended = a.apply(loaded(stored), log.messages)
        undisturbed = a.apply(Partition.begin(0, 1), log.messages)
    assert mended.held == 0
    assert mended.cases.keys() == undisturbed.cases.keys()
    for id, case in undisturbed.cases.items():
        assert list(mended.cases[id].standings.items()) == list(case.standings.items())
    stored = a.store(stored, mended.cut())
    assert Partition.restore(0, 1, stored).cases == mended.cases
