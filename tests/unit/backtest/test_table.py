from collections import Counter

from services.backtest import figures, table
from services.backtest.figures import Money, OwnerFigures, RuleFigures
from services.backtest.truth import Churn, Truth, judge
from tests.unit.backtest.builders import FIRST, RULES, on, outcome, row

DROP = {"usage-drop": RULES["usage-drop"]}


def test_the_figures_of_a_rule() -> None:
    rows = [
        row("a", 0, days=10),
        row("a", 100, days=30, reason="new_normal"),
        row("b", 50, days=20),
        row("c", 300, days=None),
    ]
    # 1,000 account-months of 30.44 days.
    found = outcome(rows, account_days=30_440, rules=DROP)
    assert figures.per_rule(found) == [
        RuleFigures(
            rule="usage-drop",
            title="Usage fell",
            shadow=False,
            alerts=4,
            per_100=0.4,
            accounts=3,
            open=1,
            # After 10, 20, 30 days one each of four is over: half after 20.
            days_open=20,
            reasons=Counter(recovered=2, new_normal=1),
        )
    ]


def test_a_rule_that_never_fired_is_told_and_shadow_ones_are_not_in_the_sum() -> None:
    found = outcome([row("a", 10, "usage-fast-drop")])
    assert [(one.rule, one.alerts) for one in figures.per_rule(found)] == [
        ("usage-drop", 0),
        ("account-silent", 0),
        ("usage-fast-drop", 1),
        ("usage-expansion", 0),
    ]
    assert figures.overall(found).alerts == 0


def test_what_an_owner_would_have_been_told_a_week() -> None:
    rows = [
        row("a", 0, owner="ana"),
        row("b", 6, owner="ana"),
        row("a", 7, "account-silent", owner="ana"),
        row("c", 8, owner=None),
        row("c", 8, "usage-fast-drop", owner="ben"),
    ]
    # Three weeks, the last of one day.
    assert figures.owners(outcome(rows, days=15)) == [
        OwnerFigures("ana", 3, 2, 1.0, 2, FIRST, [2, 1, 0]),
        OwnerFigures("", 1, 1, 1 / 3, 1, on(7), [0, 1, 0]),
    ]


def test_weeks_begin_on_mondays_and_none_is_lost() -> None:
    # From a Sunday to the Monday after it: two weeks. An event may come before the first of them.
    short = outcome(days=2)._replace(first=on(6), last=on(7))
    assert figures.weeks(short) == [on(0), on(7)]
    assert figures.weeks(short._replace(rows=[row("a", -1)])) == [on(-7), on(0), on(7)]


def test_revenue_at_risk_counts_an_account_once_and_currencies_apart() -> None:
    rows = [
        row("a", 10, days=None, severity="high", arr=500),
        row("a", 11, "account-silent", days=None, severity="critical", arr=500),
        row("b", 10, days=None, severity="medium", arr=900),
        row("c", 10, days=5, severity="high", arr=900),
        row("d", 10, days=None, severity="high", arr=700, currency="USD"),
        row("e", 10, days=None, severity="high", arr=None),
        row("f", 10, "usage-fast-drop", days=None, severity="high", arr=900),
    ]
    assert figures.at_risk(outcome(rows)) == [Money(700, "USD"), Money(500, "EUR")]


def test_the_table() -> None:
    rows = [
        row("a", 0, days=10),
        row("b", 50, days=20, reason="new_normal", owner="x\n\x1b[2J"),
        row("c", 300, "account-silent", days=None),
        row("c", 300, "usage-fast-drop"),
    ]
    found = outcome(
        rows, refused={"invalid": 2, "broken_row": 1}, examples=["usage.csv row 7: bad\x07"]
    )
    assert table.lines(found) == [
        "10 accounts, 3,640 account-days judged (120 account-months, without warm-up), "
        "6 January 2025 to 4 January 2026, in 12 s",
        "",
        "RULE                      ALERTS  PER 100 ACCOUNT-MONTHS  ACCOUNTS  MEDIAN DAYS"
        "  STILL OPEN  CLEARED",
        "usage-drop                     2                     1.7         2           10"
        "           –  recovered 50 %, new normal 50 %",
        "account-silent                 1                    0.84         1            –"
        "           1",
        "usage-fast-drop (shadow)       1                    0.84         1           20"
        "           –  recovered 100 %",
        "all that notify                3                     2.5         3           20"
        "           1  recovered 50 %, new normal 50 %",
        "never fired: usage-expansion",
        "shadow: measured, notifies nobody, and is not in the sum",
        "median days: until half are cleared, those still open counted as long as they are open; "
        "– where fewer than half are cleared",
        "",
        "OWNER   ALERTS  ACCOUNTS  A WEEK  BUSIEST WEEK        FROM",
        "ana          2         2    0.04             1  2025-01-06",
        "x��[2J       1         1    0.02             1  2025-02-24",
        "",
        "rows of the files: 3 refused, 2 invalid and 1 broken row",
        "  usage.csv row 7: bad�",
        "  … and 2 more",
    ]


def test_an_interrupted_backtest_without_alerts_says_so() -> None:
    found = table.lines(outcome(interrupted=True, rules=DROP))
    assert found[1:] == [
        "interrupted: what comes after the last of these days was not played",
        "",
        "RULE             ALERTS  PER 100 ACCOUNT-MONTHS  ACCOUNTS  MEDIAN DAYS"
        "  STILL OPEN  CLEARED",
        "all that notify       –                       –         –            –           –",
        "never fired: usage-drop",
    ]


def test_where_nothing_was_judged_the_table_says_why() -> None:
    assert table.lines(outcome(account_days=0, rules=DROP))[0] == (
        "10 accounts, but no day was judged: a history is learned for 84 to 112 days first, and "
        "these are shorter"
    )


def test_how_good_the_alerts_were() -> None:
    rows = [row("a", 100), row("b", 100), row("c", 350)]
    churns = [Churn(on(10), "d", 500), Churn(on(110), "a", 12_000), Churn(on(160), "e", 4_000)]
    truth = Truth(churns, Counter(invalid=1), ["churn.csv row 3: date 'x' is none"])
    found = judge(outcome(rows, rules=DROP), truth, 90)
    assert table.truth_lines(found) == [
        "Held against 3 churns that could be caught; a warning is right if its account leaves "
        "within 90 days",
        "",
        "RULE             RIGHT  OF  PRECISION (95 %)  CAUGHT  RECALL (95 %)  OF THE MONEY"
        "   LEAD DAYS  LATE",
        "usage-drop           1   2       50 % (9–91)       1    33 % (6–79)          73 %"
        "  10 (10–10)     1",
        "all that notify      1   2       50 % (9–91)       1    33 % (6–79)          73 %"
        "  10 (10–10)     1",
        "",
        "lead days: median (quartiles) from the first warning to the churn; late: under 30 days",
        "all that notify: alerts of an account less than 28 days apart are one warning; 1 of them "
        "came after 2025-10-06 and cannot be judged yet, 0 came after the account had left",
        "before 1 churn fewer than 90 days were judged: recall is a little better than it looks",
        "warnings at random would be right in about 7 %",
        "warned about EUR 120 of EUR 165 lost",
        "",
        "rows of the truth: 1 refused, 1 invalid",
        "  churn.csv row 3: date 'x' is none",
    ]
