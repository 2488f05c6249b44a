"""Persons: what names only a person is forwarded to the account, at once or once it is known."""

from typing import Any

import msgspec
import pytest

from schemas.envelope import Entry, Origin
from services.detector import persons
from services.detector.partition import Partition
from tests import builders as a
from tests import playing
from tests.unit.detector.views import began, counts, sums

U1 = "person:u1"


def known(partition: Partition) -> dict[str, Any]:
    return {one["subject"]: one["facts"] for one in partition.subjects_shown()}


def usage(**where: Any) -> Entry:
    return a.of_person(a.usage(person="u1", **where))


def forward(one: Entry, n: int = 0, place: int = 0, offset: int = 1, hop: int = 1) -> Entry:
    """What an entry becomes that a message at an offset causes."""
    origin = Origin(f"forward/{hop}", 0, offset, place << 20 | n)
    return msgspec.structs.replace(one, subjects=("account:acme",), origin=origin)


def test_an_event_of_a_known_person_goes_on_to_the_account() -> None:
    partition = playing.play(began(a.joined(day=10), usage(day=10, id="x", on=10)))
    assert playing.forwards(partition) == [forward(usage(day=10, id="x", on=10), place=1)]
    assert known(partition) == {U1: {"account": "acme", "waiting": 0}}
    assert counts(partition, "forwarded") == {("forwarded", "person"): 1}
    assert "usage" not in partition.accounts["account:acme"].facts.buckets.lines


def test_a_forward_is_counted_once_however_often_it_is_sent() -> None:
    partition = playing.play(began(a.joined(day=10), usage(day=10, id="x")))
    sent = playing.forwards(partition)
    log = began().add(*sent, *sent, appended=a.at(10, 12))
    home = playing.play(log)
    assert sums(home) == {10: 1}
    assert counts(home, "duplicate") == {("duplicate", "origin"): 1}


def test_what_came_before_the_person_joined_waits_and_goes_on_in_order() -> None:
    told = [usage(day=10, hour=11 - n, id=f"e{n}") for n in range(3)]
    log = began(*told).add(usage(day=10, id="e9")).add(a.usage(), a.joined(day=10))
    partition = playing.play(log)
    causes = [forward(one, n, 1, 3) for n, one in enumerate([*told, usage(day=10, id="e9")])]
    assert playing.forwards(partition) == causes
    assert known(partition) == {U1: {"account": "acme", "waiting": 0}}
    assert partition.waiting == 0


def test_an_event_without_a_time_keeps_that_of_its_own_message() -> None:
    log = began(usage(time=0)).add(a.joined(day=10), appended=a.at(10, 23))
    (sent,) = playing.forwards(playing.play(log))
    assert sent.time == a.at(10, 12)


def test_the_newest_account_by_time_and_id_holds() -> None:
    beta = a.joined(account="beta", day=10, hour=5, id="j2")
    older = a.joined(account="gamma", day=10, hour=5, id="j1")
    log = began(a.joined(day=10, hour=4), beta, older, usage(day=10, hour=3))
    (sent,) = playing.forwards(playing.play(log))
    assert sent.subjects == ("account:beta",)


def test_what_waits_is_in_the_snapshot_a_record_each() -> None:
    log = began(usage(day=10, id="x"), a.usage(day=10), usage(day=10, id="y"))
    stored = playing.store({}, playing.play(log).cut())
    mine = [key for key in stored if key.startswith(U1)]
    assert mine == [U1, f"{U1}\x1fwaiting\x1f1.0", f"{U1}\x1fwaiting\x1f1.2"]
    restored = Partition.restore(0, 1, stored)
    assert known(restored) == {U1: {"account": None, "waiting": 2}}
    playing.play(log.add(a.joined(day=10)).messages[-1:], restored)
    assert [one.id for one in playing.forwards(restored)] == ["x", "y"]
    again = playing.store(stored, restored.cut())
    assert [key for key in again if key.startswith(U1)] == [U1]


def test_after_fourteen_days_of_the_clock_it_is_refused() -> None:
    log = began(usage(day=10, id="x")).add(usage(day=12, id="y"))
    log.add(a.tick(24, 11))
    partition = playing.play(log)
    assert known(partition)[U1]["waiting"] == 2
    # 14 days after noon of day 10
    playing.play(log.add(a.tick(24, 12)).messages[-1:], partition)
    (reject,) = partition.cut().rejects
    assert (reject.reason, reject.offset, reject.index) == ("unattributed", 1, 0)
    assert "'u1' joined no account within 14 days" in reject.detail
    playing.play(log.add(a.tick(26, 12)).messages[-1:], partition)
    assert known(partition) == {}
    assert counts(partition, "rejected") == {("rejected", "unattributed"): 2}
    assert not any(key.startswith("person:") for key in playing.store({}, partition.cut()))


def test_no_more_than_a_thousand_wait_for_one_person() -> None:
    told = [usage(day=10, id=f"e{n}") for n in range(persons.WAITING_LIMIT + 2)]
    log = began(*told[:500]).add(*told[500:1000]).add(*told[1000:], a.joined(day=10))
    partition = playing.play(log)
    assert [one.id for one in playing.forwards(partition)] == [one.id for one in told[:1000]]
    refused = partition.cut().rejects
    assert [(one.reason, one.index) for one in refused] == [
        ("too_many_waiting", 0),
        ("too_many_waiting", 1),
    ]


def test_strangers_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persons, "WAITING_BYTES", 1_000)
    told = [a.of_person(a.usage(person=f"u{n}", day=10), f"u{n}") for n in range(10)]
    partition = playing.play(began(*told))
    kept = partition.waiting
    assert 0 < kept < 10
    assert counts(partition, "rejected") == {("rejected", "too_many_waiting"): 10 - kept}


def test_a_person_joins_no_account_that_cannot_be_printed() -> None:
    joined = a.about(a.joined(account="a\nb", day=10), U1)
    partition = playing.play(began(usage(day=10), joined))
    assert [one.reason for one in partition.cut().rejects] == ["invalid"]
    assert known(partition) == {U1: {"account": None, "waiting": 1}}


def test_a_snapshot_of_another_version_is_refused() -> None:
    stored = playing.store({}, playing.play(began(usage(day=10))).cut())
    later = msgspec.msgpack.encode({"v": 2, "since": 1})
    with pytest.raises(ValueError, match="persons of version 2, this code reads 1"):
        Partition.restore(0, 1, stored | {U1: later})
    del stored[U1]
    with pytest.raises(ValueError, match="an event waits for 'person:u1', who has no record"):
        Partition.restore(0, 1, stored)
