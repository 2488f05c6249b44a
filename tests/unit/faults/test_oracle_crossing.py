"""The oracle on what crosses partitions: persons, merges, erasure, summaries."""

from datetime import date

from msgspec.structs import replace

from schemas.alerts import AccountNow, AlertCleared
from schemas.envelope import Entry, Origin
from schemas.events import (
    AccountErased,
    AccountMerged,
    ArrMoved,
    EmployeeLeft,
    IncidentJudged,
    PersonErased,
    PersonJoined,
    SentimentSet,
    SpendRecorded,
    TargetSet,
    TouchRecorded,
)
from tests.faults.oracle import Recounted, recount
from tests.faults.oracle.homes import home
from tests.unit.faults import stories as a
from tests.unit.faults.stories import Log, alone, at, days, entry, on, silent, told, usage


def crossings(found: Recounted) -> list[str]:
    """Return what is wrong with forwards alone; nobody has said here how the days went."""
    return [fault for fault in found.faults if "forward/" in fault]


def partitions(count: int, *told: tuple[str, a.Message]) -> dict[int, list[a.Message]]:
    """Return logs with each message in the home of its subject, offsets made to fit."""
    logs: dict[int, list[a.Message]] = {number: [] for number in range(count)}
    for subject, message in told:
        log = logs[home(subject, count)]
        log.append(message._replace(offset=len(log)))
    return logs


def one(*entries: Entry, now: int) -> a.Message:
    return Log().say(*entries, now=now).messages[0]


FOR_U1 = usage(1, 9, person="u1", subjects=("person:u1",))
JOINED = PersonJoined(person="u1", account="acme")
JOINS = one(entry(JOINED, "person:u1", time=at(1, 10), id="j"), now=at(1, 10))
WAITED = replace(
    FOR_U1, subjects=("account:acme",), origin=Origin("forward/1", home("person:u1", 5), 1, 0)
)


def test_an_event_waits_for_its_persons_account_and_is_forwarded_there() -> None:
    assert home("person:u1", 5) != home("account:acme", 5)
    waits = partitions(5, ("person:u1", one(FOR_U1, now=at(1, 9))))
    assert recount(waits).subjects == {"person:u1": {"account": None, "waiting": 1}}
    joins = partitions(5, ("person:u1", one(FOR_U1, now=at(1, 9))), ("person:u1", JOINS))
    assert recount(joins).subjects == {"person:u1": {"account": "acme", "waiting": 0}}
    (fault,) = recount(joins).faults
    assert "forward/1" in fault
    assert "1 of 1 are missing" in fault
    forwarded = recount(
        partitions(
            5,
            ("person:u1", one(FOR_U1, now=at(1, 9))),
            ("person:u1", JOINS),
            ("account:acme", one(WAITED, now=at(1, 11))),
            ("account:acme", one(WAITED, now=at(1, 12))),  # once more, after a crash
        )
    )
    assert (forwarded.faults, days(forwarded)) == ([], {on(1): 1})


def test_a_forward_that_nothing_caused_or_that_overtakes_another_is_a_fault() -> None:
    second = replace(FOR_U1, id="second")
    both = one(FOR_U1, second, now=at(1, 9))
    later = replace(WAITED, id="second", origin=WAITED.origin._replace(place=1))  # type: ignore[union-attr]
    begun = (("person:u1", both), ("person:u1", JOINS))
    overtaken = recount(partitions(5, *begun, ("account:acme", one(later, WAITED, now=at(2)))))
    assert ["skips 1 forwards" in one for one in overtaken.faults] == [True, False]
    made_up = replace(WAITED, id="another")
    foreign = recount(partitions(5, *begun, ("account:acme", one(made_up, now=at(2)))))
    assert ["nothing caused" in one for one in foreign.faults] == [True, False]


def test_an_event_of_a_person_without_an_account_is_given_up_after_a_fortnight() -> None:
    log = Log().tick(1, 10).say(FOR_U1, now=at(1, 10))
    assert alone(log.tick(15, 9.9)).subjects == {"person:u1": {"account": None, "waiting": 1}}
    found = alone(log.tick(15, 10))
    assert (found.subjects, found.refused) == ({}, {(0, 1, 0): "unattributed"})


def test_a_merged_account_sends_what_comes_later_on_and_its_alerts_end() -> None:
    log = silent().say(entry(AccountMerged(into="beta"), time=at(5, 9)), now=at(5, 9))
    log.say(usage(5, 10, id="later"), now=at(5, 10))
    found = alone(log)
    assert told(found)[1:] == [("superseded", "silence", "activity", on(5))]
    assert found.accounts["acme"]["merged"] == "beta"
    assert days(found) == {on(1): 1}
    assert len(crossings(found)) == 1
    forward = Origin("forward/1", 0, len(log.messages) - 1, 0)
    arrived = usage(5, 10, id="later", subjects=("account:beta",), origin=forward)
    found = alone(log.say(arrived, now=at(5, 11)))
    assert (crossings(found), days(found, account="beta")) == ([], {on(5): 1})


def test_an_erased_account_begins_anew_with_what_comes_after() -> None:
    erased = a.system(AccountErased(), "account:acme", time=at(5, 9))
    log = silent().say(erased, now=at(5, 9))
    log.say(usage(5, 8, id="before"), usage(5, 10, id="after"), now=at(5, 10))
    found = alone(log)
    ended = found.alerts["acme"][1]
    assert isinstance(ended, AlertCleared)
    assert (ended.reason, ended.account_now) == ("superseded", AccountNow(stamp=7))
    assert (days(found), found.counts["dropped"]) == ({on(5): 1}, 1)


def test_an_erased_person_is_nobody_and_the_sums_of_days_remain() -> None:
    log = Log().tick(1, 10).say(usage(1, 9, person="u1"), now=at(1, 10))
    log.say(a.system(PersonErased(person="u1"), time=at(1, 11)), now=at(1, 11))
    log.say(usage(1, 10, person="u1", id="before"), now=at(1, 12))
    found = alone(log)
    assert (days(found), days(found, "@people")) == ({on(1): 2}, {on(1): 1})
    assert found.accounts["acme"]["people"] == {}
    log.say(usage(1, 12, person="u1", id="after"), now=at(1, 12))
    found = alone(log)
    assert (days(found, "@people"), found.accounts["acme"]["people"]) == ({on(1): 2}, {"u1": on(1)})


def test_the_company_and_its_people_are_counted() -> None:
    moved = ArrMoved(kind="new", amount=500, effective_on=date(2026, 5, 31), currency="EUR")
    both = ("company", "colleague:ana")
    log = Log().tick(1, 10)
    log.say(
        entry(moved, "company", time=at(1, 1)), entry(moved, "company", time=at(1, 2)), now=at(1)
    )
    log.say(entry(SpendRecorded(amount=7, month="2026-02"), "company", time=at(1, 3)), now=at(1))
    newer = TargetSet(period="2026-Q3", amount=20, currency="EUR")
    older = TargetSet(period="2026-Q3", amount=10, currency="EUR")
    log.say(
        entry(newer, "company", time=at(1, 5)), entry(older, "company", time=at(1, 4)), now=at(1)
    )
    log.say(entry(EmployeeLeft(colleague="ana"), *both, time=at(1, 6)), now=at(1))
    touch = TouchRecorded(colleague="ana", two_way=True)
    log.say(entry(touch, "account:acme", "colleague:ana", time=at(1, 7)), now=at(1))
    rated = SentimentSet(rating=4, author="ana")
    log.say(entry(rated, "account:acme", "colleague:ana", time=at(1, 8)), now=at(1))
    assert alone(log).subjects == {
        "company": {
            "arr": {"2026-05": {"new/EUR": 1000}},
            "spend": {"2026-02": {"": 7}},
            "targets": {"2026-Q3/EUR": 20},
            "left": {"ana": on(1)},
            "deals": {},
        },
        "colleague:ana": {
            "touches": {on(1): 1},
            "two_way": {on(1): 1},
            "left": on(1),
            "sentiments": {"4": 1},
        },
    }


def test_a_day_that_closed_must_be_summed_up_for_every_partition() -> None:
    log = Log().rules(a.SILENCE).tick(1, 10)
    # Of customers known for less than sixteen weeks nothing is told; they are counted all the same.
    log.say(usage(1, 10), usage(1, 11, subjects=["account:beta"]), now=at(1, 11))
    (fault,) = alone(log.tick(2)).faults
    assert "never heard how company did" in fault
    assert "values={'accounts': 2, 'told': 0, 'fallen': 0, 'ratios': {}}" in fault


def test_who_lived_on_in_an_erased_account_must_be_erased_everywhere() -> None:
    merged = a.entry(AccountMerged(into="acme"), "account:beta", time=at(1))
    erased = a.system(AccountErased(), "account:acme", time=at(2))
    also = a.system(AccountErased(), "account:beta", time=at(2))
    logs = partitions(1, ("beta", one(merged, now=at(1))), ("acme", one(erased, now=at(2))))
    (fault,) = recount(logs).faults
    assert fault == f"partition 0 was never told to erase account:beta up to {at(2)}"
    logs[0].append(one(also, now=at(2))._replace(offset=2))
    assert recount(logs).faults == []


def test_a_shared_fall_that_nobody_can_have_found_is_a_fault() -> None:
    day = date(2026, 1, 5)
    fall = IncidentJudged(day=day, alert="x", raised_on=day, since=day, depth=60)
    said = replace(entry(fall, "account:acme", time=at(2, 2), id="incident"), subjects=())
    (fault,) = recount({0: [one(said, now=at(2, 2))]}).faults
    assert fault.endswith("but nobody has fallen")
