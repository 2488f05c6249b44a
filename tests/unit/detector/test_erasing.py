"""Erasing: no record names who is gone, nothing from before comes back, what is new begins anew."""

from typing import Any

import msgspec
import pytest

from schemas.accounts import AccountSummary
from schemas.alerts import AccountNow
from schemas.envelope import Entry, Origin, decode_entry
from services.detector import erasure
from services.detector.erasure import Erased
from services.detector.partition import Partition
from tests import builders as a
from tests import playing
from tests.unit.detector.views import began, counts, sums

ACME = "account:acme"
CANARY = b"canary"


def named(records: dict[str, Any]) -> list[str]:
    """Keys of the records that name the canary."""
    return [
        key
        for key, raw in records.items()
        if raw is not None and (CANARY in raw or CANARY.decode() in key)
    ]


class Deployment:
    """One partition, what it stored, and what people were shown of it."""

    def __init__(self) -> None:
        self.log = playing.Log().add(a.rules(a.silent(2), a.gone()), a.tick(1, 3))
        self.partition = Partition.begin(0, 1)
        self.stored: dict[str, bytes] = {}
        self.shown: dict[str, bytes | None] = {}
        self.alerts: list[Any] = []

    def fold(self, *entries: Entry, day: int, hour: float = 20) -> None:
        """Fold a message that is appended at an hour of a day, and flush."""
        self.log.add(*entries, appended=a.at(day, hour))
        playing.play(self.log.messages[self.partition.stamp + 1 :], self.partition)
        cut = self.partition.cut()
        self.stored = playing.store(self.stored, cut)
        self.shown |= dict(cut.summaries)
        self.alerts += cut.alerts

    def days(self, first: int, last: int) -> None:
        for day in range(first, last + 1):
            self.fold(a.tick(day + 1, 3, seen={"app": [day]}), day=day + 1, hour=3)


def test_no_record_of_an_erased_account_is_left() -> None:
    world = Deployment()
    where: dict[str, Any] = {"account": "canary", "source": "crm"}
    people = [a.usage(person=f"u{n}", day=1, **where) for n in range(2_100)]
    world.fold(*people, a.profile({"owner": "ana"}, day=1, **where), a.joined(**where), day=1)
    world.fold(a.joined("u2", day=1), day=1)
    world.days(1, 70)
    world.fold(a.left("u1", account="canary", day=71), day=71)
    assert len(named(world.stored)) == 5
    assert {key for key in named(world.shown) if "/days/" in key} == {"canary/days/2026-01"}
    world.fold(a.erased(account="canary", day=71, hour=21), day=71, hour=21)
    assert named(world.stored) == named(world.shown) == []
    assert "account:canary" not in world.partition.accounts
    assert [one["subject"] for one in world.partition.subjects_shown()] == ["person:u2"]
    # and none comes back
    world.days(71, 74)
    assert named(world.stored) == named(world.shown) == []


def test_its_open_alerts_clear_and_tell_nothing_of_it() -> None:
    world = Deployment()
    world.fold(a.usage(day=1), a.profile({"owner": "ana", "name": "Acme"}, day=1), day=1)
    world.days(1, 4)
    world.fold(a.erased(day=5), day=5)
    assert playing.told(world.alerts) == [
        ("acme", "silent", "activity", "raised", 3),
        ("acme", "silent", "activity", "superseded", 5),
    ]
    raised, cleared = world.alerts
    assert (raised.account_now.owner, cleared.account_now) == ("ana", AccountNow(stamp=6))


def test_who_was_merged_into_an_erased_account_is_erased_everywhere_as_well() -> None:
    before = [
        a.joined(account="old", day=10, hour=4),
        a.usage(5, account="old", day=10, hour=4),
        a.merged("acme", account="old", day=10, hour=5),
        a.usage(5, account="beta", day=10, hour=4),
        a.merged("other", account="beta", day=10, hour=5),
    ]
    log = began(*before).add(a.erased(account="acme", day=10, hour=12))
    partition = playing.play(log)
    (told,) = partition.forwards()
    assert told[0] == ""
    # it comes back to this partition as to all others
    log.add(decode_entry(told[1]), appended=a.at(10, 13))
    playing.play(log.messages[-1:], partition)
    assert sorted(partition.accounts) == ["account:beta"]
    assert [one["subject"] for one in partition.subjects_shown()] == []
    assert partition.forwards() == []
    log.add(a.usage(2, account="old", day=10, hour=14), a.usage(account="old", day=10, hour=11))
    playing.play(log.messages[-1:], partition)
    # nothing goes on to the erased account, and what came before does not come back
    assert (sums(partition, "old"), partition.forwards()) == ({10: 2}, [])


class Unordered(str):
    """A subject that nobody may bring into order."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        raise AssertionError(f"{self} is compared with {other}")


def test_only_the_accounts_that_an_erasure_concerns_are_brought_into_order() -> None:
    """Of a partition's hundred thousand accounts hardly any has joined the one that goes."""
    names = ("old", "older")
    log = began(*(a.merged("acme", account=name, day=10, hour=5) for name in reversed(names)))
    partition = playing.play(log.add(*(a.usage(account=f"a{n}", day=10, hour=6) for n in range(3))))
    for subject in ("account:a0", "account:a1", "account:a2"):
        partition.accounts[Unordered(subject)] = partition.accounts.pop(subject)
    playing.play(log.add(a.erased(account="acme", day=10, hour=12)).messages[-1:], partition)
    told = [decode_entry(raw).subjects for _, raw in partition.forwards()]
    assert told == [("account:old",), ("account:older",)]


def test_two_accounts_merged_into_each_other_are_erased_once() -> None:
    log = began(a.merged("beta", day=10, hour=5), a.merged("acme", account="beta", day=10, hour=5))
    partition = playing.play(log.add(a.erased(account="acme", day=10, hour=12)))
    told: list[tuple[str, bytes]] = []
    while found := partition.forwards():
        told += found
        log.add(*(decode_entry(raw) for _, raw in found), appended=a.at(10, 13))
        playing.play(log.messages[-1:], partition)
    assert (len(told), partition.accounts) == (1, {})


def test_events_from_before_are_dropped_and_later_ones_begin_anew() -> None:
    world = Deployment()
    world.fold(a.usage(5, day=2), day=2)
    world.fold(a.erased(day=3, hour=12), day=3, hour=12)
    world.fold(a.usage(1, day=2), a.usage(2, day=3, hour=12), day=3, hour=13)
    assert world.partition.accounts == {}
    world.fold(a.usage(3, day=3, hour=12.5), a.usage(4, day=3, hour=11), day=3, hour=14)
    assert sums(world.partition) == {3: 3}
    again = Partition.restore(0, 1, world.stored)
    world.partition = again
    world.fold(a.usage(9, day=1), a.usage(1, day=3, hour=15), day=3, hour=15)
    assert sums(again) == {3: 4}
    assert counts(again, "dropped") == {("dropped", "erased"): 1}
    summary = msgspec.json.decode(world.shown["acme"] or b"", type=AccountSummary)
    assert summary.account == "acme"


def test_the_same_erasure_again_erases_nothing_that_came_since() -> None:
    world = Deployment()
    world.fold(a.erased(day=3, hour=12), day=3, hour=12)
    world.fold(a.usage(3, day=3, hour=13), day=3, hour=13)
    world.fold(a.erased(day=3, hour=12), day=3, hour=14)
    assert sums(world.partition) == {3: 3}


def test_an_erasure_without_a_time_takes_that_of_its_message() -> None:
    world = Deployment()
    world.fold(a.usage(day=3), day=3, hour=13)
    world.fold(a.erased(time=0), day=3, hour=14)
    world.fold(a.usage(day=3, hour=14), day=3, hour=15)
    assert world.partition.accounts == {}


def test_an_erasure_of_the_future_is_refused() -> None:
    partition = playing.play(began(a.usage(day=10)).add(a.erased(day=11), appended=a.at(10, 13)))
    assert [one.reason for one in partition.cut().rejects] == ["future"]
    assert sums(partition) == {10: 1}


def test_of_an_erased_person_the_account_keeps_the_sums_of_days() -> None:
    world = Deployment()
    told = a.Where(day=1)
    world.fold(
        a.usage(2, person="canary", **told),
        a.contact("canary", {"role": "champion"}, **told),
        a.touch("canary", **told),
        a.about(a.touch("canary", **told), "account:beta"),
        a.of_person(a.usage(1, person="canary2", **told), "canary2"),
        day=1,
    )
    world.fold(a.left("canary", day=2), day=2)
    world.fold(a.person_erased("canary2", day=2), day=2)
    world.fold(a.person_erased("canary", day=2), day=2)
    assert named(world.stored) == []
    account = world.partition.accounts[ACME]
    assert (sums(world.partition), sums(world.partition, metric="@people")) == ({1: 2}, {1: 1})
    touch = account.facts.contacts.last_touch
    assert touch is not None
    assert (touch.person, touch.colleague, account.facts.contacts.people) == (None, "ana", {})
    assert playing.told(world.alerts) == [
        ("acme", "contact-left", "canary", "raised", 2),
        ("acme", "contact-left", "canary", "superseded", 2),
    ]


def test_what_comes_late_of_an_erased_person_is_nobodys() -> None:
    world = Deployment()
    world.fold(a.joined("canary", day=1), day=1)
    world.fold(a.person_erased("canary", day=3), day=3)
    late: dict[str, Any] = {"day": 2}
    world.fold(
        a.usage(2, person="canary", day=2, origin=Origin("forward/1", 1, 9, 0)),
        a.touch("canary", **late),
        a.contact("canary", {"role": "champion"}, **late),
        a.joined("canary", **late),
        a.of_person(a.usage(7, person="canary", **late), "canary"),
        day=3,
    )
    assert named(world.stored) == []
    assert sums(world.partition) == {2: 2}
    assert counts(world.partition, "dropped") == {("dropped", "erased"): 3}
    world.fold(a.usage(1, person="canary", day=3, hour=13), day=3)
    assert named(world.stored) != []


def test_only_alerts_about_people_are_about_the_person() -> None:
    """A payment of the same name stays open."""
    log = playing.Log().add(a.rules(a.unpaid(1), a.gone()), a.tick(1, 3))
    log.add(a.payment_failed("7", day=1), a.left("7", day=1)).add(a.person_erased("7", day=2))
    partition = playing.play(log)
    found = playing.told(partition.cut().alerts)
    assert found[2:] == [("acme", "contact-left", "7", "superseded", 2)]
    assert [one.rule for one in partition.accounts[ACME].episodes.values()] == ["unpaid"]


def test_nobody_joins_an_account_that_was_erased_since() -> None:
    log = began(a.erased(day=10)).add(a.about(a.joined(day=9), "person:u1"))
    assert [*playing.play(log).subjects_shown()] == []


def test_the_table_names_nobody_and_remembers_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "ERASED_LIMIT", 2)
    table = Erased()
    assert [table.add(who, 5) for who in ("canary", "b", "canary")] == [True, True, False]
    assert [table.add(who, 6) for who in ("canary", "c")] == [True, True]
    raw = table.change()
    assert raw is not None
    assert CANARY not in raw
    again = Erased.restore(raw)
    assert [again.until(who) for who in ("canary", "b", "c")] == [6, 0, 6]
    assert (table.change(), again.change()) == (None, None)


def test_the_table_of_all_that_are_remembered_is_one_small_record() -> None:
    table = Erased()
    for n in range(erasure.ERASED_LIMIT + 10):
        table.add(f"account:{n}", a.at(1) + n)
    assert len(table.change() or b"") < 256 * 1024
