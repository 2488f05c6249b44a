from datetime import date
from typing import Any

from services.alerts.console.evidence import (
    Number,
    Week,
    limits,
    masked,
    numbers,
    statistics,
    weeks,
)
from tests.unit.alerts.fakes import alert

DROP: dict[str, Any] = {
    "window": {"from": "2026-04-16", "to": "2026-05-13", "days_used": 26},
    "observed": 6210.0,
    "expected": 8940.0,
    "ratio": 0.694631,
    "ratio_28": 0.694631,
    "ratio_interval90": [0.64, 0.75],
    "probability": 0.999999,
    "evidence": 4.71,
    "lasting": 9.3,
    "baseline": {"from": "2025-10-16", "to": "2026-04-15", "days_used": 170},
    "dispersion": 1.8,
    "drift_sd": 0.09,
    "smallest_detectable_drop": 0.22,
    "since_estimate": "2026-04-09",
    "metrics": ["api_calls"],
    "headline": "told elsewhere",
    "thresholds_in_force": {"ratio": 0.85, "evidence": 2.75, "clear": 0.92, "days": None},
    "computed_from": {"counts": [1.0]},
}


def test_a_drop_in_numbers() -> None:
    assert [(one.name, one.value) for one in numbers(alert(because=DROP))] == [
        ("Observed", "6,210"),
        ("Usual", "8,940"),
        ("Change", "−31 %"),
        ("90 % range", "−36 % to −25 %"),
        ("Since about", "9 April 2026"),
        ("Window", "16 April to 13 May 2026, 26 days counted"),
        ("Compared with", "16 October 2025 to 15 April 2026, 170 days counted"),
        ("Natural swings", "±9 %"),
        ("Smallest fall told", "22 %"),
        ("Certainty", "over 99.9 %"),
        ("Metrics", "api_calls"),
    ]
    assert [(one.name, one.value) for one in statistics(alert(because=DROP))] == [
        ("Evidence", "4.7 standard deviations"),
        ("Lasting", "9.3"),
        ("Dispersion", "1.8"),
    ]


def test_both_windows_of_a_fall_are_told_and_what_came_before_it() -> None:
    because = {
        "ratio": 0.69,
        "ratio_28": 0.74,
        "history": {"last_alert": "2026-01-08", "false_alarm_votes": 2},
    }
    assert [(one.name, one.value) for one in numbers(alert(because=because))] == [
        ("Change", "−31 %"),
        ("Change in 28 days", "−26 %"),
        ("Before", "the last one on 8 January 2026; called false 2 times"),
    ]
    first = {"history": {"last_alert": None, "false_alarm_votes": 0}}
    assert [(one.name, one.value) for one in numbers(alert(because=first))] == [("Before", "none")]


def test_a_silence_in_numbers_keeps_its_parameters_for_statisticians() -> None:
    silent = alert(
        because={
            "days_silent": 61,
            "calendar_days_silent": 61,
            "limit": 18,
            "last_active": "2026-08-30",
            "q": 0.0893,
            "masked_days_count": False,
        }
    )

    assert numbers(silent) == [
        Number("Days silent", "61", "of those that count"),
        Number("Calendar days silent", "61"),
        Number("Days allowed", "18", "of silence, for what this customer's rhythm was"),
        Number("Last active", "30 August 2026"),
    ]
    assert [(one.name, one.value) for one in statistics(silent)] == [
        ("Rhythm", "0.0893"),
        ("Left-out days counted", "no"),
    ]


def test_what_is_not_known_is_left_out() -> None:
    unknown = DROP | {"ratio_interval90": [None, None], "smallest_detectable_drop": None}
    told = {one.name for one in numbers(alert(because=unknown))}

    assert not told & {"90 % range", "Smallest fall told"}
    assert numbers(alert(because=None)) == []


def test_evidence_that_no_table_names_is_told_by_its_kind() -> None:
    because = {
        "payment": "inv-1",
        "amount": 800_000,
        "currency": "EUR",
        "usage_share": 0.31,
        "failed_at": ["2026-05-02", "2026-05-06T03:00:00Z"],
        "replaced": False,
        "successor": None,
        "checklist": {"health": "unknown", "usage": "done"},
        "seats": 1200,
    }

    assert numbers(alert(because=because)) == [
        Number("Payment", "inv-1"),
        Number("Amount", "EUR 8,000.00"),
        Number("Usage share", "31 %"),
        Number("Failed at", "2 May 2026 and 6 May 2026"),
        Number("Replaced", "no"),
        Number("Checklist", "health: unknown; usage: done"),
        Number("Seats", "1,200"),
    ]


def test_weeks_stand_beside_what_would_be_usual() -> None:
    weekly = [{"observed": 50.0, "expected": 100.0}, {"observed": None, "expected": 80.0}]

    assert weeks(alert(because={"weekly": weekly}, day=date(2026, 5, 13))) == [
        Week(date(2026, 5, 6), 50.0, 100.0, 50.0, 100.0),
        Week(date(2026, 5, 13), None, 80.0, 0.0, 80.0),
    ]
    assert weeks(alert(because={"weekly": []})) == []


def test_limits_and_days_left_out() -> None:
    assert limits(alert(because=DROP)) == [
        Number("Ratio", "0.85"),
        Number("Evidence", "2.75"),
        Number("Clear", "0.92"),
    ]
    days = [{"date": "2026-05-01", "reason": "public holiday"}, "2026-05-09"]
    assert masked(alert(because={"masked_days": days})) == [
        Number("1 May 2026", "public holiday"),
        Number("9 May 2026", ""),
    ]
