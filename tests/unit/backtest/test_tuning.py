"""What is proposed: only what is better on accounts that had no part in choosing it."""

import tomllib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from services.backtest import tuning
from services.backtest.churns import Churn, Truth
from services.backtest.grid import GRID, Group, Option, candidates, changed, rounds
from services.backtest.outcome import Outcome, Row
from services.backtest.proposal_text import learned, lines, toml
from services.backtest.tuning import Held, Tuned, fold_of, tune
from services.company import shipped
from services.detector.primitives import DAY
from services.detector.rules import compile_rules
from tests.unit.backtest import builders as b

CONTENT = shipped().content
HORIZON = 90
LEFT = [f"left-{n}" for n in range(40)]
STAYED = [f"stayed-{n}" for n in range(40)]
TRIED = Group(
    ("usage-drop", "core-usage-drop"),
    {"evidence": 2.75},
    [Option({"evidence": 2.5}), Option({"evidence": 3.5})],
)


def truth() -> Truth:
    return Truth([Churn(b.on(200), one, None) for one in LEFT], Counter(), [])


def raised(accounts: Sequence[str], day: int = 150) -> Outcome:
    rows: list[Row] = [b.row(one, day) for one in accounts]
    return b.outcome(rows, accounts=80, days=364)


def tuned(now: Outcome, *others: Outcome) -> Tuned:
    (found,) = tune([TRIED], now, others, truth(), HORIZON)
    return found


def test_what_finds_more_of_those_who_left_on_all_groups_of_accounts_is_proposed() -> None:
    found = tuned(raised(LEFT[:20]), raised(LEFT[:36]), raised(LEFT[:4]))
    assert (found.rules, found.now, found.proposed) == (
        ("usage-drop", "core-usage-drop"),
        {"evidence": 2.75},
        Option({"evidence": 2.5}),
    )
    assert (found.whole_now, found.whole_chosen) == (Held(20, 20, 20, 40), Held(36, 36, 36, 40))
    assert found.held_chosen == Held(36, 36, 36, 40)
    assert found.why == "5 of 5 groups of accounts choose it, too"


def test_what_is_better_on_the_accounts_that_chose_it_alone_is_not_proposed() -> None:
    """Each set of limits finds those of some groups only: chance, as far as anybody can tell."""
    lucky = [one for one in LEFT if fold_of(one, tuning.FOLDS) < 3]
    others = [one for one in LEFT if one not in lucky]
    found = tuned(raised(LEFT[:20]), raised([*lucky, *STAYED[:5]]), raised(others))
    assert found.whole_chosen.score > found.whole_now.score > found.held_chosen.score
    assert found.proposed is None
    assert found.why == "what is best for all accounts is best for few groups of them"


@pytest.mark.parametrize(
    "now, other, why",
    [
        (LEFT[:30], LEFT[:30], "none of those tried is better"),
        (
            LEFT[:36] + STAYED[:4],
            LEFT[:36] + STAYED[:3],
            "on accounts held out it gains too little",
        ),
        (LEFT[:3], LEFT[:19], "only 19 warnings can be judged: at least 20 are needed"),
        (LEFT[:19], LEFT[:3], "only 19 warnings can be judged: at least 20 are needed"),
    ],
)
def test_why_limits_stay_is_said(now: list[str], other: list[str], why: str) -> None:
    found = tuned(raised(now), raised(other), raised([]))
    assert (found.proposed, found.why) == (None, why)


def test_a_rule_that_says_nothing_now_can_be_mended() -> None:
    found = tuned(raised([]), raised(LEFT[:30]), raised([]))
    assert (found.proposed, found.held_now.score) == (Option({"evidence": 2.5}), 0.0)


def test_few_churns_tell_nothing() -> None:
    few = Truth([Churn(b.on(200), one, None) for one in LEFT[:9]], Counter(), [])
    (found,) = tune([TRIED], raised(LEFT), [raised(LEFT[:9])], few, HORIZON)
    assert found.why == "only 9 churns: at least 10 are needed"


def test_what_one_rule_of_a_group_finds_the_others_need_not_find_too() -> None:
    """The second yields to the first: what the first no longer finds would be the second's."""
    rows = [b.row(one, 150, rule="usage-drop") for one in LEFT[:20]]
    also = [one._replace(rule="core-usage-drop") for one in raised(LEFT[10:30]).rows]
    found = tuned(b.outcome([*rows, *also], accounts=80, days=364), raised([]), raised([]))
    assert found.whole_now == Held(right=40, judged=40, caught=30, churns=40)


def test_every_candidate_is_another_value_that_its_rules_take() -> None:
    groups = candidates(CONTENT)
    assert ("usage-drop", "core-usage-drop") in [one.rules for one in groups]
    assert "payment-failed" not in {rule for one in groups for rule in one.rules}
    rules = compile_rules(1, CONTENT).by_id
    for group in groups:
        for rule, params in ((rule, one) for rule in group.rules for one in group.tried):
            now = rules[rule].default.params.model_dump()
            other = compile_rules(2, changed(CONTENT, {rule: params})).by_id[rule].default.params
            assert other.model_dump() == now | dict(params.params) != now


def test_something_is_tried_of_every_rule_whose_worth_shows_in_who_left() -> None:
    """Of a growing customer's alert those who left say nothing: it has no limits to be tried."""
    assert {one.name for one in DAY} - GRID.keys() == {"expansion"}
    rules = {rule.id: rule for rule in compile_rules(1, CONTENT).rules}
    tried = {rule for one in candidates(CONTENT) for rule in one.rules}
    assert tried == {id_ for id_, rule in rules.items() if rule.primitive in DAY} - {
        "usage-expansion",
        "seat-expansion",
    }


def test_candidates_of_all_rules_are_played_together_round_by_round() -> None:
    one, two, other = Option({"x": 1.0}), Option({"x": 2.0}), Option({"y": 3.0})
    groups = [Group(("a", "c"), {}, [one, two]), Group(("b",), {}, [other])]
    assert rounds(groups) == [{"a": one, "c": one, "b": other}, {"a": two, "c": two}]


def test_only_the_rules_that_were_named_are_tried_and_none_that_is_off() -> None:
    named = candidates(CONTENT, ["core-usage-drop"])
    assert [one.rules for one in named] == [("usage-drop", "core-usage-drop")]
    off = changed(CONTENT, {})
    off.overrides.append({"rule": "usage-drop", "off": True})
    assert "usage-drop" not in {rule for one in candidates(off) for rule in one.rules}


def test_a_proposal_is_a_file_that_the_company_can_apply() -> None:
    found = tuned(raised(LEFT[:20]), raised(LEFT[:36]), raised(LEFT[:4]))
    told = toml([found], ["usage.csv"], datetime(2026, 5, 14, tzinfo=UTC))
    assert tomllib.loads(told) == {
        "override": [{"rule": one, "params": {"evidence": 2.5}} for one in TRIED.rules]
    }
    assert "made from usage.csv" in told
    assert "Nothing is in force of it" in told


def test_what_was_learned_is_proposed_segment_by_segment_whatever_a_segment_is_called() -> None:
    segment = 'our "own" \\ segment \U0001f600'
    own = {"unknown": 31, "population": [1.2, 20.0, 0.5, 4.0]}
    option = Option({"population": [0.8, 40.0, 0.9, 3.0]}, {segment: own})
    found = tuned(raised(LEFT[:20]), raised(LEFT[:36]), raised([]))
    told = toml(
        [found._replace(rules=("gone-silent",), proposed=option)],
        ["usage.csv"],
        datetime(2026, 5, 14, tzinfo=UTC),
    )
    read = tomllib.loads(told)["override"]
    assert read == [
        {"rule": "gone-silent", "params": {"population": [0.8, 40.0, 0.9, 3.0]}},
        {"rule": "gone-silent", "segment": segment, "params": own},
    ]
    compile_rules(2, replace(CONTENT, overrides=read))
    assert option.words() == "population 0.8/40/0.9/3, population by segment, unknown by segment"
    assert learned({"gone-silent": [option]}) == [
        "gone-silent, learned: population 0.8/40/0.9/3; "
        f"{segment}: unknown 31, population 1.2/20/0.5/4"
    ]


def test_what_raised_nothing_is_named_and_takes_no_row() -> None:
    silent = tuned(raised([]), raised([]), raised([]))._replace(rules=("quiet",))
    found = tuned(raised(LEFT[:20]), raised(LEFT[:36]), raised(LEFT[:4]))
    told = lines([found, silent])
    assert told[-1] == "Nothing to judge of quiet."
    assert told[2].startswith(
        "usage-drop, core-usage-drop  evidence 2.75  evidence 2.5  100 % → 100 %"
    )
