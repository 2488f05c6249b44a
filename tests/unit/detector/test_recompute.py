"""What an alert says, computed again: from what it keeps, and from the events themselves."""

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from schemas.alerts import Alert, AlertRaised
from schemas.config import FeatureFlags, RuleSetContent
from schemas.envelope import COMPANY, encode
from services.commands.recounting import DISTINCT, Recounted, compared
from services.detector.calendars import to_date
from services.detector.compared import ABSENT, Line, same
from services.detector.episode import alert_id
from services.detector.facts.profile import Profile
from services.detector.fleet import KIND, OBJECT, RULE, Look, Shared
from services.detector.incident import _because
from services.detector.partition import Partition
from services.detector.primitives import DAY
from services.detector.recompute import Recomputed, recompute
from services.detector.recount import Recount
from services.detector.rehearsal import messages
from services.detector.rules import RuleSet, compile_rules
from tests import builders as a
from tests import playing
from tests.unit.detector.packed import CONTENT, FIRING, RULES

STOPPED = "usage-stopped"
ONLY_READ = {
    *("metrics", "history.false_alarm_votes", "core_features", "usual_when_raised", "admins"),
    *("usage_days_of_28", "usage_share", "touch_share"),
}
"""What of shipped rules' records nothing stored with them gives once more."""


class Story:
    """The first case of a shipped rule that fires, played to its end.

    Attributes:
        rules: The rule set that judged it.
        messages: Its log.
        alerts: What was said by then, by all rules.
    """

    def __init__(self, rule: str) -> None:
        told = list(messages(CONTENT, rule, FIRING[rule]))
        self.messages = [playing.Message(n, at, encode(some)) for n, (at, some) in enumerate(told)]
        self.rules: RuleSet = compile_rules(1, told[0][1][0].event.content)  # type: ignore[union-attr]
        self.partition = playing.play(self.messages, Partition.begin(0, 1, 1 << 16))
        self.alerts: list[Alert] = self.partition.cut().alerts

    def found(self, alert: Alert, rules: RuleSet | None = None) -> Recomputed:
        raised = next(one for one in self.alerts if one.alert_id == alert.alert_id)
        assert isinstance(raised, AlertRaised)
        return recompute(alert, rules or self.rules, raised.day, [])

    def recounted(self, alert: Alert, first: int = 0) -> Recounted:
        """Count from a message on, as if those before were deleted."""
        profile = self.partition.accounts[f"account:{alert.account}"].facts.profile
        due = round(alert.fired_at.timestamp() * 1e6)
        counting = Recount(alert.account, profile, alert.account_now.stamp, due, 1)
        for one in self.messages[first:]:
            if not counting.take(*one):
                break
        return compared(alert, counting, first, self.messages[first].appended)


@cache
def story(rule: str) -> Story:
    return Story(rule)


def stopped() -> Alert:
    return next(one for one in story(STOPPED).alerts if one.rule == STOPPED)


def as_read(alert: Alert) -> Alert:
    """The record as it comes back from the alert log."""
    return msgspec.json.decode(msgspec.json.encode(alert), type=Alert)  # type: ignore[no-any-return]


def wrong(found: Recomputed) -> Sequence[Line]:
    return [line for line in found.lines if not line.agrees]


@pytest.mark.parametrize("rule", RULES)
def test_every_number_of_every_shipped_rule_comes_out_again(rule: str) -> None:
    mine = [one for one in story(rule).alerts if one.rule == rule]
    assert mine
    for alert in mine:
        found = story(rule).found(as_read(alert))
        assert (wrong(found), len(found.lines) > 5) == ([], True)
        assert {"headline", "text", "history.last_alert"} <= {line.name for line in found.lines}
        assert set(found.read) <= ONLY_READ


@pytest.mark.parametrize("rule", RULES)
def test_the_days_of_every_shipped_rule_are_counted_again_from_the_events(rule: str) -> None:
    asked = story(rule).rules.by_id[rule].primitive in DAY
    for alert in (one for one in story(rule).alerts if one.rule == rule):
        assert ("computed_from" in alert.because) == asked
        if not asked:
            continue
        counted = story(rule).recounted(alert)
        assert counted.events > 0
        if alert.kind in DISTINCT:
            assert counted.notes == [f"{DISTINCT[alert.kind]} are no sums"]
            assert [one.name for one in counted.days] == [
                f"{one['feature']}, last used" for one in alert.because.get("core_features", ())
            ]
            assert counted.agrees
        else:
            assert (counted.agrees, counted.gone, counted.notes) == (True, 0, [])


@pytest.mark.parametrize(
    "name, value, differ",
    [
        ("observed", 3.0, {"observed"}),
        ("rule_window", None, set()),
        ("window", {"from": "2026-01-01", "to": "2026-01-07", "days_used": 7}, {"window.from"}),
        (
            "weekly",
            [],
            {f"weekly[{n}].{one}" for n in range(8) for one in ("observed", "expected")},
        ),
    ],
)
def test_a_number_that_was_changed_is_named(name: str, value: Any, differ: set[str]) -> None:
    alert = stopped()
    tampered = replace(alert, because=alert.because | {name: value})
    found = story(STOPPED).found(tampered)
    assert differ <= {line.name for line in wrong(found)}
    if name == "rule_window":
        assert "rule_window: not computed from the stored evidence" in found.notes
        assert "rule_window" in found.read
    if name == "weekly":
        assert {line.stored for line in wrong(found)} == {ABSENT}


@pytest.mark.parametrize("rule", RULES)
def test_words_that_say_other_numbers_than_the_record_are_named(rule: str) -> None:
    alert = next(one for one in story(rule).alerts if one.rule == rule)
    because = alert.because | {"headline": "usage fell 99.9 %", "text": "It fell 7777 %."}
    found = story(rule).found(replace(alert, because=because))
    assert {line.name for line in wrong(found)} == {"headline", "text"}


def test_words_of_another_version_that_say_the_same_numbers_are_no_difference() -> None:
    alert = stopped()
    headline = f"In other words, {alert.because['headline']}"
    found = story(STOPPED).found(replace(alert, because=alert.because | {"headline": headline}))
    assert wrong(found) == []
    assert "headline: this version says the same numbers in other words" in found.notes


@pytest.mark.parametrize(
    "stored, earlier, differ",
    [
        (None, [], []),
        ("2026-01-02", [date(2026, 1, 2), date(2025, 12, 1)], []),
        # of an account that was erased in between
        (None, [date(2026, 1, 2)], []),
        ("2026-01-02", [date(2026, 1, 3)], [("history.last_alert", "2026-01-02", "2026-01-03")]),
        ("2025-01-02", [], []),
    ],
)
def test_the_alert_that_came_before_is_the_one_of_the_alert_log(
    stored: str | None, earlier: list[date], differ: list[tuple[str, Any, Any]]
) -> None:
    alert = stopped()
    known = {"last_alert": stored, "false_alarm_votes": 0}
    record = replace(alert, because=alert.because | {"history": known})
    later = [*earlier, alert.day, date(2030, 1, 1)]
    found = recompute(record, story(STOPPED).rules, alert.day, later)
    assert [tuple(one) for one in wrong(found)] == differ
    # What only one of both still has says nothing against the record.
    assert ("history.last_alert" in found.read) == ((stored is None) == bool(earlier))


def test_what_nothing_stored_gives_once_more_is_named_and_never_passed_over() -> None:
    alert = stopped()
    more = {"peer_ratio": 0.98, "peer_accounts": 40, "incident": {"alert_id": "x"}}
    found = story(STOPPED).found(replace(alert, because=alert.because | more))
    assert {*more, "metrics", "history.false_alarm_votes"} == set(found.read)
    told = "peer_ratio, peer_accounts: what all customers' summaries said: it can only be read"
    assert told in found.notes


def test_a_number_that_an_earlier_version_did_not_compute_is_no_difference() -> None:
    alert = stopped()
    because = {key: value for key, value in alert.because.items() if key != "observed"}
    limits = dict(because["thresholds_in_force"])
    del limits["ratio"]
    found = story(STOPPED).found(replace(alert, because=because | {"thresholds_in_force": limits}))
    assert {line.name for line in wrong(found)} <= {"headline", "text"}
    told = "observed, thresholds_in_force.ratio: this version computes it, the record has none"
    assert told in found.notes


def test_a_segment_that_differs_in_its_severity_alone_raises_no_false_alarm() -> None:
    alert = replace(stopped(), severity="low")
    content = _content(story(STOPPED).partition.ledger.rule_sets[1])
    mild = [{"rule": STOPPED, "segment": "smb", "severity": "low"}]
    rules = compile_rules(2, replace(content, overrides=mild))
    assert wrong(story(STOPPED).found(alert, rules)) == []
    (line,) = wrong(story(STOPPED).found(replace(alert, severity="medium"), rules))
    assert (line.name, line.stored, line.computed) == ("severity", "medium", "critical")


def test_a_count_that_was_changed_shows_in_what_is_computed_from_it_and_beside_the_events() -> None:
    alert = stopped()
    source = alert.because["computed_from"]
    counts = [*source["counts"][:-60], 999, *source["counts"][-59:]]
    tampered = replace(
        alert, because=alert.because | {"computed_from": source | {"counts": counts}}
    )
    assert {"expected", "probability"} & {one.name for one in wrong(story(STOPPED).found(tampered))}
    counted = story(STOPPED).recounted(tampered)
    (day,) = [one for one in counted.days if not one.agrees]
    assert (day.stored, counted.agrees) == (999, False)


@pytest.mark.parametrize(
    "change, differ",
    [
        ({"severity": "low"}, {"severity"}),
        ({"kind": "silence"}, {"kind"}),
        ({"account": "beta"}, {"alert_id"}),
        ({"object": "else"}, {"alert_id"}),
    ],
)
def test_what_does_not_follow_from_the_numbers_is_named(
    change: dict[str, Any], differ: set[str]
) -> None:
    alert = replace(stopped(), **change)
    raised_on = stopped().day
    found = recompute(alert, story(STOPPED).rules, raised_on)
    assert {line.name for line in wrong(found)} == differ


def test_an_alert_that_the_limits_of_another_rule_set_would_not_raise_is_named() -> None:
    alert = stopped()
    changed = [{"rule": STOPPED, "params": {"ratio": 0.0, "probability": 0.999999}}]
    content = story(STOPPED).partition.ledger.rule_sets[1]
    strict = compile_rules(2, replace(_content(content), overrides=changed))
    found = story(STOPPED).found(alert, strict)
    assert "its limits are those of no segment of this rule set" in found.notes
    assert {line.name for line in wrong(found)} >= {"thresholds_in_force.probability"}


def test_a_rule_that_differs_by_segment_is_told_by_its_limits() -> None:
    alert = stopped()
    content = story(STOPPED).partition.ledger.rule_sets[1]
    default = [{"rule": STOPPED, "params": {"ratio": 0.05}}]
    smb = [{"rule": STOPPED, "segment": "smb", "params": {"ratio": 0.1}}]
    rules = compile_rules(2, replace(_content(content), overrides=default + smb))
    assert wrong(story(STOPPED).found(alert, rules)) == []


def test_a_rule_that_is_gone_and_evidence_that_is_none_are_said() -> None:
    alert = stopped()
    gone = recompute(alert, RuleSet(n=7), alert.day)
    assert gone == Recomputed([], ["rule set 7 has no rule 'usage-stopped': nothing to ask"])
    bare = recompute(replace(alert, because={}), story(STOPPED).rules, alert.day)
    assert bare.notes == ["the record keeps no evidence of its own"]
    broken = replace(alert, because={"computed_from": {"counts": ["x"]}})
    (note,) = recompute(broken, story(STOPPED).rules, alert.day).notes
    assert note.startswith("its evidence cannot be read: ValueError")


def test_a_fall_that_many_share_follows_from_how_many_they_are() -> None:
    found = Look(told=100, fallen=40, share=400, ordinary=100, median=100, depth=60)
    fall = Shared("x", a.START, a.START - 3, found.depth)
    because = _because(found, fall, a.START)
    subject = alert_id(COMPANY, RULE, OBJECT, a.START, 0)
    record = replace(
        stopped(), account=COMPANY, rule=RULE, kind=KIND, object=OBJECT, because=because,
        alert_id=subject,
    )  # fmt: skip
    told = recompute(record, RuleSet(), to_date(a.START))
    assert (wrong(told), len(told.lines)) == ([], 7)
    fewer = replace(record, because=because | {"accounts_fallen": 20})
    assert {line.name for line in wrong(recompute(fewer, RuleSet(), to_date(a.START)))} == {
        *("share", "common_share", "fires")
    }


BREADTH = "breadth-lost"


def narrower() -> Alert:
    return next(one for one in story(BREADTH).alerts if one.rule == BREADTH)


def test_the_day_on_which_a_core_feature_was_used_last_is_counted_again() -> None:
    alert = narrower()
    gone = alert.because["core_features"]
    counted = story(BREADTH).recounted(alert)
    assert [(one.name, one.stored) for one in counted.days] == [
        (f"{one['feature']}, last used", one["last_used"]) for one in gone
    ]
    assert (counted.agrees, len(counted.days)) == (True, 4)
    because = alert.because | {"core_features": [gone[0] | {"last_used": "2026-06-01"}, *gone[1:]]}
    tampered = replace(alert, because=because)
    assert [one.name for one in story(BREADTH).recounted(tampered).days if not one.agrees] == [
        "a, last used"
    ]


def test_of_a_core_feature_that_was_used_before_the_log_begins_that_is_all_that_is_said() -> None:
    alert = narrower()
    first = next(n for n, one in enumerate(story(BREADTH).messages) if one.appended >= a.at(170))
    counted = story(BREADTH).recounted(alert, first)
    assert [one.stored for one in counted.days][2:] == ["earlier", "earlier"]
    assert (counted.agrees, counted.lines()[1:]) == (
        True,
        ["  not counted: features used in four weeks are no sums"],
    )


def test_which_features_are_gone_follows_from_when_each_was_used_last() -> None:
    alert = narrower()
    core = [one | {"counted": False} for one in alert.because["core_features"]]
    found = story(BREADTH).found(replace(alert, because=alert.because | {"core_features": core}))
    assert {line.name.partition("[")[0] for line in wrong(found)} == {"lost"}


FELL = a.rule("drop", "fell", params={"metric": "@meaningful"})


@cache
def fallen() -> tuple[playing.Log, RuleSet, Partition, Alert]:
    """Two features of which one is given up: usage falls, and the evidence names the one."""
    begin = a.rules(FELL, features={"chart": FeatureFlags(), "export": FeatureFlags()})
    log = playing.Log()
    log.add(begin, a.tick(1, 3))
    for day in range(1, 176):
        export = [a.usage(50, feature="export", day=day)] if day <= 140 else []
        log.add(
            *export, a.usage(50, feature="chart", day=day), a.tick(day + 1, 3, seen={"app": [day]})
        )
    partition = playing.play(log)
    (alert, *_) = partition.cut().alerts
    return log, compile_rules(1, begin.event.content), partition, alert  # type: ignore[union-attr]


def test_the_features_that_fell_most_are_computed_and_counted_again() -> None:
    log, rules, partition, alert = fallen()
    (worst,) = alert.because["features"]
    assert (worst["feature"], worst["metrics"]) == ("export", ["@feature:export"])
    found = recompute(as_read(alert), rules, alert.day)
    assert (wrong(found), "features" in found.read) == ([], False)
    numbers = {"features[0].observed", "features[0].expected", "features[0].ratio"}
    named = {line.name for line in found.lines if line.name.startswith("features")}
    assert named == {"features[0].feature", *numbers}
    profile = partition.accounts["account:acme"].facts.profile
    due = round(alert.fired_at.timestamp() * 1e6)
    counting = Recount("acme", profile, alert.account_now.stamp, due, 1)
    for one in log:
        if not counting.take(*one):
            break
    counted = compared(alert, counting, 0, 0)
    mine = [one for one in counted.days if one.name.startswith("export, ")]
    assert (counted.agrees, len(mine)) == (True, worst["computed_from"]["known"])


def test_a_number_of_a_feature_that_was_changed_is_named() -> None:
    _, rules, _, alert = fallen()
    (worst,) = alert.because["features"]
    tampered = alert.because | {"features": [worst | {"observed": 999.0}]}
    found = recompute(replace(alert, because=tampered), rules, alert.day)
    assert "features[0].observed" in {line.name for line in wrong(found)}


def test_features_of_which_an_earlier_version_kept_no_days_are_only_read() -> None:
    _, rules, _, alert = fallen()
    (worst,) = alert.because["features"]
    bare = {name: worst[name] for name in ("feature", "observed", "expected", "ratio")}
    found = recompute(
        replace(alert, because=alert.because | {"features": [bare]}), rules, alert.day
    )
    assert (wrong(found), "features" in found.read) == ([], True)


def test_days_that_the_log_no_longer_holds_whole_are_not_counted() -> None:
    alert = stopped()
    first = next(n for n, one in enumerate(story(STOPPED).messages) if one.appended >= a.at(90))
    counted = story(STOPPED).recounted(alert, first)
    whole = Recount("x", Profile(), 0, 0, 1).day_of(story(STOPPED).messages[first].appended) + 1
    begin = (date.fromisoformat(counted.days[0].name) - date(1970, 1, 1)).days
    assert (counted.agrees, begin) == (True, whole)
    known = alert.because["computed_from"]["known"]
    assert counted.gone == known - len(counted.days) > 0


def test_what_comes_after_the_day_was_judged_or_twice_is_not_counted() -> None:
    log = playing.Log().each(
        a.rules(a.silent(3)),
        a.tick(1, 3),
        a.usage(2, day=1, id="once"),
        a.usage(2, day=1, id="once"),
        *(a.tick(day, 3, seen={"app": [day - 1]}) for day in (2, 3, 4)),
    )
    log.add(
        a.usage(4, day=1, hour=5, id="before"),
        a.tick(5, 3, seen={"app": [4]}),
        a.usage(8, day=1, id="after"),
    )
    (alert,) = playing.play(log).cut().alerts[:1]
    due = round(alert.fired_at.timestamp() * 1e6)
    counting = Recount("acme", Profile(), alert.account_now.stamp, due, 1)
    taken = [counting.take(*one) for one in log]
    assert (taken[-1], counting.events) == (False, 2)
    assert counting.counts(["usage"], a.START + 1, a.START + 4) == [6.0, 0.0, 0.0]


def test_numbers_are_the_same_but_for_their_last_decimal() -> None:
    assert same(0.1234567, 0.123457)
    assert not same(0.12346, 0.123457)
    assert not same(True, 1)
    assert not same(None, 0)


def _content(raw: str) -> RuleSetContent:
    return msgspec.json.decode(raw, type=RuleSetContent)
