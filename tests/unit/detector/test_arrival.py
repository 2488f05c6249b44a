"""Events may come in any order within 48 hours of their time (design.md §5, sameness, c)."""

from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.config import FeatureFlags
from schemas.envelope import Entry
from schemas.events import ContractEnded, ContractSigned, FeedbackGiven, TicketOpened
from services.detector.facts.tickets import KNOWN_DAYS
from services.detector.partition import Partition
from services.detector.showing import shown
from tests import builders as a
from tests import playing

FEATURES = {name: FeatureFlags(core=True) for name in ("f0", "f1", "f2", "f3")}
RULES = [
    a.silent(2),
    a.rule("silence", "rhythm", params={}),
    a.rule("stop", "stopped", params={"metric": "@meaningful"}),
    a.rule("drop", "people", params={"metric": "@people"}, dwell=1),
    a.rule("spike", "tickets", params={"probability": 0.1, "ratio": 1, "least": 1}),
    a.rule("spike", "urgent", params={"metric": "@tickets_high", "probability": 0.1, "least": 1}),
    a.rule("ratio", "idle", params={"idle": 0, "grace_days": 28, "added_days": 3}, dwell=1),
    a.rule("ratio", "full", params={"side": "high", "enter": 0.9, "leave": 0.8}, dwell=1),
    a.rule("abandonment", "abandoned", params={}, dwell=1),
    a.rule("breadth", "breadth", params={"fewer": 1, "days": 1}, dwell=1),
]
QUIET = [a.silent(150)]
BEFORE = 56
"""Days from those of the builders to the Monday that is day 1 here: the year's end is far away."""

KINDS = ("ticket", "seats", "signed", "ended", "feature", "usage", "usage", "vote")


class Told(NamedTuple):
    """An event: its hour, of what kind it is and which, and after how many hours it arrives."""

    hour: int
    kind: str
    n: int
    late: int = 0


def stories(hours: int) -> st.SearchStrategy[list[Told]]:
    numbers = st.integers(0, hours - 1), st.sampled_from(KINDS), st.integers(0, 11)
    return st.lists(st.builds(Told, *numbers, st.integers(0, 47)), max_size=24)


def entry(number: int, told: Told, begin: int) -> Entry:
    """Return an event of a story whose first hour is given in microseconds."""
    time = begin + told.hour * a.HOUR_US + number * a.MINUTE_US // 2
    where = a.Where(time=time, id=f"e{number:03}", source=("app", "desk", "chat")[told.n % 3])
    n, person, contract = told.n, f"u{told.n % 7}", f"c{told.n % 2}"
    match told.kind:
        case "ticket":
            return a.entry(TicketOpened(ticket=f"t{n % 4}", priority=1 + n % 3), **where)
        case "seats":
            return a.profile({"seats": (4, 7, 40, None)[n % 4]}, **where)
        case "signed":
            seats = (3, 30, msgspec.UNSET)[n % 3]
            first, last = a.on(BEFORE + n % 3 - 9), a.on(BEFORE + 2 + n)
            signed = ContractSigned(
                contract=contract,
                lines=[],
                currency="EUR",
                start_on=first,
                end_on=last,
                seats=seats,
            )
            return a.entry(signed, **where)
        case "ended":
            return a.entry(ContractEnded(contract=contract, ended_on=a.on(BEFORE + n - 3)), **where)
        case "feature":
            return a.usage(n, feature=f"f{n % 4}", person=person, **where)
        case "vote":
            vote = FeedbackGiven(
                alert=f"a{n % 2}",
                verdict=("false_alarm", "useful")[n // 2 % 2],
                author=("ana", None)[n % 3 // 2],
                rule=RULES[n % len(RULES)]["id"],
            )
            return a.entry(vote, **where)
    return a.usage(n / 4, metric=f"m{n % 2}", person=person, **where)


def at(day: int, hour: float) -> int:
    return a.at(BEFORE + day, hour)


def tick(day: int) -> Entry:
    """Return the tick with which a day closes."""
    seen = {source: [BEFORE + day] for source in ("app", "desk", "chat")}
    return a.tick(BEFORE + day + 1, 3, seen=seen)


@cache
def history(loud: bool) -> tuple[playing.Log, dict[str, bytes]]:
    """Return half a year of an account: five people, four features of which two were given up."""
    rules = a.rules(*(RULES if loud else QUIET), features=FEATURES)
    told = [
        a.usage(8, metric="m0", person=f"u{n}", feature=f"f{n}", day=BEFORE + day, hour=n)
        for day in range(-160, 1)
        for n in range(5)
        if n < 2 or day < -25 * (n - 1)
    ]
    ticket = TicketOpened(ticket="old", priority=3)
    opened = [a.entry(replace(ticket, ticket=f"old{n}"), day=BEFORE - 20 * n) for n in range(5)]
    log = playing.Log().add(rules, tick(-161)).add(*told, *opened, appended=at(1, 1))
    log.add(tick(0))
    partition = playing.play(log)
    assert partition.rules.n == 1
    return log, playing.store({}, partition.cut())


def go_on(loud: bool, messages: Sequence[tuple[int, Sequence[Entry]]]) -> Partition:
    """Play messages, each with its append time, after the history."""
    before, store = history(loud)
    log = deepcopy(before)
    for appended, entries in messages:
        log.add(*entries, appended=appended)
    partition = Partition.restore(0, 1, store)
    return playing.play(log.messages[len(before.messages) :], partition)


def facts(partition: Partition, *, late: bool) -> dict[str, Any]:
    """Return all that is known of the account, but for what tells when late data came."""
    (account,) = partition.accounts.values()
    judged = partition.judged_to(account)
    # What no rule asks for any more goes with the next change, and with the next ticket.
    account.facts.buckets.trim(judged + 1 - partition.rules.history_days)
    found = shown(account, 0, 0, judged)
    del found["episodes"]
    for told in found["tickets"].values():
        for gone in [day for day in told if day < judged - KNOWN_DAYS]:
            del told[gone]
    lines = account.facts.buckets.lines
    marks = {name: (line.start, line.active, line.sources) for name, line in lines.items()}
    corrected = {name: (line.revised, line.revised_after) for name, line in lines.items()}
    profile = msgspec.to_builtins(account.facts.profile)
    people = sorted(account.facts.people)
    return found | {"lines": marks, "profile": profile, "packed": people, "late": late or corrected}


def alerts(partition: Partition) -> list[dict[str, Any]]:
    """Return all alerts; the stamp, which is a place in the log, left out."""
    found: list[dict[str, Any]] = msgspec.to_builtins(partition.cut().alerts)
    for one in found:
        del one["account_now"]["stamp"]
    return sorted(found, key=repr)


@settings(max_examples=30)
@given(stories(47), st.randoms(use_true_random=False))
def test_two_days_of_events_before_a_closing_raise_the_same_in_any_order(
    told: list[Told], chance: Any
) -> None:
    entries = [entry(n, one, at(2, 1)) for n, one in enumerate(told)]
    permuted = chance.sample(entries, len(entries))
    first, second = (
        go_on(
            True,
            [
                (at(2, 3), [tick(1)]),
                (at(3, 3), [tick(2)]),
                *((at(4, 1), [one]) for one in order),
                (at(4, 3), [tick(3)]),
                (at(5, 3), [tick(4)]),
            ],
        )
        for order in (entries, permuted)
    )
    assert facts(first, late=False) == facts(second, late=False)
    assert alerts(first) == alerts(second)


@settings(max_examples=30)
@given(stories(96))
def test_what_comes_up_to_two_days_late_is_known_and_judged_as_if_it_came_in_time(
    told: list[Told],
) -> None:
    """Days close meanwhile; the rules begin when everything has come, on the Sunday."""

    def play(*, late: bool) -> Partition:
        begin, arriving = at(1, 1), list[tuple[int, list[Entry]]]()
        for n, one in enumerate(told):
            event = entry(n, one, begin)
            arriving.append((event.time + late * one.late * a.HOUR_US, [event]))
        ticks = [(at(day + 1, 3), [tick(day)]) for day in range(1, 7)]
        rules = a.rules(*RULES, n=2, features=FEATURES)
        whole = sorted([*arriving, *ticks], key=lambda message: message[0])
        return go_on(False, [*whole, (at(8, 3), [rules, tick(7)])])

    in_time, late = play(late=False), play(late=True)
    assert facts(in_time, late=True) == facts(late, late=True)
    assert alerts(in_time) == alerts(late)


LOUD = [
    *(Told(2, "ticket", n) for n in (0, 1, 2, 7)),
    *(Told(20, "usage", n) for n in range(7)),
    Told(1, "feature", 2),
    Told(30, "signed", 1),
    Told(31, "vote", 4),
]
FEW_SEATS = [Told(1, "signed", 6)]


@pytest.mark.parametrize(
    "told, rules",
    [
        # Of days on which nobody came breadth says nothing.
        ([], {"abandoned", "silent"}),
        (LOUD, {"abandoned", "idle", "tickets", "urgent"}),
        (FEW_SEATS, {"abandoned", "breadth", "full", "silent"}),
    ],
)
def test_such_stories_are_told_of(told: list[Told], rules: set[str]) -> None:
    """Else it would be no wonder that they are told alike."""
    entries = [entry(n, one, at(2, 1)) for n, one in enumerate(told)]
    partition = go_on(True, [(at(4, 1), entries), (at(4, 3), [tick(3)])])
    assert {one["rule"] for one in alerts(partition)} == rules
