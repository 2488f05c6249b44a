from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from schemas.envelope import COMPANY
from services.backtest import figures, run, table
from services.backtest.figures import OwnerFigures, RuleFigures
from services.backtest.outcome import Outcome, Row, RuleNow, rules_of
from services.backtest.record import record
from services.company import shipped
from services.detector import fleet
from tests.unit.backtest import histories as h
from tests.unit.backtest.builders import FIRST, RULES, on, outcome, row
from tests.unit.backtest.test_shared_fall import ACCOUNTS, write

DROP = {"usage-drop": RULES["usage-drop"]}


def incident(day: int, *, days: int | None = 20, shadow: bool = False) -> Row:
    """A fall that many customers share: it is about the company, which nobody owns."""
    fallen = row(
        COMPANY, day, days=days, severity="critical", object="activity", owner=None,
        segment=None, arr=None, currency=None, headline="61 of 120 customers fell at once",
    )  # fmt: skip
    return fallen._replace(rule="common-fall", kind="incident", shadow=shadow)


def found_one() -> Outcome:
    """One account with an alert of its own, another in shadow, and an incident."""
    rows = [row("a", 0, days=10), row("b", 7, "usage-fast-drop"), incident(8, days=None)]
    return outcome(rows, days=14, account_days=3_044, rules=DROP)


def test_an_incident_is_a_row_of_its_own_about_no_account() -> None:
    assert figures.per_rule(found_one()) == [
        RuleFigures("usage-drop", "Usage fell", False, 1, 1.0, 1, 0, 10, Counter(recovered=1)),
        RuleFigures(
            rule="common-fall",
            title="Many customers fell at once",
            shadow=False,
            alerts=1,
            per_100=1.0,
            accounts=0,
            open=1,
            days_open=None,
            reasons=Counter(),
        ),
    ]
    every = figures.overall(found_one())
    assert (every.alerts, every.accounts, every.open) == (2, 1, 1)


def test_the_rows_of_the_table_add_up_to_what_notifies() -> None:
    said = table.lines(found_one())
    assert said[2:6] == [
        "RULE             ALERTS  PER 100 ACCOUNT-MONTHS  ACCOUNTS  MEDIAN DAYS"
        "  STILL OPEN  CLEARED",
        "usage-drop            1                     1.0         1           10"
        "           –  recovered 100 %",
        "common-fall           1                     1.0         –            –"
        "           1",
        "all that notify       2                     2.0         1           10"
        "           1  recovered 100 %",
    ]


def test_an_incident_in_shadow_notifies_nobody() -> None:
    found = outcome([incident(8, shadow=True)], rules=DROP)
    assert rules_of(found)["common-fall"] == RuleNow(
        "Many customers fell at once", "incident", "common-fall", True
    )
    assert figures.overall(found).alerts == 0
    assert any(line.startswith("common-fall (shadow)") for line in table.lines(found))


def test_the_built_in_rule_stands_once_where_the_outcome_lists_it() -> None:
    listed = RuleNow("Many customers fell at once", "incident", "built in", False)
    found = outcome([incident(8)], rules={"common-fall": listed, **DROP})
    assert rules_of(found) == {"common-fall": listed, **DROP}
    assert rules_of(outcome(rules=DROP)) == DROP


def test_the_company_is_no_account_of_anybody() -> None:
    assert figures.owners(found_one()) == [
        OwnerFigures("", 1, 0, 0.5, 1, on(7), [0, 1]),
        OwnerFigures("ana", 1, 1, 0.5, 1, FIRST, [1, 0]),
    ]
    assert [one.account for one in figures.accounts(found_one())] == ["a"]
    older = incident(1)
    found = outcome([row("a", 0), older, incident(8, shadow=True), incident(300)])
    assert figures.incidents(found) == [incident(300), older]


def test_json_counts_no_company_among_the_accounts() -> None:
    told = msgspec.json.decode(msgspec.json.encode(record(found_one())))
    assert (told["all"]["alerts"], told["all"]["accounts"]) == (2, 1)
    assert {rule: (one["alerts"], one["accounts"]) for rule, one in told["rules"].items()} == {
        "usage-drop": (1, 1),
        "common-fall": (1, 0),
    }
    assert {owner: one["accounts"] for owner, one in told["owners"].items()} == {"": 0, "ana": 1}
