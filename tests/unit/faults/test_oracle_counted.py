"""Tickets, features, seats and votes in the oracle, on cases that are worked out by hand."""

from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.envelope import Entry, Origin
from schemas.events import (
    AccountMerged,
    AccountUpdated,
    ContractEnded,
    ContractSigned,
    FeedbackGiven,
    ProductChanged,
    TicketOpened,
    UsageRecorded,
)
from tests.faults.oracle import Unaccountable
from tests.faults.oracle.counting import Counting
from tests.unit.faults import stories as a
from tests.unit.faults.stories import FIRST, Log, alone, at, days, entry, failed, on, usage


def ticket(day: float, id: str = "t1", priority: int = 3, hour: float = 12) -> Any:
    """Return a ticket; its entry's id tells it apart from the same ticket told again."""
    opened = TicketOpened(ticket=id, priority=priority)
    return entry(opened, time=at(day, hour), id=f"{id}-{day}-{hour}-{priority}")


def vote(day: float, offset: int, verdict: Any = "false_alarm", who: str | None = "kim") -> Any:
    """Return what somebody says of alert a1 of the rule about payments."""
    said = FeedbackGiven(alert="a1", verdict=verdict, author=who, rule="payment-failed")
    origin = Origin("alerts.v1", 0, offset, 0)
    return entry(said, time=at(day), id=f"feedback-0-{offset}", source="ebbwatch", origin=origin)


def counting(log: Log) -> Counting:
    """Count a log of one partition; lines and what feeds them are not shown."""
    found = Counting(0, None, {})
    found.count(log.messages)
    return found


def counted(log: Log) -> tuple[dict[str, float], dict[str, float]]:
    """Return tickets by day, and the urgent ones."""
    found = alone(log)
    return days(found, "@tickets"), days(found, "@tickets_high")


def test_a_ticket_that_is_told_twice_counts_once_on_the_first_day_it_was_told_of() -> None:
    log = Log().tick(1, 10).say(ticket(1), ticket(1, hour=13), ticket(1, "t2"), now=at(1))
    assert counted(log) == ({on(1): 2}, {})
    # Told again on Wednesday, it stays Monday's.
    log.tick(2).tick(3).say(ticket(3, hour=3), now=at(3, 4))
    assert counted(log) == ({on(1): 2}, {})


def test_a_ticket_that_is_told_late_moves_to_the_day_on_which_it_was_opened() -> None:
    log = Log().tick(1, 10).say(ticket(1), now=at(1)).tick(2)
    log.say(ticket(-3), now=at(2, 3))
    # Monday's is gone, not counted beside: 1 - 1 = 0, of which nothing is shown.
    assert counted(log) == ({on(-3): 1}, {})


def test_a_ticket_is_urgent_from_the_first_day_on_which_its_priority_says_so() -> None:
    log = Log().tick(1, 10).say(ticket(1), now=at(1)).tick(2).tick(3)
    log.say(ticket(3, priority=2, hour=1), now=at(3, 3))
    assert counted(log) == ({on(1): 1}, {on(3): 1})
    # It was urgent on Tuesday already, and lowered since.
    log.say(ticket(2, priority=1), ticket(3, priority=4, hour=2), now=at(3, 4))
    assert counted(log) == ({on(1): 1}, {on(2): 1})
    assert alone(log).accounts["acme"]["tickets"] == [[FIRST + 1, FIRST + 2]]


def test_a_ticket_of_sixty_three_days_before_the_judged_one_is_known_and_an_older_one_is_not() -> (
    None
):
    log = Log().tick(1, 10).say(ticket(1), ticket(2, "t2", hour=0.1), now=at(1, 23.95))
    # On day 66 day 65 is judged: 63 days before it lies day 2.
    log.tick(66).say(ticket(66, hour=1), ticket(66, "t2", hour=1), now=at(66, 3))
    assert counted(log) == ({on(1): 1, on(2): 1, on(66): 1}, {})
    assert alone(log).accounts["acme"]["tickets"] == [[FIRST + 2, None], [FIRST + 66, None]]


def test_a_ticket_of_days_that_are_forgotten_is_too_late() -> None:
    log = Log().rules(a.SILENCE).tick(1, 10).say(ticket(-85), ticket(-86, "t2"), now=at(1))
    assert (counted(log), alone(log).counts["too_late"]) == (({on(-85): 1}, {}), 1)


def test_more_tickets_than_are_known_again_are_none_that_the_oracle_can_tell() -> None:
    many = [ticket(1, f"t{n}") for n in range(1_500)]
    log = Log().tick(1, 10).say(*many, now=at(1))
    assert counted(log) == ({on(1): 1_500}, {})
    # One that is urgent is kept twice: by the day it was told of, and by the day it was urgent.
    log.say(ticket(1, "t7", priority=1, hour=11), now=at(1))
    with pytest.raises(Unaccountable, match="more than 1500 tickets"):
        alone(log)


def test_whoever_repeats_a_ticket_feeds_its_line_as_the_one_who_told_it_first() -> None:
    """Of a line that two sources feed a day is dark only if both are."""
    log = Log().rules(a.SILENCE).tick(1, 10)
    again = replace(ticket(1, priority=2), source="chat")
    log.say(ticket(1, priority=3), again, replace(ticket(1, hour=11), source="mail"), now=at(1))
    lines = counting(log).customers.known["acme"].lines
    assert {name: line.sources for name, line in lines.items()} == {
        "@tickets": ["app", "chat", "mail"],
        "@tickets_high": ["chat"],
    }


def test_whoever_sees_a_person_again_feeds_the_line_of_people() -> None:
    log = Log().tick(1, 10)
    used = usage(1, person="u1")
    log.say(used, replace(used, id="again", source="web"), now=at(1))
    found = alone(log)
    assert days(found, "@people") == {on(1): 1}
    lines = counting(log).customers.known["acme"].lines
    assert lines["@people"].sources == ["app", "web"]


def test_of_more_than_ten_sources_the_first_by_name_are_known_whoever_came_first() -> None:
    some = [replace(usage(1), id=f"e{n}", source=f"s{n:02}") for n in range(12, -1, -1)]
    log = Log().tick(1, 10).say(*some, now=at(1))
    (line,) = counting(log).customers.known["acme"].lines.values()
    assert line.sources == [f"s{n:02}" for n in range(10)]


def test_usage_of_a_tracked_feature_counts_for_the_metric_and_for_the_feature() -> None:
    def used(hour: float, feature: str | None) -> Any:
        event = UsageRecorded(metric="api_calls", quantity=2, feature=feature)
        return entry(event, time=at(1, hour))

    log = Log().rules(a.SILENCE, features={"exports": {"core": True}}).tick(1, 10)
    log.say(used(1, "exports"), used(2, "exports"), used(3, "dump"), used(4, None), now=at(1))
    found = alone(log)
    assert {name: days(found, name) for name in found.buckets["acme"]} == {
        "api_calls": {on(1): 8},
        "@feature:exports": {on(1): 4},
    }


def test_tickets_are_no_sign_of_life_and_no_rule_over_usage_takes_them() -> None:
    log = Log().rules(a.SILENCE).tick(1, 10).say(usage(1, 10), now=at(1, 10))
    log.tick(2).say(ticket(2, hour=3), now=at(2, 4)).tick(3).tick(4)
    found = alone(log)
    # Tuesday and Wednesday without usage: two days of silence, though a ticket came.
    assert a.told(found) == [("raised", "silence", "activity", on(3))]
    assert found.accounts["acme"]["last_usage"] == FIRST + 1


def test_of_a_contract_the_newest_signature_and_the_newest_end_hold() -> None:
    def signed(hour: float, seats: int) -> Any:
        event = ContractSigned(
            contract="c1",
            lines=[],
            currency="EUR",
            seats=seats,
            start_on=date(2026, 1, 1),
            end_on=date(2026, 12, 31),
        )
        return entry(event, time=at(1, hour), id=f"s{hour}")

    ended = entry(ContractEnded(contract="c1", ended_on=date(2026, 6, 30)), time=at(1, 1), id="e")
    crm = [entry(AccountUpdated(seats=n), time=at(1, n), id=f"u{n}") for n in (7, 5)]
    log = Log().tick(1, 10).say(signed(3, 30), signed(2, 20), ended, *crm, now=at(1))
    first, last = (date(2026, m, d).toordinal() - 719_163 for m, d in ((1, 1), (12, 31)))
    june = date(2026, 6, 30).toordinal() - 719_163
    assert alone(log).accounts["acme"]["seats"] == {
        "told": [[at(1, 5), "u5", FIRST + 1, 5], [at(1, 7), "u7", FIRST + 1, 7]],
        "contracts": {"c1": [first, last, 30, [at(1, 3), "s3"], [at(1, 1), "e"], june]},
    }


def test_of_one_persons_votes_on_an_alert_the_newest_holds_whatever_came_last() -> None:
    log = Log().tick(1, 10).say(usage(1), now=at(1))
    log.say(vote(1, 4), vote(0.9, 5, "useful"), vote(1, 6, "useful", "ana"), now=at(1))
    log.say(vote(1, 4, "known"), now=at(1, 13))  # an origin that was told before
    assert alone(log).accounts["acme"]["feedback"] == {
        "payment-failed": {"false_alarm": 1, "useful": 1}
    }


def test_a_vote_on_an_account_that_is_not_known_begins_none() -> None:
    found = alone(Log().tick(1, 10).say(vote(1, 4), now=at(1)))
    assert (found.accounts, found.refused) == ({}, {})


def test_a_vote_goes_on_to_the_account_that_lives_on() -> None:
    log = Log().tick(1, 10).say(usage(1), now=at(1))
    log.say(entry(AccountMerged(into="beta"), time=at(1, 11)), vote(1, 4), now=at(1))
    (fault,) = alone(log).faults
    assert "1 of 1 are missing" in fault
    assert "FeedbackGiven(alert='a1'" in fault


def test_an_alert_says_when_its_rule_raised_the_one_before_and_who_called_it_false() -> None:
    log = Log().rules(a.PAYMENT).tick(1, 10)
    log.say(failed(1, 9), failed(1, 9.5), vote(1, 4), now=at(1))
    log.tick(6, 10).say(failed(6, 9, "in_2"), failed(6, 9.5, "in_2"), now=at(6, 11))
    log.tick(7, 10).say(vote(7, 5, who="ana"), now=at(7, 11))
    log.say(failed(7, 9, "in_3"), failed(7, 9.5, "in_3"), now=at(7, 11))
    told = [one.because["history"] for one in alone(log).alerts["acme"]]
    # Rules that events wake look at what is settled: of Sunday's alert, days before Wednesday.
    assert told == [
        {"last_alert": None, "false_alarm_votes": 0},
        {"last_alert": on(1), "false_alarm_votes": 1},
        {"last_alert": on(1), "false_alarm_votes": 1},
    ]


def test_more_features_than_are_remembered_are_refused() -> None:
    changes = [
        Entry(f"p{n}", "app", at(1), (), ProductChanged(feature=f"f{n % 401}", change="limited"))
        for n in range(403)
    ]
    log = Log().tick(1, 10).say(*changes, now=at(1))
    # The 401st is one too many; the first two come again, and are known.
    assert alone(log).refused == {(0, 1, 400): "too_many_products"}
