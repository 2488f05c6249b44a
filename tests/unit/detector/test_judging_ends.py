"""How alerts end of which nothing more is told: they expire, or what they are about is gone."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from schemas.alerts import Alert
from schemas.config import FeatureFlags, RuleSetContent
from schemas.envelope import Entry
from schemas.events import ContractSigned
from services.detector import facts
from services.detector.fleet import Shared
from services.detector.judging import judge_day
from services.detector.ledger import Closing
from services.detector.rules import compile_rules
from services.detector.subject import Account
from tests import builders as a
from tests import playing

Life = list[tuple[str, int]]


def play(
    rules: Entry, until: int, told: Iterable[Entry], seen: Iterable[int] | None = None
) -> list[Alert]:
    """Play days of one account; each entry comes on the day of its time, `app` as `seen` says."""
    by_day: dict[int, list[Entry]] = {}
    for one in told:
        by_day.setdefault(one.time // a.DAY_US - a.START, []).append(one)
    there = range(1, until + 1) if seen is None else seen
    log = playing.Log().add(rules, a.tick(1, 3))
    for day in range(1, until + 1):
        app = [day] if day in there else []
        log.add(*by_day.get(day, ()), a.tick(day + 1, 3, seen={"app": app}))
    return playing.play(log).cut().alerts


def life(alerts: Iterable[Alert], rule: str) -> Life:
    return [(what, day) for _, one, _, what, day in playing.told(alerts) if one == rule]


POLICY = a.rule("silence", "quiet", params={"days": 60})
RHYTHM = a.rule("silence", "quiet", params={})
ONCE = [a.usage(day=1)]
MONTHLY = [a.usage(day=day) for day in range(1, 114, 28)]
"""Five active days, four weeks apart: so rare a customer is told after 130 days."""


@pytest.mark.parametrize(
    "rule, told, raised",
    # no active day is in sight from day 117 on, and from day 323 on
    [(POLICY, ONCE, 61), (RHYTHM, MONTHLY, 243)],
    ids=["a policy of 60 days", "a rhythm of one day a month"],
)
def test_a_silence_that_nobody_can_tell_any_more_becomes_the_new_normal(
    rule: Any, told: list[Entry], raised: int
) -> None:
    alerts = play(a.rules(rule), raised + 120, told)
    assert life(alerts, "quiet") == [("raised", raised), ("new_normal", raised + 84)]
    # There is nothing to say of it but what was said when it was raised.
    assert alerts[-1].because == {"title": "A rule", "play": "call-them"}


def test_who_comes_back_after_that_may_fall_silent_once_more() -> None:
    back = [a.usage(day=day) for day in range(200, 221)]
    assert life(play(a.rules(POLICY), 290, [*ONCE, *back]), "quiet") == [
        *(("raised", 61), ("new_normal", 145)),
        ("raised", 280),
    ]


@pytest.mark.parametrize(
    "extra, seen",
    [
        # the source is down: nothing comes of anybody
        ([], set(range(1, 300)) - set(range(140, 151))),
        ([a.closure(140, 150)], None),
    ],
    ids=["frozen", "closed"],
)
def test_no_alert_expires_on_a_day_of_which_nobody_could_know(
    extra: list[Entry], seen: set[int] | None
) -> None:
    alerts = play(a.rules(POLICY), 160, [*ONCE, *extra], seen)
    assert life(alerts, "quiet") == [("raised", 61), ("new_normal", 151)]


SEATS = a.rule("ratio", "seats", params={})
PEOPLE = [a.usage(person=f"u{day % 2}", day=day) for day in range(1, 131)]
BOUGHT = a.profile({"seats": 10}, day=1)


def signed(first: int, last: int) -> Entry:
    """A contract of ten seats."""
    contract = ContractSigned(
        contract="c1", lines=[], currency="EUR", start_on=a.on(first), end_on=a.on(last), seats=10
    )
    return a.entry(contract)


@pytest.mark.parametrize(
    "gone, ended",
    [
        ([BOUGHT, a.profile({"seats": None}, day=70)], 70),
        ([signed(1, 75)], 76),
    ],
    ids=["the CRM says so", "the contract has ended"],
)
def test_an_alert_of_seats_ends_when_there_are_none(gone: list[Entry], ended: int) -> None:
    alerts = play(a.rules(SEATS), 120, [*gone, *PEOPLE])
    assert life(alerts, "seats") == [("raised", 60), ("superseded", ended)]


def test_seats_that_are_bought_again_are_told_again_after_the_cool_down() -> None:
    seats = [BOUGHT, *(a.profile({"seats": n}, day=day) for n, day in ((None, 70), (10, 75)))]
    assert life(play(a.rules(SEATS), 120, [*seats, *PEOPLE]), "seats") == [
        *(("raised", 60), ("superseded", 70)),
        ("raised", 88),
    ]


def test_late_use_takes_an_alert_of_few_seats_back() -> None:
    late = [a.usage(person=f"v{n}", day=day) for n in range(8) for day in range(40, 62)]
    # told on day 63, of days before
    log = [BOUGHT, *PEOPLE]
    alerts = played_late(a.rules(SEATS), 64, log, 63, late)
    assert life(alerts, "seats") == [("raised", 60), ("withdrawn", 63)]


def played_late(
    rules: Entry, until: int, told: Iterable[Entry], on: int, late: Iterable[Entry]
) -> list[Alert]:
    """Play days of one account; what is late comes on the morning of a day."""
    log = playing.Log().add(rules, a.tick(1, 3))
    known = list(told)
    for day in range(1, until + 1):
        today = [one for one in known if a.at(day, 0) <= one.time < a.at(day + 1, 0)]
        log.add(*(late if day == on else ()), *today, a.tick(day + 1, 3, seen={"app": [day]}))
    return playing.play(log).cut().alerts


def test_late_use_takes_no_alert_back_of_days_whose_people_are_known_no_more() -> None:
    full = a.rule(
        *("ratio", "full"),
        params={"side": "high", "enter": 0.9, "leave": 0.84, "grace_days": 67},
    )
    # All ten come on the same days. By day 101 the 36th, without which the seats of day 74 were
    # half empty, is forgotten.
    months = (8, 36, 64, 92, *range(97, 110))
    people = [a.usage(person=f"u{n}", day=day) for n in range(10) for day in months]
    late = [a.usage(person="somebody", day=73)]
    alerts = played_late(a.rules(full), 110, [BOUGHT, *people], 101, late)
    assert life(alerts, "full") == [("raised", 74)]


CORE = FeatureFlags(core=True)


def test_an_alert_of_breadth_ends_when_no_core_feature_is_left() -> None:
    names = ("a", "b", "c")
    used = [
        a.usage(20, feature=name, day=day)
        for day in range(1, 161)
        for name in names
        if day <= 140 or name == "a"
    ]
    narrow = a.rule("breadth", "narrow", params={"days": 7})
    gone = [a.changed(name, "retired", day=178) for name in names]
    tracked = a.rules(narrow, features=dict.fromkeys(names, CORE))
    found = life(play(tracked, 182, [*used, *gone]), "narrow")
    assert [what for what, _ in found] == ["raised", "superseded"]
    assert found[-1] == ("superseded", 178)


@pytest.mark.parametrize("n", [1, 2])
def test_what_has_yielded_is_told_once_the_other_rule_is_off(n: int) -> None:
    first = a.rule("silence", "first", params={"days": 3})
    second = a.rule("silence", "second", params={"days": 4}, yields_to=["first"])
    log = playing.Log().add(a.rules(first, second), a.tick(1, 3), a.usage(day=1))
    for day in range(1, 9):
        if day == 6 and n == 2:
            log.add(a.rules(first | {"off": True}, second, n=2))
        log.add(a.tick(day + 1, 3, seen={"app": [day]}))
    alerts = playing.play(log).cut().alerts
    assert life(alerts, "first") == [("raised", 4), *([("superseded", 6)] if n == 2 else [])]
    assert life(alerts, "second") == ([("raised", 7)] if n == 2 else [])


Incident = Callable[[int], Shared | None]


def incident(first: int, last: int) -> Incident:
    """An incident of some days, of a fall to 40 % that began ten days before."""

    def on(day: int) -> Shared | None:
        begun = a.START + first
        ended: Any = "" if day <= last else "recovered"
        return Shared("it", begun, begun - 10, 40, ended) if day >= first else None

    return on


def test_an_incident_ends_no_cool_down_that_was_running() -> None:
    """A week without use, four weeks of it, none again: 60 days must lie between two alerts."""
    used = {*range(1, 181), *range(188, 215)}
    undisturbed = [("raised", 187), ("recovered", 213), ("raised", 247)]
    cooldown = {"clear_days": 1, "cooldown_days": 60}
    assert life(judged(used, 260, incident(999, 999), **cooldown), "stopped") == undisturbed
    assert life(judged(used, 260, incident(224, 229), **cooldown), "stopped") == undisturbed


def test_what_an_incident_told_in_its_place_is_told_when_that_is_over() -> None:
    """Raised while all fell, superseded by the incident, and as low as before when it ends."""
    found = judged(set(range(1, 209)), 240, incident(220, 225))
    assert life(found, "stopped") == [("raised", 215), ("superseded", 220), ("raised", 226)]


def judged(used: set[int], until: int, fall: Incident, **policy: Any) -> list[Alert]:
    """Judge one account day by day, while others fall too."""
    stop = a.rule("stop", "stopped", params={"metric": "usage"}, **policy)
    rules = compile_rules(1, RuleSetContent(rules=[stop]))
    account, alerts = Account("acme", 0), list[Alert]()
    for day in range(1, until + 1):
        if day in used:
            one = a.usage(10, day=day)
            moment = a.moment(one, account.facts.buckets, oldest=a.START - 500)
            assert facts.fold(account.facts, one, moment) is None
        closing = Closing(0, "UTC", a.START + day, 1, 0, False, shared=fall(day))
        found = judge_day(rules, [account], closing)
        assert found.failures == []
        alerts += found.alerts
    return alerts
