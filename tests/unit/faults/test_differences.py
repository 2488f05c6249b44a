"""What is said where a deployment and its log differ, and whether anything can slip through."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from schemas import alerts as alert_records
from schemas.envelope import Origin, decode, encode
from tests.faults.oracle import Actual, differences, recount, supply_differences
from tests.faults.oracle.homes import home
from tests.unit.faults import company_log
from tests.unit.faults.stories import Log, Message, at, usage

SEEDS = range(8)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_company_folded_in_portions_with_crashes_is_what_its_log_says(seed: int) -> None:
    sim = company_log.play(seed)
    assert differences(recount(sim.logs()), sim.actual()) == []


@pytest.fixture(scope="module")
def sim() -> company_log.Sim:
    """A company in which everything that is spoilt below has happened."""
    return company_log.play(62, steps=30)


def plain(found: Actual) -> dict[str, Any]:
    """Return what a deployment shows, to be spoilt."""
    return {
        "accounts": [dict(line) for line in found.accounts],
        "subjects": [dict(line) for line in found.subjects],
        "alerts": {number: list(records) for number, records in found.alerts.items()},
        "rejects": list(found.rejects or ()),
        "stamps": dict(found.stamps),
    }


Spoil = Callable[[dict[str, Any]], object]


def _bucket(found: dict[str, Any]) -> None:
    line = next(one for one in found["accounts"] if one["buckets"].get("api_calls"))
    days = dict(line["buckets"]["api_calls"])
    days[max(days)] += 0.5
    line["buckets"] = line["buckets"] | {"api_calls": days}


def _person(found: dict[str, Any]) -> None:
    line = next(one for one in found["accounts"] if one["people"])
    line["people"] = {}


def _alerts(found: dict[str, Any]) -> list[bytes]:
    records: list[bytes] = next(one for one in found["alerts"].values() if one)
    return records


def _payload(found: dict[str, Any]) -> None:
    records = _alerts(found)
    raised = alert_records.decode(records[0])
    stamp = replace(raised.account_now, stamp=raised.account_now.stamp + 1)
    records[0] = alert_records.encode(replace(raised, account_now=stamp))


def _episode(found: dict[str, Any]) -> None:
    line = next(one for one in found["accounts"] if one["episodes"])
    line["episodes"] = [one | {"since": one["since"] + 1} for one in line["episodes"]]


def _ticket(found: dict[str, Any]) -> None:
    line = next(one for one in found["accounts"] if one["tickets"])
    days = {int(day) + 1: marks for day, marks in line["tickets"]["days"].items()}
    line["tickets"] = line["tickets"] | {"days": days}


def _line(found: dict[str, Any], name: str) -> None:
    line = next(one for one in found["accounts"] if one["buckets"].get(name))
    line["buckets"] = {who: days for who, days in line["buckets"].items() if who != name}


def _seats(found: dict[str, Any]) -> None:
    line = next(one for one in found["accounts"] if one["seats"].get("told"))
    told = [[at, id, day, seats + 1] for at, id, day, seats in line["seats"]["told"]]
    line["seats"] = line["seats"] | {"told": told}


def _contract(found: dict[str, Any]) -> None:
    line = next(one for one in found["accounts"] if one["seats"].get("contracts"))
    line["seats"] = line["seats"] | {"contracts": {}}


def _vote(found: dict[str, Any]) -> None:
    line = next(one for one in found["accounts"] if one["feedback"])
    line["feedback"] = {"silence": {"useful": 99}}


SPOILT: dict[str, Spoil] = {
    "a half too many": _bucket,
    "nobody was active": _person,
    "an account is lost": lambda found: found["accounts"].pop(),
    "an account twice": lambda found: found["accounts"].append(found["accounts"][0]),
    "a subject is lost": lambda found: found["subjects"].pop(),
    "an alert is lost": lambda found: _alerts(found).pop(),
    "an alert came twice": lambda found: _alerts(found).append(_alerts(found)[0]),
    "an alert says something else": _payload,
    "an episode began elsewhere": _episode,
    "a ticket counts on another day": _ticket,
    "tickets are not counted": lambda found: _line(found, "@tickets"),
    "urgent tickets are not counted": lambda found: _line(found, "@tickets_high"),
    "a feature is not counted": lambda found: _line(found, "@feature:exports"),
    "a seat too many": _seats,
    "a contract is lost": _contract,
    "a vote is another": _vote,
    "a reject is lost": lambda found: found["rejects"].pop(),
    "a message is not folded": lambda found: found["stamps"].update({0: 0}),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_nothing_that_is_spoilt_slips_through(sim: company_log.Sim, spoil: Spoil) -> None:
    expected, found = recount(sim.logs()), plain(sim.actual())
    assert differences(expected, Actual(**found)) == []
    spoil(found)
    assert differences(expected, Actual(**found)) != []


def test_a_forward_that_is_taken_out_of_the_log_is_missed(sim: company_log.Sim) -> None:
    logs = {number: list(log) for number, log in sim.logs().items()}
    for log in logs.values():
        for n, message in enumerate(log):
            kept = [one for _, one in decode(message.value)[0] if not _is_forward(one.origin)]
            log[n] = message._replace(value=encode(kept))
    assert any("forward/1 from" in one for one in recount(logs).faults)


def _is_forward(origin: Origin | None) -> bool:
    return origin is not None and origin.input.startswith("forward/")


def test_differences_say_what_where_and_by_how_much() -> None:
    expected = recount({0: Log().say(usage(1, quantity=2.5), now=at(1)).messages})
    nothing = Actual(accounts=[], subjects=[], alerts={}, stamps={0: -1})
    assert differences(expected, nothing) == [
        "partition 0 is folded up to -1, its log ends with 0",
        "account acme is in the log and was not counted",
    ]


def test_of_many_differences_the_first_twenty_are_told() -> None:
    log = Log()
    for n in range(25):
        log.say(usage(1, subjects=(f"account:a{n:02}",), id=f"e{n}"), now=at(1))
    nothing = Actual(accounts=[], subjects=[], alerts={})
    told = differences(recount({0: log.messages}), nothing)
    assert (len(told), told[-1]) == (21, "... and 5 more")


def event(id: str, subject: str | None = "acme", **data: Any) -> bytes:
    told = {
        "specversion": "1.0",
        "id": id,
        "source": "app",
        "type": "usage.recorded",
        "time": "2026-03-02T12:00:00Z",
        "data": {"metric": "api_calls", **data},
    }
    return msgspec.json.encode(told | ({"subject": subject} if subject else {}))


def logs_of(*told: tuple[str, str, Origin | None]) -> dict[int, list[Message]]:
    """Return three logs with usage of (subject, id, origin) at home."""
    logs: dict[int, list[Message]] = {number: [] for number in range(3)}
    for subject, id, origin in told:
        person = subject.removeprefix("person:") if subject.startswith("person:") else None
        entry = usage(1, person=person, subjects=(subject,), id=id, origin=origin)
        log = logs[home(subject, 3)]
        log.append(Message(len(log), at(1), encode([entry])))
    return logs


def test_what_was_acknowledged_must_be_in_the_log_and_what_is_there_was_sent() -> None:
    accepted = [event("e1"), event("e2", subject=None, person="u1")]
    whole = logs_of(("account:acme", "e1", None), ("person:u1", "e2", None))
    assert supply_differences(whole, accepted, {}, accepted) == []
    (lost,) = supply_differences(logs_of(("account:acme", "e1", None)), accepted, {})
    assert lost.startswith(f"acknowledged over HTTP, not in events {home('person:u1', 3)}")
    (made_up,) = supply_differences(whole, [], {}, [accepted[0]])
    assert made_up.endswith("holds 'e2' of app, which nobody sent")


def test_every_record_of_an_input_must_be_in_the_log_under_its_own_origin() -> None:
    topic = {0: [Message(7, at(1), event("e1")), Message(8, at(1), b"no event")]}
    inputs = {"usage": topic}
    right = logs_of(("account:acme", "e1", Origin("usage", 0, 7, 0)))
    assert supply_differences(right, [], inputs) == []
    wrong = supply_differences(
        logs_of(("account:acme", "e1", Origin("usage", 0, 6, 0))), [], inputs
    )
    assert ["must hold" in one for one in wrong] == [True, False]
    assert ["no record does" in one for one in wrong] == [False, True]


def test_a_record_that_is_far_ahead_of_its_append_time_is_not_in_the_log() -> None:
    minute, origin = 60_000_000, Origin("usage", 0, 7, 0)
    there, absent = logs_of(("account:acme", "e1", origin)), logs_of()
    told: dict[int, list[str]] = {}
    for ahead in (10, 11, 16):
        inputs = {"usage": {0: [Message(7, at(1) - ahead * minute, event("e1"))]}}
        told[ahead] = [
            *supply_differences(there, [], inputs),
            *supply_differences(absent, [], inputs),
        ]
    # A bridge that is a little late may still refuse it, or not any more.
    assert [len(told[ahead]) for ahead in (10, 11, 16)] == [1, 0, 1]
    assert "must hold" in told[10][0]
    assert "no record does" in told[16][0]


def test_what_has_no_time_of_its_own_is_in_the_log_only_if_its_record_s_can_be_right() -> None:
    minute, origin = 60_000_000, Origin("usage", 0, 7, 0)
    untimed = msgspec.json.encode(
        {k: v for k, v in msgspec.json.decode(event("e1")).items() if k != "time"}
    )
    told: dict[int, list[str]] = {}
    for stamp in (-1000, 0, at(1) - minute, at(1) + 9 * minute, at(1) + 16 * minute, 1000 * at(1)):
        entry = usage(1, id="e1", origin=origin)
        entry = msgspec.structs.replace(entry, time=stamp)
        logs = logs_of()
        logs[home("account:acme", 3)].append(Message(0, at(1), encode([entry])))
        told[stamp] = supply_differences(logs, [], {"usage": {0: [Message(7, stamp, untimed)]}})
    assert [len(each) for each in told.values()] == [1, 1, 0, 0, 1, 1]
    assert all("no record does" in each for some in told.values() for each in some)


def test_a_wrong_time_of_a_record_says_nothing_of_an_event_that_has_its_own() -> None:
    """Neither does one of the future let in what is ahead of everything in the log."""
    day, there = 86_400_000_000, logs_of(("account:acme", "e1", Origin("usage", 0, 7, 0)))
    for stamp in (-1000, at(1) - 2 * day, at(1) + 2 * day):
        inputs = {"usage": {0: [Message(7, stamp, event("e1"))]}}
        wrong = supply_differences(there, [], inputs)
        assert ["no record does" in one for one in wrong] == [True] * (stamp == at(1) - 2 * day)
