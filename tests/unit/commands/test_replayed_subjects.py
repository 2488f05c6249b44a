"""An entry of several subjects of which one refused it: replayed, it counts once for each."""

from collections.abc import Sequence
from typing import Any

import pytest

from schemas.envelope import Entry, decode, encode, join
from schemas.rejects import Reject
from services.commands.originals import Original
from services.commands.rejected import Refusal
from services.commands.resending import Now, again
from services.detector.facts import contacts
from services.detector.partition import Partition
from services.detector.persons import WAITING_LIMIT
from tests import builders as a
from tests import playing
from tests.faults.oracle import recount
from tests.unit.detector.views import began

NOW = Now({}, 1, "ebbwatch.events.v1", a.at(10, 13))


def replay(log: playing.Log, rejects: Sequence[Reject], track: int = 0) -> playing.Log:
    """Append what `ebbwatch rejects replay` sends of refusals, which stand from offset 0 on."""
    for number, reject in enumerate(rejects):
        message = log.messages[reject.offset or 0]
        original = Original(message.value, {}, message.appended // 1000)
        refusal = Refusal(0, number, message.appended // 1000, reject)
        for _, raw in again(refusal, original, NOW, track).items:
            ((_, entry),) = decode(join([raw]))[0]
            log.add(entry, appended=a.at(10, 14))
    return log


def facts(partition: Partition) -> dict[str, Any]:
    return {one["subject"]: one["facts"] for one in partition.subjects_shown()}


def touched(person: str, subject: str) -> Entry:
    """A colleague was in touch with somebody: it concerns both."""
    return a.about(a.touch(person, day=10), subject, "colleague:ana")


def test_what_an_account_refused_and_a_colleague_took_goes_to_the_account_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(contacts, "CONTACT_LIMIT", 1)
        log = began(touched("u1", "account:acme"), touched("u2", "account:acme"))
        partition = playing.play(log)
    rejects = partition.cut().rejects
    assert [(one.reason, one.field) for one in rejects] == [("too_many_contacts", "account:acme")]
    before = facts(partition)

    playing.play(replay(log, rejects).messages[partition.stamp + 1 :], partition)

    assert facts(partition) == before
    assert before["colleague:ana"]["touches"] == {a.on(10).isoformat(): 2}
    known = partition.accounts["account:acme"].facts.contacts
    assert ([*known.people], known.last_touch and known.last_touch.person) == (["u1", "u2"], "u2")


def test_what_a_person_refused_and_a_colleague_took_goes_to_the_person_alone() -> None:
    log = began(a.usage(day=10))
    many = [touched("u1", "person:u1") for _ in range(WAITING_LIMIT + 2)]
    log.add(*many, appended=a.at(10))
    partition = playing.play(log)
    rejects = partition.cut().rejects
    assert [one.field for one in rejects] == ["person:u1"] * 2
    playing.play(log.add(a.joined("u1", account="acme", day=10)).messages[-1:], partition)
    assert len(partition.forwards()) == WAITING_LIMIT

    stamp = partition.stamp
    replay(log, rejects)
    playing.play(log.messages[stamp + 1 :], partition)
    sent = [one for _, one in partition.forwards()]
    # a replay that was cut off is sent once more
    playing.play(replay(log, rejects).messages[partition.stamp + 1 :], partition)

    told = facts(partition)
    assert told["colleague:ana"]["touches"] == {a.on(10).isoformat(): len(many)}
    assert (len(sent), partition.forwards()) == (2, [])
    for one in sent:
        ((_, forward),) = decode(join([one]))[0]
        log.add(forward)
    playing.play(log.messages[partition.stamp + 1 :], partition)
    assert recount({0: log.messages}).subjects == told
    known = partition.accounts["account:acme"].facts.contacts
    assert known.last_touch is not None
    assert known.last_touch.stamp[0] == a.at(10)


def test_what_nobody_could_read_goes_to_every_subject() -> None:
    log = began(a.usage(day=10)).add(a.usage(day=10))
    whole = encode([a.about(a.usage(day=10, id="x"), "account:acme", "account:beta")])
    reject = Reject(stage="detector", reason="unreadable", detail="", raw=whole, offset=1)
    log.messages[1] = log.messages[1]._replace(value=whole)
    replay(log, [reject])
    assert log.entries[-1][0].subjects == ("account:acme", "account:beta")
