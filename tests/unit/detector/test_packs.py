import tomllib
from importlib import resources

import pytest

from services.company import pack_names
from services.detector import packs
from services.detector.primitives import PRIMITIVES
from services.detector.rehearsal import judge
from services.detector.rules import compile_rules
from tests.unit.detector.packed import CASES, CONTENT, RULES, Packed

LINES = 15
"""A rule is at most so long without its cases (style.md)."""


@pytest.mark.parametrize("packed", CASES, ids=str)
def test_every_case_of_every_shipped_rule_holds(packed: Packed) -> None:
    assert judge(packed.case, packed.alerts()) is None


def test_every_rule_has_a_case_that_fires_and_one_that_stays_quiet() -> None:
    told = {rule: {one.case.fires for one in CASES if one.rule == rule} for rule in RULES}
    assert told == {rule: {True, False} for rule in RULES}


def test_a_story_is_told_once_per_rule() -> None:
    stories = [(one.rule, one.case.story) for one in CASES]
    assert sorted(set(stories)) == sorted(stories)


def test_every_primitive_is_asked_by_a_shipped_rule() -> None:
    assert {rule["primitive"] for rule in RULES.values()} == set(PRIMITIVES)


def test_a_rule_is_short() -> None:
    for name in pack_names():
        text = resources.files(packs).joinpath(f"{name}.toml").read_text()
        for told in text.split("[[rule]]\n")[1:]:
            alone = told.split("[[rule.case]]")[0].split("\n#")[0]
            assert len(alone.strip().splitlines()) <= LINES, alone


def test_the_core_pack_serves_the_rows_that_it_is_there_for() -> None:
    core = tomllib.loads(resources.files(packs).joinpath("core.toml").read_text())["rule"]
    rows = {row for rule in core for row in rule["rows"]}
    assert rows == {
        *("A06", "A17", "A23", "A24", "A25", "A26"),
        *("B10", "B11", "B12", "B28"),
        *("C02", "C04", "C09", "C11", "C13", "C14"),
    }


def test_no_account_is_told_twice_of_one_fall() -> None:
    rules = {rule.id: rule for rule in compile_rules(1, CONTENT).rules}
    assert rules["usage-drop"].model.yields_to == ("usage-stopped",)
    assert rules["core-usage-drop"].model.yields_to == ("usage-stopped", "usage-drop")
    assert rules["active-people-drop"].default.shadow


def test_a_silence_is_told_beside_a_stop_as_both_are_one_case() -> None:
    rules = {rule.id: rule for rule in compile_rules(1, CONTENT).rules}
    assert rules["gone-silent"].model.yields_to == ()
