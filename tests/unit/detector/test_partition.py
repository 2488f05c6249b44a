"""One partition: what is dropped, refused, held, opened; rules and facts have their own tests."""

from collections.abc import Iterator
from itertools import count
from typing import Any
from uuid import UUID

import msgspec
import pytest

from schemas.envelope import Entry, Origin, encode
from schemas.events import FeatureFailed, UsageRecorded
from services.detector.facts import Moment, Step
from services.detector.facts.usage import Usage
from services.detector.partition import Gap, Partition
from tests import builders as a
from tests import playing
from tests.unit.detector.views import began, counts, sums

ACME = "account:acme"


def test_messages_at_or_before_the_stamp_are_dropped_whole() -> None:
    log = began(a.usage(day=10))
    partition = playing.play(log)
    playing.apply(partition, log)
    assert (partition.stamp, sums(partition)) == (1, {10: 1})
    assert counts(partition, "replayed") == {("replayed", "offset"): 2}


def test_a_message_that_is_missing_stops_everything() -> None:
    log = began(a.usage(day=10)).add(a.usage(day=10))
    partition = playing.apply(Partition.begin(7, 8), log.messages[:1])
    with pytest.raises(Gap, match="partition 7: offset 2 came after 0; messages of the log"):
        partition.apply(*log.messages[2])
    assert partition.stamp == 0


def test_an_event_without_a_time_takes_that_of_its_message() -> None:
    assert sums(playing.play(began(a.usage(time=0)))) == {10: 1}


def test_duplicates_are_counted_by_reason() -> None:
    one, two = a.usage(day=10, id="e"), a.usage(day=10, origin=Origin("usage", 0, 5, 0))
    again = a.usage(day=10, origin=Origin("usage", 0, 4, 9))
    partition = playing.play(began(one, one, two).add(two, again, one, appended=a.at(10, 13)))
    assert sums(partition) == {10: 2}
    assert counts(partition, "duplicate") == {("duplicate", "id"): 2, ("duplicate", "origin"): 2}


def test_a_repetition_in_one_envelope_counts_once_where_a_generation_ends() -> None:
    told = [a.usage(day=10, id=name) for name in "abcab"]
    for horizon in range(5, 40, 5):
        partition = playing.play(began(*told), Partition.begin(0, 1, horizon))
        assert sums(partition) == {10: 3}


def test_an_event_of_several_accounts_is_folded_into_each() -> None:
    both = msgspec.structs.replace(a.usage(day=10), subjects=(ACME, "company", "account:beta"))
    partition = playing.play(began(both))
    assert (sums(partition), sums(partition, "beta")) == ({10: 1}, {10: 1})
    assert sorted(partition.accounts) == [ACME, "account:beta"]


def test_a_bad_rule_set_is_refused_and_the_one_in_force_stays() -> None:
    log = playing.Log().add(a.rules(a.silent(3), n=2), a.tick(10, 3), appended=a.at(10, 3))
    log.add(a.rules(a.silent(0), n=3), a.rules(a.silent(9), n=2), appended=a.at(10, 4))
    partition = playing.play(log)
    (reject,) = partition.cut().rejects
    assert (reject.reason, reject.index) == ("bad_rules", 0)
    assert "greater than or equal to 1 (it is 0)" in reject.detail
    assert (partition.rules.n, partition.rules.rules[0].default.params.model_dump()["days"]) == (
        2,
        3,
    )


def test_a_rule_set_survives_and_goes_when_nobody_asks_for_it() -> None:
    log = playing.Log().add(a.rules(a.silent(3)), a.tick(10, 3), appended=a.at(10, 3))
    log.add(a.usage(day=10, hour=4)).add(a.tick(11, 3)).add(a.rules(n=2), appended=a.at(11, 3))
    partition = playing.apply(Partition.begin(0, 1), log)
    first = playing.store({}, partition.cut())
    restored = Partition.restore(0, 1, first)
    assert (restored.rules.n, sorted(restored.ledger.rule_sets)) == (2, [1, 2])
    playing.settle(restored)
    assert "~ledger/rules/1" in first
    assert "~ledger/rules/1" not in playing.store(first, restored.cut())


def test_a_snapshot_without_a_ledger_is_refused() -> None:
    records = playing.store({}, playing.play(began(a.usage(day=10))).cut())
    with pytest.raises(ValueError, match="accounts but no ledger"):
        Partition.restore(0, 1, {ACME: records[ACME]})
    assert Partition.restore(0, 1, {}).stamp == -1


def test_a_cut_holds_what_changed_since_the_last_one() -> None:
    log = playing.Log().add(a.rules(a.unpaid(1)), a.tick(10, 3), a.payment_failed(day=10, hour=3))
    partition = playing.play(log)
    assert (partition.dirty, partition.urgent) == (1, True)
    cut = partition.cut()
    assert (cut.stamp, len(cut.alerts), ACME in dict(cut.records)) == (0, 1, True)
    assert (partition.dirty, partition.urgent) == (0, False)
    again = partition.cut()
    assert (again.alerts, again.rejects, again.summaries) == ([], [], [])
    assert [key for key, _ in again.records] == ["~ledger"]


def test_a_verdict_that_changes_nothing_writes_nothing() -> None:
    log = playing.Log().each(a.rules(a.silent(30)), a.tick(1, 3), a.usage(day=1))
    ticks = [a.tick(day + 1, 3, seen={"app": [day]}) for day in range(1, 9)]
    partition = playing.play(log.each(*ticks[:3]))
    partition.cut()
    playing.play(log.each(*ticks[3:]).messages, partition)
    assert partition.dirty == 0


def test_every_new_account_is_judged_from_the_day_on_which_it_came() -> None:
    log = playing.Log().each(
        a.rules(a.silent(2)), a.tick(10, 3), a.tick(20, 3), a.usage(day=20, hour=4)
    )
    log.each(*(a.tick(day + 1, 3, seen={"app": [day]}) for day in range(20, 23)))
    found = playing.told(playing.play(log).cut().alerts)
    assert found == [("acme", "silent", "activity", "raised", 22)]


class _Bug:
    """A fold that raises on quantities of thirteen, as long as it is there."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._fold = Usage.fold
        patch.setattr(Usage, "fold", self._folded())

    def _folded(self) -> Any:
        fold = self._fold

        def folded(usage: Usage, one: Entry, at: Moment) -> Step | str | None:
            if isinstance(one.event, UsageRecorded) and one.event.quantity == 13:
                raise ArithmeticError("thirteen")
            return fold(usage, one, at)

        return folded


def test_a_fold_that_raises_holds_its_account_back_until_it_is_repaired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _Bug(monkeypatch)
    log = playing.Log().each(a.rules(a.silent(2)), a.tick(10, 3), a.usage(1, day=10, hour=4))
    log.add(a.usage(13, day=10, hour=5, id="x"), a.usage(2, day=10, hour=5, id="y"))
    log.add(a.usage(1, day=10, hour=6, account="beta"))
    log.each(*(a.tick(day + 1, 3, seen={"app": [day]}) for day in range(10, 14)))
    partition = playing.play(log)
    # it keeps its last state, the stream goes on, and it is not judged
    assert (sums(partition), sums(partition, "beta")) == ({10: 1}, {10: 1})
    assert partition.failures == [("acme", "", "ArithmeticError: thirteen")]
    cut = partition.cut()
    assert playing.told(cut.alerts) == [("beta", "silent", "activity", "raised", 12)]
    restored = Partition.restore(0, 1, playing.store({}, cut))
    held = restored.accounts[ACME].quarantine
    assert held is not None
    assert (held.offset, held.error, held.held, held.overflow) == (
        3,
        "ArithmeticError: thirteen",
        [(3, 0), (3, 1)],
        0,
    )
    # the bug is mended, and what it held is sent again under its own origin
    monkeypatch.undo()
    again = [
        msgspec.structs.replace(one, origin=Origin(f"repair:{ACME}", 0, 3, place))
        for place, one in enumerate(log.entries[3])
    ]
    log.add(a.repaired(), *again, appended=a.at(14, 3))
    playing.play(log.messages[-1:], restored)
    assert restored.accounts[ACME].quarantine is None
    assert sums(restored) == {10: 16}
    assert counts(restored, "repaired") == {("repaired", "subject"): 1}


def test_only_the_repair_of_an_account_settles_what_it_owes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _Bug(monkeypatch)
    log = began(a.usage(13, day=10, id="x"), a.usage(2, day=10, id="y"))
    log.add(a.repaired(), appended=a.at(10, 13))
    # places of other logs that happen to have the numbers of what it owes: (1, 0) and (1, 1)
    others = ("usage", "replay:0", "repair:rejects/0", "repair:account:beta", "forward/1")
    log.add(
        *(
            a.usage(1, day=10, id=f"o{n}", origin=Origin(input_, 0, 1, n % 2))
            for n, input_ in enumerate(others)
        ),
        appended=a.at(10, 13),
    )
    partition = playing.play(log)
    assert partition.accounts[ACME].owed == [(1, 0), (1, 1)]
    assert sums(partition) == {10: len(others)}
    again = a.usage(2, day=10, id="y", origin=Origin(f"repair:{ACME}", 0, 1, 1))
    playing.play(log.add(again).messages[-1:], partition)
    assert partition.accounts[ACME].owed == [(1, 0)]


def test_what_a_repair_sends_too_early_is_owed_from_where_it_stands_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def again(log: playing.Log, partition: Partition) -> Partition:
        """Repair, and send again all that is owed."""
        log.add(a.repaired(), appended=a.at(10, 13))
        playing.play(log.messages[-1:], partition)
        told = [
            msgspec.structs.replace(
                log.entries[offset][place], origin=Origin(f"repair:{ACME}", 0, offset, place)
            )
            for offset, place in sorted(partition.accounts[ACME].owed)
        ]
        return playing.play(log.add(*told, appended=a.at(10, 13)).messages[-1:], partition)

    _Bug(monkeypatch)
    log = began(a.usage(13, day=10, id="x"), a.usage(2, day=10, id="y"))
    partition = again(log, playing.play(log))
    held = partition.accounts[ACME].quarantine
    assert (held and held.held, partition.accounts[ACME].owed) == ([(3, 0), (3, 1)], [])
    monkeypatch.undo()
    partition = again(log, partition)
    assert (sums(partition), partition.accounts[ACME].owed) == ({10: 15}, [])


def test_a_debt_ends_with_what_comes_in_its_place_whatever_becomes_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _Bug(monkeypatch)
    log = began(a.usage(13, day=10, id="x"), a.joined("u1", day=10, id="y"))
    log.add(a.usage(13, day=10, id="z"), a.repaired(), a.person_erased("u1", day=10, hour=13))
    lost = [
        msgspec.structs.replace(a.repaired(), origin=Origin(f"repair:{ACME}", 0, 1, 0)),
        # of a person who was erased meanwhile: nothing is left of it
        a.joined("u1", day=10, id="y", origin=Origin(f"repair:{ACME}", 0, 1, 1)),
    ]
    partition = playing.play(log.add(*lost))
    acme = partition.accounts[ACME]
    assert (acme.owed, acme.facts.buckets.lines) == ([(2, 0)], {})
    # it lifts no quarantine
    poison = a.usage(13, day=10, origin=Origin(f"repair:{ACME}", 0, 2, 0))
    off = msgspec.structs.replace(a.repaired(), origin=Origin(f"repair:{ACME}", 0, 9, 0))
    playing.play(log.add(poison, off).messages[-1:], partition)
    assert partition.accounts[ACME].quarantine is not None


@pytest.mark.parametrize("judged_at_once", [True, False])
def test_no_closing_that_was_open_when_it_was_repaired_judges_the_account(
    judged_at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _Bug(monkeypatch)
    log = playing.Log().each(
        a.rules(a.silent(2)), a.tick(1, 3), a.usage(day=1), a.usage(13, day=2, hour=1)
    )
    log.each(*(a.tick(day, 3, seen={"app": [day - 1]}) for day in range(2, 5)), a.repaired())
    log.each(*(a.tick(day, 3, seen={"app": [day - 1]}) for day in range(5, 7)))
    partition = Partition.begin(0, 1)
    for message in log:
        partition.apply(*message)
        if judged_at_once or message is log.messages[-1]:
            playing.settle(partition)
    assert playing.told(partition.cut().alerts) == [("acme", "silent", "activity", "raised", 4)]


def test_an_account_that_is_well_is_not_repaired() -> None:
    log = began(a.usage(day=10)).add(a.repaired(), a.repaired("nobody"), appended=a.at(10, 13))
    assert counts(playing.play(log), "repaired") == {}


def test_going_live_shows_the_last_months_of_history() -> None:
    log = playing.Log().add(a.tick(28, 3, mode="importing"), a.usage(day=28, hour=3))
    partition = playing.play(log)
    partition.cut()
    log.add(a.tick(28, 4))
    playing.play(log.messages[-1:], partition)
    assert [key for key, _ in partition.cut().summaries] == [
        "acme/days/2026-01",
        "acme/days/2026-02",
    ]


def test_an_event_type_that_no_fact_takes_changes_nothing() -> None:
    event = FeatureFailed(feature="export")
    partition = playing.play(began(a.entry(event, day=10)))
    assert partition.accounts[ACME].facts.buckets.lines == {}
    assert counts(partition, "folded", "rejected") == {("folded", "new"): 1}


def test_an_envelope_may_be_empty() -> None:
    partition = Partition.begin(0, 1)
    partition.apply(0, a.at(1), encode([]))
    assert (partition.stamp, partition.ledger.record.appended) == (0, a.at(1))


def test_no_record_of_an_account_is_larger_than_a_quarter_of_a_megabyte() -> None:
    """Every list as long as it may be, of ids as long as they usually are."""
    numbers = count()
    log = playing.Log().add(a.tick(1, 2))
    for _ in range(1_000):
        who = _uuid(numbers)
        log.add(
            a.contact(who, {"role": "champion", "status": "active"}, id=_uuid(numbers)),
            a.granted(who, id=_uuid(numbers)),
            a.touch(who, id=_uuid(numbers)),
        )
    for payment in (_uuid(numbers) for _ in range(200)):
        failed = (a.payment_failed(payment, id=_uuid(numbers), time=a.at(1) + n) for n in range(20))
        log.add(*failed)
    log.add(*(a.usage(metric=_uuid(numbers), source=_uuid(numbers)) for _ in range(400)))
    records = playing.play(log).cut().records
    assert max(len(key) + len(raw or b"") for key, raw in records) <= 256 * 1024


def _uuid(numbers: Iterator[int]) -> str:
    return str(UUID(int=next(numbers)))


def test_after_a_takeover_the_cause_of_a_closing_alert_has_its_time() -> None:
    ticks = [a.tick(day + 1, 3, seen={"app": [day]}) for day in range(1, 5)]
    log = playing.Log().each(a.rules(a.silent(3)), a.tick(1, 3), a.usage(day=1), *ticks)
    former = playing.apply(playing.play(log.messages[:-1]), log.messages[-1:])
    owner = playing.settle(Partition.restore(0, 1, playing.store({}, former.cut())))
    assert owner.cut().caused == playing.settle(former).cut().caused == [a.at(5, 3)]


def test_an_account_whose_id_is_as_long_as_may_be_is_repaired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _Bug(monkeypatch)
    long = "a" * 200
    log = began(a.usage(13, day=10, account=long)).add(a.repaired(long), appended=a.at(10, 13))
    partition = playing.play(log)
    assert (counts(partition, "repaired"), partition.cut().rejects) == (
        {("repaired", "subject"): 1},
        [],
    )
