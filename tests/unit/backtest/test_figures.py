from collections import Counter

import msgspec

from services.backtest import figures, table
from services.backtest.figures import OwnerFigures, RuleFigures
from services.backtest.outcome import Outcome
from services.backtest.record import record
from tests.unit.backtest.builders import BUILT_IN, FIRST, RULES, incident, on, outcome, row

DROP = {"usage-drop": RULES["usage-drop"]}


def found_one() -> Outcome:
    """One account with an alert of its own, another in shadow, and an incident."""
    rows = [row("a", 0, days=10), row("b", 7, "usage-fast-drop"), incident(8, days=None)]
    return outcome(rows, days=14, account_days=3_044, rules=DROP | BUILT_IN)


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
        "common-fall           1                     1.0         –            –           1",
        "all that notify       2                     2.0         1           10"
        "           1  recovered 100 %",
    ]


def test_an_incident_in_shadow_notifies_nobody() -> None:
    listed = BUILT_IN["common-fall"]._replace(shadow=True)
    rules = DROP | {"common-fall": listed}
    found = outcome([incident(8)._replace(shadow=True)], rules=rules)
    assert figures.overall(found).alerts == 0
    assert any(line.startswith("common-fall (shadow)") for line in table.lines(found))


def test_the_company_is_no_account_of_anybody() -> None:
    assert figures.owners(found_one()) == [
        OwnerFigures("", 1, 0, 0.5, 1, on(7), [0, 1]),
        OwnerFigures("ana", 1, 1, 0.5, 1, FIRST, [1, 0]),
    ]
    assert [one.account for one in figures.accounts(found_one())] == ["a"]
    older = incident(1)
    found = outcome([row("a", 0), older, incident(8)._replace(shadow=True), incident(300)])
    assert figures.incidents(found) == [incident(300), older]


def test_json_counts_no_company_among_the_accounts() -> None:
    told = msgspec.json.decode(msgspec.json.encode(record(found_one())))
    assert (told["all"]["alerts"], told["all"]["accounts"]) == (2, 1)
    assert {rule: (one["alerts"], one["accounts"]) for rule, one in told["rules"].items()} == {
        "usage-drop": (1, 1),
        "common-fall": (1, 0),
    }
    assert {owner: one["accounts"] for owner, one in told["owners"].items()} == {"": 0, "ana": 1}
