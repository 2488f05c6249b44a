"""Merged accounts: alerts clear, days stay, and what comes later goes on to where it lives on."""

import msgspec
import pytest

from schemas.envelope import Origin
from services.detector.facts.usage import Usage
from services.detector.partition import Partition
from services.detector.showing import shown
from tests import builders as a
from tests import playing
from tests.unit.detector.views import began, counts, sums

ACME = "account:acme"
RULES = a.rules(a.silent(2), a.unpaid(1))


def test_what_comes_later_goes_on_and_the_days_stay() -> None:
    log = began(a.usage(5, day=9), a.merged("beta", day=10), a.usage(1, day=10, id="x"))
    partition = playing.play(log.add(a.profile({"owner": "ana"}, day=10, id="y")))
    sent = playing.forwards(partition)
    assert [(one.id, one.subjects, one.origin) for one in sent] == [
        ("x", ("account:beta",), Origin("forward/1", 0, 1, 2 << 20)),
        ("y", ("account:beta",), Origin("forward/1", 0, 2, 0)),
    ]
    assert sums(partition) == {9: 5}
    assert shown(partition.accounts[ACME], 0, 2)["merged"] == "beta"
    assert counts(partition, "forwarded") == {("forwarded", "merged"): 2}


def test_its_open_alerts_clear_and_nothing_judges_it_any_more() -> None:
    log = playing.Log().each(RULES, a.tick(1, 3), a.usage(day=1), a.payment_failed(day=1))
    log.each(*(a.tick(day + 1, 3, seen={"app": [day]}) for day in range(1, 5)))
    log.add(a.merged("beta", day=5, hour=4))
    log.each(*(a.tick(day + 1, 3, seen={"app": [day]}) for day in range(5, 9)))
    partition = playing.play(log)
    cut = partition.cut()
    assert playing.told(cut.alerts) == [
        ("acme", "unpaid", "p1", "raised", 1),
        ("acme", "silent", "activity", "raised", 3),
        ("acme", "silent", "activity", "superseded", 5),
        ("acme", "unpaid", "p1", "superseded", 5),
    ]
    assert [one.fired_at.hour for one in cut.alerts[2:]] == [4, 4]
    assert b'"open_alerts"' not in (dict(cut.summaries)["acme"] or b"")


@pytest.mark.parametrize("judged_at_once", [True, False])
def test_a_day_that_was_due_before_is_judged_before(judged_at_once: bool) -> None:
    log = playing.Log().each(RULES, a.tick(1, 3), a.usage(day=1))
    log.each(*(a.tick(day + 1, 3, seen={"app": [day]}) for day in range(1, 4)))
    log.add(a.merged("beta", day=4, hour=4))
    partition = Partition.begin(0, 1)
    for message in log:
        partition.apply(*message)
        if judged_at_once:
            playing.settle(partition)
    playing.settle(partition)
    found = playing.told(partition.cut().alerts)
    assert [what for *_, what, _ in found] == ["raised", "superseded"]


def test_the_newest_merge_by_time_and_id_holds() -> None:
    log = began(a.merged("beta", day=5, id="m"), a.merged("older", day=4), a.merged("a", day=5))
    playing.play(log.add(a.usage(day=10)))
    partition = playing.play(log)
    assert [one.subjects for one in playing.forwards(partition)] == [("account:beta",)]
    playing.play(log.add(a.merged("gamma", day=6), a.usage(day=10)).messages[-1:], partition)
    assert [one.subjects for one in playing.forwards(partition)] == [("account:gamma",)]


@pytest.mark.parametrize("into", ["acme", "be\nta"])
def test_an_account_lives_on_under_another_printable_id(into: str) -> None:
    partition = playing.play(began(a.merged(into, day=10), a.usage(day=10)))
    assert [one.reason for one in partition.cut().rejects] == ["invalid"]
    assert (playing.forwards(partition), sums(partition)) == ([], {10: 1})


def test_entries_go_no_more_than_four_times_round_a_circle() -> None:
    log = began(a.merged("beta", day=10), a.merged("acme", account="beta", day=10))
    partition = playing.play(log.add(a.usage(day=10, id="x"), a.usage(day=10, id="y")))
    hops = []
    while sent := playing.forwards(partition):
        hops.append([one.origin.input for one in sent if one.origin])
        playing.play(log.add(*sent).messages[-1:], partition)
    assert hops == [[f"forward/{hop}"] * 2 for hop in range(1, 5)]
    rejects = partition.cut().rejects
    assert [one.reason for one in rejects] == ["merged_in_a_circle"] * 2
    assert "forwarded 4 times, last to account 'beta'" in rejects[0].detail


def test_it_is_in_the_snapshot_and_of_others_nothing_is_written() -> None:
    log = began(a.merged("beta", day=10, id="m"), a.usage(day=10, account="gamma"))
    stored = playing.store({}, playing.play(log).cut())
    restored = Partition.restore(0, 1, stored)
    playing.play(log.add(a.usage(day=10)).messages[-1:], restored)
    assert len(playing.forwards(restored)) == 1
    fields = {who: msgspec.msgpack.decode(stored[f"account:{who}"]) for who in ("acme", "gamma")}
    assert fields["acme"]["merged"] == ["beta", a.at(10), "m"]
    # what an earlier version wrote is what is written now
    assert fields["gamma"].keys() & {"merged", "erased"} == set()


def test_what_a_quarantine_held_goes_on_after_the_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> None:
        raise ArithmeticError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(Usage, "fold", bug)
        log = began(a.usage(1, day=10), a.merged("beta", day=10), a.usage(2, day=10, id="x"))
        partition = playing.play(log)
    again = [
        msgspec.structs.replace(one, origin=Origin(f"repair:{ACME}", 0, 1, place))
        for place, one in enumerate(log.entries[1])
    ]
    playing.play(log.add(a.repaired(), *again, appended=a.at(10, 13)).messages[-1:], partition)
    assert sums(partition) == {10: 1}
    assert [(one.id, one.origin) for one in playing.forwards(partition)] == [
        ("x", Origin("forward/1", 0, 2, 3 << 20))
    ]
    assert partition.accounts[ACME].owed == []
