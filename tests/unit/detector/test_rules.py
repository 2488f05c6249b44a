from typing import Any

import pytest

from schemas.alerts import SEVERITIES
from schemas.config import FeatureFlags, MetricFlags, RuleSetContent
from schemas.events import ContactUpdated, PaymentFailed, PaymentSucceeded
from services.detector.episode import Policy
from services.detector.facts.buckets import CORRECTION_DAYS
from services.detector.fleet import CommonFall
from services.detector.rules import (
    RuleError,
    RuleSet,
    compile_rules,
    severity_index,
)
from tests import builders as a

DROP = {"metric": "@meaningful"}


def compiled(
    *declared: Any, overrides: Any = (), metrics: Any = None, features: Any = None
) -> RuleSet:
    content = RuleSetContent(
        rules=list(declared),
        overrides=list(overrides),
        metrics=dict(metrics or {}),
        features=dict(features or {}),
    )
    return compile_rules(3, content)


def test_a_rule_set_says_what_wakes_its_rules_and_how_far_back_they_look() -> None:
    rules = compiled(
        a.unpaid(), a.gone(), a.silent(10), a.rule("deadline", params={"what": "payment_method"})
    )
    assert (rules.n, [rule.id for rule in rules.rules]) == (
        3,
        ["unpaid", "contact-left", "silent", "deadline-rule"],
    )
    assert rules.woken_by == {PaymentFailed, PaymentSucceeded, ContactUpdated}
    # 10 days of silence after 56 of rhythm
    assert rules.history_days == 10 + 56 + CORRECTION_DAYS
    assert [rule.id for rule, _ in rules.event_rules] == ["unpaid", "contact-left"]
    assert [rule.id for rule, _ in rules.day_rules] == ["silent"]
    assert [rule.id for rule, _ in rules.date_rules] == ["deadline-rule"]
    assert sorted(rules.by_id) == ["contact-left", "deadline-rule", "silent", "unpaid"]


def test_no_rule_keeps_sixty_days() -> None:
    assert (RuleSet().history_days, compiled().history_days) == (60, 60 + CORRECTION_DAYS)


def test_an_override_may_look_further_back() -> None:
    longer = {"rule": "silent", "segment": "smb", "params": {"days": 40}}
    assert compiled(a.silent(10), overrides=[longer]).history_days == 40 + 56 + CORRECTION_DAYS


def test_a_rule_stands_after_those_it_yields_to() -> None:
    rules = compiled(
        a.rule("drop", "cc", params=DROP, yields_to=["bb"]),
        a.rule("drop", "bb", params=DROP, yields_to=["aa"]),
        a.rule("drop", "aa", params=DROP),
    )
    assert [rule.id for rule in rules.rules] == ["aa", "bb", "cc"]


@pytest.mark.parametrize(
    "primitive, fields, policy",
    [
        ("drop", {}, Policy(1, 7, 84, 28, 7, rearms="relearned", memory_days=210)),
        (
            "drop",
            {"dwell": 3, "clear_days": 1, "cooldown_days": 0},
            Policy(3, 1, 84, 0, 7, rearms="relearned", memory_days=210),
        ),
        ("change", {}, Policy(1, 1, None, 0, 1)),
        ("change", {"cooldown_days": 90}, Policy(1, 1, None, 90, 1)),
        ("deadline", {}, Policy(1, 1, None, 1, 1)),
    ],
)
def test_the_primitive_gives_the_policy_and_the_rule_changes_it(
    primitive: str, fields: dict[str, Any], policy: Policy
) -> None:
    params = {
        "drop": DROP,
        "change": {"what": "contact_left"},
        "deadline": {"what": "payment_method"},
    }
    (rule,) = compiled(a.rule(primitive, params=params[primitive], **fields)).rules
    assert rule.policy == policy


def test_an_override_holds_for_its_segment_and_one_without_for_all() -> None:
    (rule,) = compiled(
        a.silent(10),
        overrides=[
            {"rule": "silent", "segment": "smb", "off": True},
            {"rule": "silent", "params": {"days": 20}, "severity": "low"},
            {"rule": "silent", "segment": "smb", "shadow": True},
        ],
    ).rules
    found = {
        segment: (one.params.days, one.severity, one.off, one.shadow)  # type: ignore[attr-defined]
        for segment in (None, "smb", "other")
        for one in [rule.variant(segment)]
    }
    assert found == {
        None: (20, "low", False, False),
        "other": (20, "low", False, False),
        "smb": (20, "low", True, True),
    }


@pytest.mark.parametrize(
    "selector, taken",
    [
        ("@meaningful", {"calls", "unnamed"}),
        ("@core", {"reports"}),
        ("@high_value", {"calls"}),
        ("@people", {"@people"}),
        ("calls", {"calls"}),
        ("exports", set()),
        ("@features", {"@feature:export", "@feature:search"}),
        ("@core_features", {"@feature:export"}),
        ("@feature:chart", {"@feature:chart"}),
    ],
)
def test_a_selector_takes_a_metric_by_name_or_by_flag(selector: str, taken: set[str]) -> None:
    flags = {
        "calls": MetricFlags(high_value=True),
        "reports": MetricFlags(meaningful=False, core=True),
    }
    features = {"export": FeatureFlags(core=True), "search": FeatureFlags()}
    rules = compiled(metrics=flags, features=features)
    named = ("@feature:export", "@feature:search", "@feature:chart")
    lines = ("calls", "reports", "unnamed", "@people", *named)
    assert {name for name in lines if rules.selects(selector, name)} == taken


@pytest.mark.parametrize(
    "severity, found, left, expected",
    [
        ("by_depth", "critical", 10, "critical"),
        ("low", "critical", 10, "low"),
        ("by_renewal", "low", None, "medium"),
        ("by_renewal", "low", -1, "medium"),
        ("by_renewal", "low", 0, "high"),
        ("by_renewal", "low", 90, "high"),
        ("by_renewal", "low", 91, "medium"),
    ],
)
def test_severity_is_fixed_or_found_or_follows_the_renewal(
    severity: str, found: Any, left: int | None, expected: Any
) -> None:
    (rule,) = compiled(a.silent(severity=severity)).rules
    index = severity_index(rule.default, SEVERITIES.index(found), left)
    assert SEVERITIES[index] == expected


@pytest.mark.parametrize(
    "declared, overrides, at, said",
    [
        ([a.silent(), a.silent()], [], ("rules", 1, "id"), "'silent' stands twice"),
        ([a.silent(), {}], [], ("rules", 1, "id"), "Field required"),
        (
            [a.rule("dorp", params={})],
            [],
            ("rules", 0, "primitive"),
            "'dorp' is unknown; known are abandonment, breadth, change, deadline, drop",
        ),
        ([a.silent(0)], [], ("rules", 0, "params", "days"), "greater than or equal to 1 (it is 0)"),
        ([a.silent(wat=1)], [], ("rules", 0, "wat"), "Extra inputs are not permitted (it is 1)"),
        (
            [a.silent(cooldown_days=401)],
            [],
            ("rules", 0, "cooldown_days"),
            "less than or equal to 400",
        ),
        ([a.rule("drop", "No Slug", params=DROP)], [], ("rules", 0, "id"), "pattern"),
        ([a.silent(yields_to=["other"])], [], ("rules", 0, "yields_to"), "rule 'other' is unknown"),
        (
            [a.silent(yields_to=["silent"])],
            [],
            ("rules", 0, "yields_to"),
            "rules yield to each other",
        ),
        (
            [a.silent()],
            [{"rule": "wat"}],
            ("overrides", 0, "rule"),
            "rule 'wat' is unknown; known are common-fall, silent",
        ),
        (
            [a.silent()],
            [{"rule": "silent", "params": {"days": 151}}],
            ("overrides", 0, "params", "days"),
            "less than or equal to 150",
        ),
        (
            [a.rule("drop", params={"metric": "@love"})],
            [],
            ("rules", 0, "params", "metric"),
            "'@love' is no flag",
        ),
    ],
)
def test_a_bad_rule_set_is_refused_with_place_value_and_bound(
    declared: Any, overrides: Any, at: tuple[str | int, ...], said: str
) -> None:
    with pytest.raises(RuleError) as refused:
        compiled(*declared, overrides=overrides)
    assert refused.value.at == at
    assert said in refused.value.message
    assert str(refused.value).startswith(".".join(str(part) for part in at))


def test_of_the_rule_that_is_built_in_a_company_says_off_or_shadow() -> None:
    named = {"rule": "common-fall"}
    assert compiled().common_fall == CommonFall(off=False, shadow=False)
    told = [named | {"shadow": True}, named | {"off": True}, named | {"off": False}]
    assert compiled(overrides=told).common_fall == CommonFall(off=False, shadow=True)


@pytest.mark.parametrize(
    "more", [{"segment": "smb", "off": True}, {"severity": "low"}, {"params": {"share": 0.3}}]
)
def test_nothing_else_can_be_said_of_it(more: dict[str, Any]) -> None:
    with pytest.raises(RuleError) as refused:
        compiled(overrides=[{"rule": "common-fall"} | more])
    assert str(refused.value) == (
        "overrides.0.rule: 'common-fall' is about all customers together; say only off or shadow "
        "of it"
    )


def test_no_other_rule_has_its_id() -> None:
    with pytest.raises(RuleError) as refused:
        compiled(a.rule("drop", "common-fall", params=DROP))
    assert str(refused.value) == (
        "rules.0.id: 'common-fall' is built in; choose another id, or say off or shadow of it in "
        "an [[override]]"
    )
