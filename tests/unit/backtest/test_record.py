from collections import Counter
from typing import Any

import msgspec

from services.backtest.comparing import compare
from services.backtest.record import record
from services.backtest.truth import Churn, Truth, judge
from tests.unit.backtest.builders import RULES, on, outcome, row

DROP = {"usage-drop": RULES["usage-drop"]}


def as_read(told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(told))
    return found


def test_a_backtest_as_plain_json() -> None:
    found = outcome(
        [row("a", 0, days=10), row("b", 7, days=None, severity="high")],
        days=14,
        account_days=3_044,
        rules=DROP,
        refused={"invalid": 1},
        examples=["usage.csv row 7: bad"],
    )
    assert as_read(record(found)) == {
        "first": "2025-01-06",
        "last": "2025-01-19",
        "accounts": 10,
        "account_days": 3044,
        "interrupted": False,
        "seconds": 12.4,
        "all": {
            "title": "All rules that notify",
            "shadow": False,
            "alerts": 2,
            "per_100": 2.0,
            "accounts": 2,
            "open": 1,
            "days_open": 10,
            "reasons": {"recovered": 1},
        },
        "rules": {
            "usage-drop": {
                "title": "Usage fell",
                "shadow": False,
                "alerts": 2,
                "per_100": 2.0,
                "accounts": 2,
                "open": 1,
                "days_open": 10,
                "reasons": {"recovered": 1},
            }
        },
        "owners": {
            "ana": {
                "alerts": 2,
                "accounts": 2,
                "mean": 1.0,
                "most": 1,
                "busiest": "2025-01-06",
                "weeks": [1, 1],
            }
        },
        "at_risk": [{"minor": 1_200_000, "currency": "EUR"}],
        "refused": {"invalid": 1},
        "examples": ["usage.csv row 7: bad"],
    }


def test_truth_and_comparison_are_told_beside_it() -> None:
    found = outcome([row("a", 100)], rules=DROP)
    truth = Truth([Churn(on(150), "a", 100), Churn(on(160), "z", 300)], Counter(), [])
    told = as_read(record(found, judge(found, truth), compare(found, found)))
    score = {
        "verdicts": {"right": 1},
        "precision": 1.0,
        "churns": 2,
        "caught": 1,
        "recall": 0.5,
        "money": 400,
        "money_caught": 100,
        "money_recall": 0.25,
        "late": 0,
        "lead_days": [50.0, 50.0, 50.0],
    }
    intervals = {"precision_interval", "recall_interval"}
    assert {key: told["truth"]["all"][key] for key in score} == score
    assert told["truth"]["all"].keys() == told["truth"]["rules"]["usage-drop"].keys()
    assert told["truth"]["all"].keys() - score.keys() == intervals
    assert told["truth"]["missed"] == [{"account": "z", "date": "2025-06-15", "amount": 300}]
    change = {
        "title": "Usage fell",
        "shadow": "",
        "a": 1,
        "b": 1,
        "same": 1,
        "earlier": 0,
        "later": 0,
        "shift": None,
        "only_a": 0,
        "only_b": 0,
    }
    assert told["comparison"] == {
        "names": ["A", "B"],
        "all": change | {"title": "All rules that notify"},
        "rules": {"usage-drop": change},
    }
