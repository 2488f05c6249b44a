"""Rules over accounts at the end of a day, through a partition: what comes out, what does not."""

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.alerts import AccountNow, AlertCleared, AlertRaised
from schemas.config import MetricFlags
from schemas.envelope import Entry
from services.detector.partition import Partition
from services.detector.primitives.finding import Finding
from tests import builders as a
from tests import playing

Told = list[tuple[str, str, str, str, int]]


def days(first: int, last: int, **sources: set[int]) -> list[Entry]:
    """A tick after each day; `app` was seen on every day unless `app` says on which."""
    on = sources.get("app", set(range(first, last + 1)))
    return [
        a.tick(day + 1, 3, seen={"app": [day] if day in on else []})
        for day in range(first, last + 1)
    ]


def told(*entries: Entry) -> Told:
    return playing.told(playing.play(playing.Log().each(*entries)).cut().alerts)


BEGIN = (a.rules(a.silent(3)), a.tick(1, 3))


def test_an_alert_carries_what_a_person_and_routing_need() -> None:
    partition = playing.play(
        playing.Log().each(
            a.rules(a.silent(2, severity="low", title="Quiet", play="call-them"), n=7),
            a.tick(1, 3),
            a.profile({"owner": "ana", "name": "Acme", "arr": 120, "currency": "EUR"}),
            a.usage(4, day=1),
            a.closure(2, 2, day=1),
            *days(1, 3),
        )
    )
    (alert,) = partition.cut().alerts
    because = alert.because
    assert alert == AlertRaised(
        alert_id=alert.alert_id,
        account="acme",
        rule="silent",
        rule_set=7,
        kind="policy_silence",
        object="activity",
        day=a.on(3),
        # two hours after day 4 began
        fired_at=datetime(2026, 1, 8, 2, tzinfo=UTC),
        severity="low",
        category="early_signals",
        churn_kind="voluntary",
        historic=False,
        # the tick that opened the day's closing
        account_now=AccountNow(stamp=7, owner="ana", name="Acme", arr=120, currency="EUR"),
        because=because,
    )
    assert (because["title"], because["play"], because["metrics"]) == (
        "Quiet",
        "call-them",
        ["usage"],
    )
    assert because["masked_days"] == [{"date": "2026-01-06", "reason": "closure"}]
    evidence = because["computed_from"]
    assert (evidence["counts"][-3:], evidence["known"], evidence["from"]) == (
        [4, 0, 0],
        3,
        # 2 days of silence, 56 of rhythm, 28 for corrections
        (a.on(3 - 85)).isoformat(),
    )
    # day 3 is masked[-1]; day 2 was closed, and before day 1 the app had never been seen
    assert evidence["masked"] == [*range(83), 84]


@pytest.mark.parametrize(
    "entries, found",
    [
        ([a.usage(day=1), *days(1, 3)], []),
        ([a.usage(day=1), *days(1, 4)], [("acme", "silent", "activity", "raised", 4)]),
        # ticks only, after a long downtime: raised once, for the first such day
        (
            [a.usage(day=1), a.tick(30, 3, seen={"app": range(1, 30)})],
            [("acme", "silent", "activity", "raised", 4)],
        ),
        # nobody heard of the account before the day was over
        ([a.tick(9, 3), a.usage(day=9, hour=4), *days(9, 11)], []),
    ],
)
def test_silence_is_found_when_no_event_comes(entries: list[Entry], found: Told) -> None:
    assert told(*BEGIN, *entries) == found


def test_late_data_withdraw_an_alert_and_it_may_come_again_at_once() -> None:
    found = told(*BEGIN, a.usage(day=1), *days(1, 4), a.usage(day=3, hour=1), *days(5, 6))
    # day 4: silent for 3 days. The late event of day 3 takes that back; day 6 is 3 days after it
    assert found == [
        ("acme", "silent", "activity", "raised", 4),
        ("acme", "silent", "activity", "withdrawn", 5),
        ("acme", "silent", "activity", "raised", 6),
    ]


def test_late_data_withdraw_an_alert_though_the_next_day_is_masked_for_the_rule() -> None:
    found = told(
        *(*BEGIN, a.usage(day=1), *days(1, 4)),
        *(a.closure(5, 5, day=5, hour=4), a.usage(day=3, hour=1), *days(5, 5)),
        *(a.usage(day=6), *days(6, 8)),
    )
    # nothing is judged on day 5; the event of day 3 is as late on day 6 as it was then
    assert found == [
        ("acme", "silent", "activity", "raised", 4),
        ("acme", "silent", "activity", "withdrawn", 6),
    ]


def test_a_silence_that_lasts_is_not_recovered() -> None:
    active = [one for day in (1, 2, 3) for one in (a.usage(day=day), *days(day, day))]
    found = told(*BEGIN, *active, *days(4, 9))
    # on day 6 three of the last seven days are active ones; that is no return
    assert found == [("acme", "silent", "activity", "raised", 6)]


def test_late_data_that_change_nothing_of_the_day_withdraw_nothing() -> None:
    found = told(*BEGIN, a.usage(day=1), *days(1, 4), a.usage(day=1, hour=1), *days(5, 6))
    assert found == [("acme", "silent", "activity", "raised", 4)]


def test_an_alert_of_more_than_four_weeks_ago_is_not_judged_again() -> None:
    found = told(*BEGIN, a.usage(day=1), *days(1, 33), a.usage(day=3, hour=1), *days(34, 34))
    assert found == [("acme", "silent", "activity", "raised", 4)]


def test_days_of_an_outage_are_masked_and_said_to_be_without_data() -> None:
    log = playing.Log().each(*BEGIN, a.usage(day=1), *days(1, 6, app={1, 2}))
    partition = playing.play(log)
    account = partition.accounts["account:acme"]
    # masked on days 3 to 6: nothing can be told
    assert (playing.told(partition.cut().alerts), account.states) == ([], {"usage": "no_data"})
    log.each(*days(7, 7))
    playing.apply(partition, log.messages[-1:])
    playing.settle(partition)
    assert account.states == {"usage": "warming_up"}
    # calendar days count for a policy: day 7 is six days after the last event
    (raised,) = partition.cut().alerts
    assert playing.told([raised]) == [("acme", "silent", "activity", "raised", 7)]
    assert [one["reason"] for one in raised.because["masked_days"]] == [
        "no data from its source"
    ] * 4


def test_several_metrics_as_one_are_dark_only_where_all_of_them_are() -> None:
    one, two = {"source": "one", "metric": "calls"}, {"source": "two", "metric": "logins"}
    ticks = [a.tick(day + 1, 3, seen={"two": [day]}) for day in range(1, 5)]
    story = [a.usage(day=1, **one), a.usage(day=1, **two), *ticks]  # type: ignore[arg-type]
    partition = playing.play(playing.Log().each(*BEGIN, *story))
    assert playing.told(partition.cut().alerts) == [("acme", "silent", "activity", "raised", 4)]
    states = partition.accounts["account:acme"].states
    assert states == {"calls": "no_data", "logins": "warming_up"}


@pytest.mark.parametrize(
    "closure, found",
    [
        (a.closure(4, 4), [("acme", "silent", "activity", "raised", 5)]),
        (a.closure_for_all(4, 5), [("acme", "silent", "activity", "raised", 6)]),
        (a.closure(1, 3), [("acme", "silent", "activity", "raised", 4)]),
    ],
)
def test_a_declared_closure_is_no_day_to_judge(closure: Entry, found: Told) -> None:
    assert told(*BEGIN, a.usage(day=1), closure, *days(1, 6)) == found


def test_a_closure_of_one_account_is_none_of_another() -> None:
    story = (a.usage(day=1), a.usage(day=1, account="beta"), a.closure(4, 9))
    assert told(*BEGIN, *story, *days(1, 4)) == [("beta", "silent", "activity", "raised", 4)]


def test_a_rule_yields_to_one_that_goes_first() -> None:
    first = a.rule("silence", "first", params={"days": 4})
    second = a.rule("silence", "second", params={"days": 3}, yields_to=["first"])
    found = told(a.rules(second, first), a.tick(1, 3), a.usage(day=1), *days(1, 6))
    assert found == [
        ("acme", "second", "activity", "raised", 4),
        ("acme", "first", "activity", "raised", 5),
        ("acme", "second", "activity", "superseded", 5),
    ]


@pytest.mark.parametrize(
    "risk, ends",
    [
        ({"severity": "high"}, True),
        ({"severity": "critical"}, True),
        ({"severity": "medium"}, False),
        ({"severity": "high", "category": "expansion"}, False),
        # nobody is told of a shadow, so it silences nobody
        ({"severity": "high", "shadow": True}, False),
    ],
)
def test_nobody_speaks_of_growth_while_a_high_risk_is_open(
    risk: dict[str, Any], ends: bool
) -> None:
    growth = a.rule("silence", "growth", params={"days": 3}, category="expansion", severity="low")
    threat = a.rule("silence", "threat", params={"days": 4}, **risk)
    # In the order of the packs growth may come first; a day's risks are judged before it.
    found = told(a.rules(growth, threat), a.tick(1, 3), a.usage(day=1), *days(1, 6))
    assert [(rule, what, day) for _, rule, _, what, day in found] == [
        ("growth", "raised", 4),
        ("threat", "raised", 5),
        *([("growth", "superseded", 5)] if ends else []),
    ]


@pytest.mark.parametrize(
    "change, reason, kept",
    [
        (a.rules(n=2), ["superseded"], []),
        (a.rules(a.silent(3, off=True), n=2), ["superseded"], [False]),
        (
            a.rules(a.silent(3), overrides=[{"rule": "silent", "off": True}], n=2),
            ["superseded"],
            [False],
        ),
        (a.rules(a.silent(3, shadow=True), n=2), [], [True]),
    ],
)
def test_an_alert_ends_with_its_rule(change: Entry, reason: list[str], kept: list[bool]) -> None:
    log = playing.Log().each(*BEGIN, a.usage(day=1), *days(1, 4), change, *days(5, 7))
    partition = playing.play(log)
    assert [what for *_, what, _ in playing.told(partition.cut().alerts)] == ["raised", *reason]
    left = partition.accounts["account:acme"].episodes
    assert [one.open for one in left.values()] == kept


@pytest.mark.parametrize(
    "selector, named, reason",
    [
        ("@meaningful", "usage", ["superseded"]),
        # the rule takes it by its name, whatever it means
        ("usage", "usage", []),
        ("@meaningful", "another", []),
    ],
)
def test_an_alert_ends_when_its_rule_no_longer_takes_the_metric(
    selector: str, named: str, reason: list[str]
) -> None:
    rule = a.silent(3) | {"params": {"days": 3, "metric": selector}}
    change = a.rules(rule, n=2, metrics={named: MetricFlags(meaningful=False)})
    found = told(a.rules(rule), a.tick(1, 3), a.usage(day=1), *days(1, 5), change, *days(6, 9))
    assert [what for *_, what, _ in found] == ["raised", *reason]


def test_an_open_closing_is_judged_by_the_rules_that_held_when_it_was_opened() -> None:
    log = playing.Log().each(*BEGIN, a.usage(day=1), *days(1, 3))
    partition = playing.play(log)
    later = playing.Log()
    later.messages = list(log.messages)
    later.each(*days(4, 4), a.rules(a.silent(1, severity="low"), n=2), *days(5, 5))
    playing.apply(partition, later.messages[len(log.messages) :])
    playing.settle(partition)
    alerts = partition.cut().alerts
    assert [(one.rule_set, one.severity, one.day) for one in alerts] == [(1, "high", a.on(4))]


def test_a_closing_that_was_opened_before_any_rule_set_is_judged_by_none() -> None:
    log = playing.Log().each(a.tick(1, 3), a.usage(day=1), *days(1, 2), a.rules(a.silent(1)))
    partition = playing.settle(playing.apply(Partition.begin(0, 1), log))
    assert partition.cut().alerts == []
    log.each(*days(3, 3))
    assert playing.told(playing.play(log.messages[-1:], partition).cut().alerts) == [
        ("acme", "silent", "activity", "raised", 3)
    ]


def test_the_segment_decides_which_parameters_hold() -> None:
    override = {"rule": "silent", "segment": "smb", "params": {"days": 2}, "severity": "info"}
    found = playing.play(
        playing.Log().each(
            a.rules(a.silent(3), overrides=[override]),
            a.tick(1, 3),
            a.profile({"segment": "smb"}),
            a.usage(day=1),
            a.usage(day=1, account="beta"),
            *days(1, 4),
        )
    )
    alerts = found.cut().alerts
    assert [(one.account, one.day, one.severity) for one in alerts] == [
        ("acme", a.on(3), "info"),
        ("beta", a.on(4), "high"),
    ]


def test_metrics_that_are_no_activity_are_left_out() -> None:
    flags = {"sync": MetricFlags(meaningful=False)}
    syncs = [a.usage(metric="sync", day=day) for day in range(1, 5)]
    story = [one for day, sync in zip(days(1, 4), syncs, strict=True) for one in (sync, day)]
    found = told(a.rules(a.silent(3), metrics=flags), a.tick(1, 3), a.usage(day=1), *story)
    assert found == [("acme", "silent", "activity", "raised", 4)]


def test_a_date_that_is_no_longer_near_supersedes_its_alert() -> None:
    renewal = a.rule("deadline", "renewal", params={"what": "renewal_checklist", "days": 10})
    story = (
        a.profile({"renewal_on": a.on(12)}, day=1),
        *days(1, 3),
        a.profile({"renewal_on": a.on(200)}, day=4, hour=5),
        *days(4, 4),
    )
    assert told(a.rules(renewal), a.tick(1, 3), *story) == [
        ("acme", "renewal", "2026-01-16", "raised", 2),
        ("acme", "renewal", "2026-01-16", "superseded", 4),
    ]


def test_an_event_wakes_its_rules_unless_it_is_older_than_two_days() -> None:
    begin = (a.rules(a.unpaid(1)), a.tick(10, 3))
    assert told(*begin, a.payment_failed(day=8, hour=2.9)) == []
    assert told(*begin, a.payment_failed(day=8, hour=3)) == [("acme", "unpaid", "p1", "raised", 8)]


def test_imported_history_is_marked() -> None:
    begin = (a.rules(a.unpaid(1), a.silent(3)), a.tick(1, 3, mode="importing"))
    story = (
        a.payment_failed(day=1),
        a.usage(day=1),
        a.tick(5, 3, mode="importing", seen={"app": range(1, 5)}),
    )
    live = (a.tick(6, 3, seen={"app": [5]}), a.payment_failed("p2", day=6, hour=4))
    alerts = playing.play(playing.Log().each(*begin, *story, *live)).cut().alerts
    assert [(one.rule, one.object, one.historic) for one in alerts] == [
        ("unpaid", "p1", True),
        ("silent", "activity", True),
        ("unpaid", "p2", False),
    ]


def test_swings_are_kept_on_sundays_and_given_back_by_their_age() -> None:
    drop = a.rule("drop", "fell", params={"metric": "@meaningful"})
    log = playing.Log().add(a.rules(drop), a.tick(1, 3))
    for day in range(1, 204):
        log.add(a.usage(10 + day % 3, day=day), a.tick(day + 1, 3, seen={"app": [day]}))
    partition = playing.play(log)
    line = partition.accounts["account:acme"].facts.buckets.lines["usage"]
    # 28 judged days and 84 before them: the first Sunday with a swing is day 112, the last 203
    assert len(line.swings) == (203 - 112) // 7 + 1
    assert line.week == (a.START + 203 + 3) // 7


def test_a_finding_is_plain_data() -> None:
    assert Finding("u1", True, False, "low", {})._asdict()["because"] == {}


def test_an_alert_that_is_cleared_says_why() -> None:
    log = playing.Log().each(
        a.rules(a.unpaid(1)), a.tick(1, 3), a.payment_failed(), a.payment_succeeded(hour=13)
    )
    raised, cleared = playing.play(log).cut().alerts
    assert isinstance(cleared, AlertCleared)
    assert (cleared.alert_id, cleared.reason, cleared.fired_at) == (
        raised.alert_id,
        "recovered",
        datetime(2026, 1, 5, 13, tzinfo=UTC),
    )
