from collections import Counter

from services.backtest import comparison_text
from services.backtest.comparing import (
    Comparison,
    Pair,
    RuleChange,
    about_all,
    compare,
    overall,
    per_account,
    per_rule,
)
from services.backtest.outcome import Row
from services.backtest.truth import Churn, Truth, judge
from tests.unit.backtest.builders import BUILT_IN, RULES, incident, on, outcome, row


def compared(a: list[Row], b: list[Row]) -> Comparison:
    return compare(outcome(a), outcome(b), ("as they are", "next.toml"))


def test_alerts_are_held_side_by_side() -> None:
    same, gone, new = row("a", 10), row("b", 20), row("c", 30)
    early, late = row("d", 40), row("d", 47)
    found = compared([same, gone, early], [same, new, late])
    assert found.pairs == [Pair(same, same, 0), Pair(early, late, 7)]
    assert (found.only_a, found.only_b) == ([gone], [new])


def test_the_nearest_alerts_are_the_same_one() -> None:
    # B's alert of day 60 is A's of day 58, not its of day 10, although both are near enough.
    a = [row("a", 10), row("a", 58)]
    b = [row("a", 60), row("a", 200)]
    found = compared(a, b)
    assert found.pairs == [Pair(a[1], b[0], 2)]
    assert (found.only_a, found.only_b) == ([a[0]], [b[1]])


def test_eight_weeks_apart_is_the_same_one_a_day_more_is_another() -> None:
    assert len(compared([row("a", 10)], [row("a", 66)]).pairs) == 1
    assert compared([row("a", 10)], [row("a", 67)]).pairs == []


def test_another_rule_or_object_is_another_alert() -> None:
    a = [row("a", 10), row("b", 10, object="usage")]
    b = [row("a", 10, "account-silent"), row("b", 10, object="exports")]
    assert compared(a, b).pairs == []


def test_what_a_change_did_to_each_rule() -> None:
    a = [row("a", 10), row("b", 20), row("c", 30), row("d", 30)]
    b = [row("a", 10), row("b", 16), row("c", 32), row("e", 30, "account-silent")]
    found = compared(a, b)
    changes = {change.rule: change for change in per_rule(found)}
    assert list(changes) == list(RULES)
    assert changes["usage-drop"] == RuleChange(
        rule="usage-drop", title="Usage fell", shadow="", a=4, b=3, same=1, earlier=1, later=1,
        shift=-1.0, only_a=1, only_b=0,
    )  # fmt: skip
    assert overall(found) == RuleChange(
        rule="", title="All rules that notify", shadow="", a=4, b=4, same=1, earlier=1, later=1,
        shift=-1.0, only_a=1, only_b=1,
    )  # fmt: skip


def test_a_rule_that_only_one_side_has_is_no_rule_without_alerts() -> None:
    a = outcome(rules={"usage-drop": RULES["usage-drop"]})
    b = outcome([row("a", 10, "account-silent")], rules={"account-silent": RULES["account-silent"]})
    assert [(one.rule, one.a, one.b) for one in per_rule(compare(a, b))] == [
        ("usage-drop", 0, None),
        ("account-silent", None, 1),
    ]


def test_a_rule_that_leaves_the_shadow_is_news() -> None:
    hidden = row("a", 10, "usage-fast-drop")
    let_out = hidden._replace(shadow=False)
    rules = RULES | {"usage-fast-drop": RULES["usage-fast-drop"]._replace(shadow=False)}
    found = compare(outcome([hidden]), outcome([let_out], rules=rules))
    assert found.pairs == [Pair(hidden, let_out, 0)]
    assert [one.only_b for one in per_account(found)] == [[let_out]]
    assert (overall(found).a, overall(found).b, overall(found).only_b) == (0, 1, 1)
    shadows = {one.rule: one.shadow for one in per_rule(found)}
    assert shadows["usage-fast-drop"] == "shadow in A"


def test_accounts_are_told_by_revenue_with_what_changes_for_them() -> None:
    small, large, unchanged = row("s", 10, arr=100), row("l", 10, arr=900), row("u", 10)
    moved = row("l", 20, arr=900)
    found = compared([small, large, unchanged], [moved, unchanged])
    assert [(one.account, one.only_a, one.only_b, one.moved) for one in per_account(found)] == [
        ("l", [], [], [Pair(large, moved, 10)]),
        ("s", [small], [], []),
    ]


def test_a_comparison_as_lines() -> None:
    a = [row("a", 100), row("b", 100), row("c", 100)]
    b = [row("a", 100), row("b", 97), row("d\x1b[2J", 100)]
    found = compared(a, b)
    truth = Truth([Churn(on(150), "a", 100)], Counter(), [])
    both = judge(found.a, truth), judge(found.b, truth)
    assert comparison_text.lines(found, both) == [
        "A: as they are: 3 alerts on 3 accounts, 2.5 per 100 account-months, 6 January 2025 to "
        "4 January 2026",
        "B: next.toml: 3 alerts on 3 accounts, 2.5 per 100 account-months, 6 January 2025 to "
        "4 January 2026",
        "",
        "RULE             A  B  CHANGE  SAME DAY  B EARLIER  B LATER  MEDIAN SHIFT  ONLY A  ONLY B",
        "usage-drop       3  3       0         1          1        –          −3 d       1       1",
        "all that notify  3  3       0         1          1        –          −3 d       1       1",
        "",
        "only A raises (1):",
        "  2025-04-16  c  usage-drop: usage fell by 31 %",
        "only B raises (1):",
        "  2025-04-16  d�[2J  usage-drop: usage fell by 31 %",
        "both raise, on other days (1):",
        "  2025-04-13  b  usage-drop: usage fell by 31 % (A on 2025-04-16: B 3 days earlier)",
        "",
        "ALL THAT NOTIFY  PRECISION (95 %)   RECALL (95 %)  OF THE MONEY   LEAD DAYS  LATE",
        "A                     33 % (6–79)  100 % (21–100)         100 %  50 (50–50)     –",
        "B                     33 % (6–79)  100 % (21–100)         100 %  50 (50–50)     –",
    ]


def test_rules_that_say_the_same_say_so() -> None:
    rows = [row("a", 10)]
    assert comparison_text.lines(compared(rows, rows))[-1] == (
        "whatever notifies is the same in both"
    )


def test_an_incident_is_in_the_sum_with_its_title_and_changes_no_account() -> None:
    rules = RULES | BUILT_IN
    a = outcome([row("a", 10)], rules=rules)
    b = outcome([row("a", 10), incident(20, "61 of 120 fell")], rules=rules)
    found = compare(a, b, ("as they are", "next.toml"))
    every = overall(found)
    assert (every.a, every.b, every.same, every.only_b) == (1, 2, 1, 1)
    assert per_rule(found)[-1] == RuleChange(
        rule="common-fall", title="Many customers fell at once", shadow="", a=0, b=1, same=0,
        earlier=0, later=0, shift=None, only_a=0, only_b=1,
    )  # fmt: skip
    assert per_account(found) == []
    assert [one.only_b for one in about_all(found)] == [[incident(20, "61 of 120 fell")]]
    said = comparison_text.lines(found)
    assert said[1].startswith("B: next.toml: 2 alerts on 1 account, ")
    assert said[-2:] == [
        "only B raises (1):",
        "  2025-01-26  company  common-fall: 61 of 120 fell",
    ]
