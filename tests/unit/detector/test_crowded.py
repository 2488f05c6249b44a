"""Accounts of which very much is said: no record grows without bound, and no service ends."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from uuid import UUID

import msgspec
import pytest

from schemas.envelope import Entry
from schemas.events import (
    ContractEnded,
    ContractSigned,
    FeedbackGiven,
    InvoiceIssued,
    TicketOpened,
)
from schemas.events.billing import InvoiceLine
from schemas.topics import MESSAGE_LIMIT
from services.detector import episode, forwards
from services.detector.episode import EPISODE_LIMIT
from services.detector.facts.feedback import VOTE_LIMIT
from services.detector.facts.payments import PAYMENT_LIMIT
from services.detector.facts.seats import CONTRACT_LIMIT, TOLD_LIMIT
from services.detector.facts.tickets import KNOWN_LIMIT
from services.detector.partition import Partition
from services.publishing.lanes import ENTRY_BYTES
from services.snapshots import RECORD_BYTES
from tests import builders as a
from tests import playing
from tests.faults.oracle import recount
from tests.unit.detector.views import began, counts

ACME = "account:acme"
RULES = a.rules(a.unpaid(1), a.gone())


def days(first: int, last: int) -> list[Entry]:
    return [a.tick(day + 1, 3, seen={"app": [day]}) for day in range(first, last + 1)]


def failing(names: list[str], day: int) -> list[Entry]:
    return [a.payment_failed(name, day=day, time=a.at(day) + n) for n, name in enumerate(names)]


def raised(log: playing.Log, partition: Partition) -> list[tuple[str, str, int]]:
    """Play a log; what comes of it is what a recount says that shares no code with the fold."""
    alerts = playing.told(playing.play(log, partition).cut().alerts)
    found = recount({0: log.messages})
    assert alerts == playing.told(found.alerts["acme"])
    kept = {key: one["raised_on"] for key, one in found.accounts["acme"]["episodes"].items()}
    known = partition.accounts[ACME].episodes
    assert {key: one.raised_on for key, one in known.items()} == kept
    return [(object_, what, day) for _, _, object_, what, day in alerts]


def test_of_so_many_alerts_the_oldest_makes_room_once_its_id_cannot_come_again() -> None:
    many = [f"p{n:03}" for n in range(EPISODE_LIMIT + 20)]
    log = playing.Log().each(RULES, a.tick(1, 3)).add(*failing(many, 1))
    # those of the first day are too young to go: the id of an alert is never given twice
    log.each(*days(1, 3)).add(*failing(["q1"], 4))
    assert counts(playing.play(log), "suppressed") == {("suppressed", "too_many"): 21}
    log.each(*days(4, 5)).add(*failing(["q2", "q3"], 6))
    partition = Partition.begin(0, 1)
    assert raised(log, partition)[EPISODE_LIMIT:] == [
        ("p000", "superseded", 6),
        ("q2", "raised", 6),
        ("p001", "superseded", 6),
        ("q3", "raised", 6),
    ]
    assert len(partition.accounts[ACME].episodes) == EPISODE_LIMIT
    assert counts(partition, "suppressed") == {("suppressed", "too_many"): 23}


def test_an_alert_that_is_over_makes_room_before_one_that_is_open() -> None:
    names = [f"p{n:03}" for n in range(EPISODE_LIMIT)]
    # one that cools down for long is kept beside the open ones
    rules = a.rules(a.unpaid(1, cooldown_days=60))
    log = playing.Log().each(rules, a.tick(1, 3)).add(*failing(names, 1))
    log.add(a.payment_succeeded("p050", day=1, hour=13)).each(*days(1, 5)).add(*failing(["q"], 6))
    found = raised(log, Partition.begin(0, 1))
    assert found[EPISODE_LIMIT:] == [("p050", "recovered", 1), ("q", "raised", 6)]


def test_a_snapshot_from_before_there_was_a_bound_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    log = playing.Log().each(RULES, a.tick(1, 3)).add(*failing([f"p{n}" for n in range(150)], 1))
    with monkeypatch.context() as patch:
        patch.setattr("services.detector.raising.EPISODE_LIMIT", 1_000)
        former = playing.play(log)
    partition = Partition.restore(0, 1, playing.store({}, former.cut()))
    assert len(partition.accounts[ACME].episodes) == 150
    log.each(*days(1, 5)).add(*failing(["q"], 6))
    playing.play(log, partition)
    assert len(partition.accounts[ACME].episodes) == EPISODE_LIMIT


def test_an_account_has_one_episode_for_each_payment_that_is_known() -> None:
    assert episode.EPISODE_LIMIT == PAYMENT_LIMIT


def test_no_record_of_legal_events_is_larger_than_a_quarter_of_a_megabyte() -> None:
    """Thousands of payments fail and people leave for weeks, under the rules that tell of them."""
    assert _largest(lambda n: str(UUID(int=n))) <= 256 * 1024


def test_ids_as_long_as_they_may_be_fit_into_a_record_that_can_be_written() -> None:
    assert _largest(lambda n: f"{n:04}" + "\U0001f600" * 196) < RECORD_BYTES < MESSAGE_LIMIT


def _largest(named: Callable[[int], str]) -> int:
    """Return the size of the largest record of an account with every list as long as it may be."""
    numbers = count()
    log = playing.Log().add(RULES, a.tick(1, 2))
    for day in (1, 2):
        for n in range(130):
            who, payment = named(next(numbers)), named(next(numbers))
            told: list[Entry] = [
                a.contact(who, {"role": f"champion of {day}/{n}", "status": "active"}),
                a.granted(who),
                a.touch(who),
                a.left(who),
                *(a.payment_failed(payment, time=a.at(day) + n) for n in range(20)),
                a.usage(metric=payment, source=who),
            ]
            log.add(
                *(
                    msgspec.structs.replace(
                        one, id=str(UUID(int=next(numbers))), time=a.at(day) + place
                    )
                    for place, one in enumerate(told)
                )
            )
        log.each(a.tick(day + 1, 3))
    log.add(*(_beside(named, numbers)))
    partition = playing.play(log)
    held = Counter(one.rule for one in partition.accounts[ACME].episodes.values())
    assert held == {"unpaid": EPISODE_LIMIT, "contact-left": EPISODE_LIMIT}
    known = partition.accounts[ACME].facts
    kept = (*known.tickets.days.values(), *known.tickets.urgent.values())
    assert sum(map(len, kept)) == KNOWN_LIMIT
    lists = (known.seats.told, known.seats.contracts, known.feedback.votes)
    assert tuple(map(len, lists)) == (TOLD_LIMIT, CONTRACT_LIMIT, VOTE_LIMIT)
    return max(len(key.encode()) + len(raw or b"") for key, raw in partition.cut().records)


def _beside(named: Callable[[int], str], numbers: Iterator[int]) -> Iterator[Entry]:
    """Yield more tickets, words on seats, contracts and votes than are kept of an account."""

    def id_() -> str:
        return str(UUID(int=next(numbers)))

    for n in range(KNOWN_LIMIT + 10):
        opened = TicketOpened(ticket=named(n), priority=1 + n % 5)
        yield a.entry(opened, day=2.9 - n % 60, id=id_())
    for day in range(TOLD_LIMIT + 10):
        yield a.profile({"seats": 100_000 + day}, day=day - TOLD_LIMIT - 9, id=id_())
    for n in range(CONTRACT_LIMIT + 10):
        name, last = named(n), a.on(900)
        signed = ContractSigned(
            contract=name, lines=[], currency="EUR", start_on=a.on(1), end_on=last, seats=100_000
        )
        yield a.entry(signed, id=id_())
        yield a.entry(ContractEnded(contract=name, ended_on=last), id=id_())
    for _ in range(VOTE_LIMIT + 10):
        vote = FeedbackGiven(alert=id_(), verdict="false_alarm", author="ana", rule="contact-left")
        yield a.entry(vote, id=id_())


def _invoice(size: int) -> Entry:
    """Return an entry of some bytes."""
    lines = [InvoiceLine(item="é" * 260, amount=1) for _ in range(1_000)]
    event = InvoiceIssued(invoice="i1", currency="EUR", due_on=a.on(9), lines=lines)
    one = a.entry(event, id="i", day=10)
    over = len(msgspec.msgpack.encode(one)) - size
    for n in range(1_000):
        plain = min(over, 260)
        lines[n] = InvoiceLine(item="é" * (260 - plain) + "x" * plain, amount=1)
        over -= plain
    return one


def test_what_is_too_long_once_it_is_forwarded_is_refused_with_whose_it_was() -> None:
    assert forwards.FORWARD_BYTES == ENTRY_BYTES
    log = began(a.merged("beta-gmbh", day=10), _invoice(ENTRY_BYTES), a.usage(id="x", day=10))
    partition = playing.play(log)
    assert [one.id for one in playing.forwards(partition)] == ["x"]
    (reject,) = partition.cut().rejects
    assert (reject.reason, reject.field, reject.offset, reject.index) == ("too_large", ACME, 1, 1)
    assert counts(partition, "forwarded", "rejected") == {
        ("forwarded", "merged"): 1,
        ("rejected", "too_large"): 1,
    }
    found = recount({0: log.messages})
    assert found.refused == {(0, 1, 1): "too_large"}
