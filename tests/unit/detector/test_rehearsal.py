from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.alerts import AccountNow, Alert, AlertCleared, AlertRaised
from schemas.events import AccountUpdated, PaymentMethodUpdated, UsageRecorded
from services.detector.calendars import instant, to_date
from services.detector.cases import START, Case
from services.detector.rehearsal import judge


def case(**told: Any) -> Case:
    return Case.model_validate({"story": "a story", "expect": "nothing"} | told)


def raised(day: int, severity: str = "high", object_: str = "usage") -> Alert:
    return AlertRaised(**_fields(day, severity, object_))


def cleared(day: int, reason: str = "recovered") -> Alert:
    return AlertCleared(**_fields(day, "high", "usage"), reason=reason)  # type: ignore[arg-type]


def _fields(day: int, severity: str, object_: str) -> dict[str, Any]:
    return {
        "alert_id": f"id of {object_}",
        "account": "case",
        "rule": "a-rule",
        "rule_set": 1,
        "kind": "usage_drop",
        "object": object_,
        "day": to_date(START + day),
        "fired_at": instant(0),
        "severity": severity,
        "category": "early_signals",
        "churn_kind": "voluntary",
        "historic": False,
        "account_now": AccountNow(stamp=0),
        "because": {},
    }


def test_day_one_is_a_monday_and_no_day_of_the_first_349_is_at_the_years_end() -> None:
    assert to_date(START + 1) == date(2026, 1, 5)
    assert to_date(START + 1).weekday() == 0
    assert to_date(START + 349) == date(2026, 12, 19)


def test_a_stretch_brings_usage_on_its_weekdays_only() -> None:
    told = case(usage=[{"days": "1..7", "weekdays": "mon-tue,sun", "each": 2.5, "metric": "api"}])
    found = {day: [one.event for one in told.entries(day)] for day in range(2, 9)}
    event = UsageRecorded(metric="api", quantity=2.5)
    assert found == {2: [event], 3: [], 4: [], 5: [], 6: [], 7: [event], 8: []}


def test_people_are_told_apart_and_each_does_as_much() -> None:
    entries = case(usage=[{"days": "2", "people": 3, "each": 1}]).entries(2)
    assert [one.event for one in entries] == [
        UsageRecorded(metric="usage", quantity=1, person=f"u{n}") for n in (1, 2, 3)
    ]


def test_days_told_by_number_become_dates() -> None:
    method = {"method": "card", "expires_day": 31}
    told = case(
        account={"renewal_day": 2, "segment": "smb"},
        events=[{"day": 1, "type": "payment_method.updated", "data": method}],
    )
    assert [one.event for one in told.entries(1)] == [
        AccountUpdated(renewal_on=date(2026, 1, 6), segment="smb"),
        PaymentMethodUpdated(method="card", expires_on=date(2026, 2, 4)),
    ]


@pytest.mark.parametrize(
    "told, last",
    [
        ({}, 1),
        ({"usage": [{"days": "3..9", "each": 1}]}, 9),
        ({"usage": [{"days": "3..9", "each": 1}], "until": 5}, 5),
        ({"expect": {"fires_by": 4, "clears_by": 12}}, 12),
        ({"events": [{"day": 7, "type": "ticket.closed", "data": {"ticket": "t"}}]}, 7),
    ],
)
def test_a_story_ends_with_the_last_day_that_it_names(told: dict[str, Any], last: int) -> None:
    assert case(**told).last_day == last


@pytest.mark.parametrize(
    "told, said",
    [
        ({"usage": [{"days": "0..3", "each": 1}]}, "days are a..b with 1 <= a <= b <= 1000"),
        ({"usage": [{"days": "5..3", "each": 1}]}, "days are a..b with 1 <= a <= b <= 1000"),
        ({"usage": [{"days": "x", "each": 1}]}, "days are a..b with 1 <= a <= b <= 1000"),
        ({"usage": [{"days": "1", "each": -1}]}, "greater than or equal to 0"),
        ({"usage": [{"days": "1", "each": 0.0001}]}, "more than three decimals"),
        ({"usage": [{"days": "1", "each": 1, "weekdays": "monday"}]}, "weekdays are mon, tue"),
        ({"usage": [{"days": "1", "each": 1, "weekdays": "fri-mon"}]}, "weekdays are mon, tue"),
        ({"usage": [{"days": "1", "each": 1, "metric": "@all"}]}, "metric"),
        ({"usage": [{"days": "1", "each": 1, "person": "a", "people": 2}]}, "exclude each other"),
        ({"events": [{"day": 1, "type": "payment.faild"}]}, "did you mean payment.failed"),
        ({"events": [{"day": 1, "type": "clock.ticked"}]}, "is no native event type"),
        ({"events": [{"day": 1, "type": "payment.failed"}]}, "missing required field `payment`"),
        ({"account": {"renewal": 3}}, "account.updated has no field 'renewal'"),
        ({"metrics": {"api": {"heart": True}}}, "unknown field `heart`"),
        ({"expect": "alert"}, "expect"),
        ({"expect": {"fires_by": 0}}, "greater than or equal to 1"),
        ({"stroy": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_a_case_that_is_wrong_is_refused_with_what_is_wrong(
    told: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        case(**told)


@pytest.mark.parametrize(
    "expect, alerts, wrong",
    [
        ("nothing", [], None),
        ("nothing", [raised(9)], "nothing, it raised high for 'usage' on day 9"),
        ({"fires_by": 9}, [], "an alert by day 9, it raised nothing"),
        ({"fires_by": 9}, [raised(9)], None),
        ({"fires_by": 8}, [raised(9)], "an alert on a day from 1 to 8, it raised high for"),
        ({"fires_by": 9, "not_before": 9}, [raised(8)], "an alert on a day from 9 to 9"),
        ({"fires_by": 9, "severity": "low"}, [raised(9)], "severity low"),
        ({"fires_by": 9, "object": "api"}, [raised(9)], "object 'api'"),
        ({"fires_by": 9}, [raised(9), raised(40)], "alerts = 1"),
        ({"fires_by": 9, "alerts": 2}, [raised(9), raised(40)], None),
        ({"fires_by": 9, "clears_by": 20}, [raised(9), cleared(20)], None),
        ({"fires_by": 9, "clears_by": 19}, [raised(9), cleared(20)], "(it came on day 20)"),
        ({"fires_by": 9, "clears_by": 20}, [raised(9)], "recovery by day 20 (it stayed open)"),
        (
            {"fires_by": 9, "clears_by": 20},
            [raised(9), cleared(20, "superseded")],
            "recovery by day 20 (it stayed open)",
        ),
    ],
)
def test_what_a_rule_did_is_held_against_what_the_case_expects(
    expect: Any, alerts: list[Alert], wrong: str | None
) -> None:
    found = judge(case(expect=expect), alerts)
    assert (found is None) == (wrong is None)
    assert (wrong or "") in (found or "")
