from datetime import date
from typing import Any

import pytest

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
        ("Observed", "6,210 units"),
        ("Usual", "8,940 units"),
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
        ("Lasting", "9.3 log units"),
        ("Dispersion", "1.8 times"),
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
        Number("Days silent", "61 days", "of those that count"),
        Number("Calendar days silent", "61 days"),
        Number("Days allowed", "18 days", "of silence, for what this customer's rhythm was"),
        Number("Last active", "30 August 2026"),
    ]
    assert [(one.name, one.value) for one in statistics(silent)] == [
        ("Rhythm", "9 %"),
        ("Left-out days counted", "no"),
    ]


def test_what_is_not_known_is_left_out() -> None:
    unknown = DROP | {"ratio_interval90": [None, None], "smallest_detectable_drop": None}
    told = {one.name for one in numbers(alert(because=unknown))}

    assert not told & {"90 % range", "Smallest fall told"}
    assert numbers(alert(because=None)) == []


def told(because: dict[str, Any], kind: str, object_: str = "api_calls") -> list[str]:
    """Every figure in one line, its note in brackets."""
    shown = numbers(alert(kind=kind, object=object_, because=because))
    return [f"{one.name}: {one.value}" + f" ({one.note})" * bool(one.note) for one in shown]


def test_a_spike_of_tickets_says_how_rare_it_is() -> None:
    because = {
        "observed": 8.0,
        "expected": 1.0625,
        "ratio": 7.529412,
        "probability": 9.8e-05,
        "once_in_weeks": 10_199,
        "reported_once_in_weeks": 1000,
        "days_observed": 1.0,
        "days_once_in_weeks": None,
        "days_reported_once_in_weeks": None,
        "calm_count": 1.2,
        "baseline": {"from": "2026-01-13", "to": "2026-03-09", "days_used": 56},
        "smallest_detectable_spike": 7,
        "metrics": ["@tickets"],
    }
    assert told(because, "ticket_spike", "@tickets") == [
        "Observed: 8 tickets (in the window)",
        "Usual: 1.1 tickets (in such a week, for this customer)",
        "Against usual: 7.5 times (what is usual)",
        "So many come: about once in 10,000 weeks (in this customer's ordinary weeks)",
        "Reported from: once in 1,000 weeks",
        "Days with any: 1 day (in the window)",
        "Over at: 1.2 tickets (a week, or fewer)",
        "Compared with: 13 January to 9 March 2026, 56 days counted (what is usual in a week)",
        "Smallest spike told: 7 tickets (in a week, at once)",
        "Metrics: Tickets",
    ]
    spike = alert(kind="ticket_spike", object="@tickets", because=because)
    assert statistics(spike) == [
        Number("Chance", "0.0098 %", "of so many in an ordinary week"),
        Number("So many days come", "hardly ever"),
    ]


def test_the_share_of_seats_is_no_change() -> None:
    because = {
        "people": 36.5,
        "people_now": 1,
        "seats": 40,
        "ratio": 0.9125,
        "idle": 3.5,
        "people_that_fire": 37,
        "thresholds_in_force": {"side": "high"},
    }
    assert told(because, "seat_expansion", "@people") == [
        "Seats in use: 91 % (of all, by the mean over the window)",
        "Active people: 36 people (in four weeks, mean of the window)",
        "Active now: 1 person (in four weeks, at its end)",
        "Seats: 40 seats",
        "Empty seats: 3.5 seats",
        "Reported from: 37 people or more",
    ]
    low = because | {"thresholds_in_force": {"side": "low"}}
    assert "Reported from: 37 people or fewer" in told(low, "seat_utilisation", "@people")


def test_a_slow_fall_is_told_by_its_line() -> None:
    because = {
        "fall": 0.267857,
        "first_level": 1.238659,
        "last_level": 0.906875,
        "weeks": [{"observed": 1.0, "expected": 1.0}] * 13,
        "weeks_used": 12,
        "slope": -0.027649,
        "spread": 0.085143,
        "baseline": {"from": "2026-01-05", "to": "2026-07-01", "days_used": 178},
    }
    assert told(because, "usage_drop") == [
        "Change: −27 % (along the line through the weeks)",
        "Line begins at: 124 % (of the half-year's level)",
        "Line ends at: 91 % (of the half-year's level)",
        "Weeks counted: 12 of 13 weeks",
        "Weekdays by: 5 January to 1 July 2026, 178 days counted (half a year)",
    ]
    assert [(one.name, one.value) for one in statistics(alert(because=because))] == [
        ("Slope", "−3 %"),
        ("Spread", "±9 %"),
    ]


def test_a_fall_of_a_week_says_once_what_it_is_compared_with() -> None:
    because = {
        "before": {"from": "2026-03-29", "to": "2026-05-23", "days_used": 56},
        "baseline": {"from": "2026-01-05", "to": "2026-05-02", "days_used": 118},
        "week_levels": [1.0, 0.66],
        "weeks_before": 8,
        "lead_days": 42,
        "lead_days_left": 37,
        "peer_ratio": 0.98,
        "peer_accounts": 14,
        "incident": {"alert_id": "1", "since": "2026-05-20"},
        "features": [{"feature": "export", "observed": 3.0, "expected": 240.0, "ratio": 0.0125}],
    }
    assert told(because, "usage_drop") == [
        "Similar customers: −2 % (their median change in 28 days)",
        "Compared with them: 14 similar customers",
        "Fell with others: since about 20 May 2026 (and is told as one incident)",
        "Compared with: 29 March to 23 May 2026, 56 days counted (the median of these weeks is "
        "usual)",
        "Weekdays by: 5 January to 2 May 2026, 118 days counted (half a year)",
        "Fell most: export (3 of 240 usual) (of all features, in 28 days)",
    ]


def test_core_features_that_are_gone_are_named() -> None:
    because = {
        "used": 1.0,
        "usual": 4.5,
        "by_month": [None, 4.0, 5.0],
        "lost": [{"feature": "c", "last_used": "2026-05-20"}],
        "metrics": ["@feature:a", "@feature:c"],
    }
    assert told(because, "breadth", "activity") == [
        "In use: 1 core feature (in the last 28 days)",
        "Usual: 4.5 core features (the median of the months before)",
        "Months before: 4 and 5 (core features, the oldest month first)",
        "Used no longer: c (last on 20 May 2026)",
        "Metrics: Feature a, Feature c",
    ]
    assert told({"by_month": [None], "lost": []}, "breadth", "activity") == []


@pytest.mark.parametrize(
    "kind, more, note",
    [
        ("silence", {"rhythm_known": True}, "of silence, for what this customer's rhythm was"),
        ("silence", {"rhythm_known": False}, "of silence; this customer's rhythm is not known"),
        ("policy_silence", {}, "of silence, by the rule"),
    ],
)
def test_a_silence_says_whose_limit_it_has_passed(
    kind: str, more: dict[str, Any], note: str
) -> None:
    assert told({"limit": 18} | more, kind, "activity") == [f"Days allowed: 18 days ({note})"]


@pytest.mark.parametrize(
    "ends, range_",
    [
        ([0.64, 0.75], "−36 % to −25 %"),
        ([0.0001, 0.0082], "−100 % to −99 %"),
        ([1.2, 1.6], "+20 % to +60 %"),
    ],
)
def test_a_range_holds_the_change_that_it_stands_beside(ends: list[float], range_: str) -> None:
    assert [one.value for one in numbers(alert(because={"ratio_interval90": ends}))] == [range_]


def test_facts_are_told_by_their_names() -> None:
    because = {
        "payment": "inv-1",
        "amount": 800_000,
        "currency": "EUR",
        "usage_share": 0.31,
        "failed_at": ["2026-05-02", "2026-05-06T03:00:00Z"],
        "failures": 1,
        "replaced": False,
        "successor": None,
        "checklist": {"health": "unknown", "usage": "done"},
        "missing": ["health"],
        "usage_days_of_28": 17,
        "status": "active",
        "left_on": "2026-05-01",
    }

    assert numbers(alert(kind="change", because=because)) == [
        Number("Payment", "inv-1"),
        Number("Failed", "1 time"),
        Number("Failed on", "2 May 2026 and 6 May 2026"),
        Number("Amount", "EUR 8,000.00"),
        Number("Replaced", "no"),
        Number("Status", "active"),
        Number("Since", "1 May 2026"),
        Number("Active before", "17 of 28 days"),
        Number("Share of usage", "31 %", "of everybody's days of usage"),
        Number("Checklist", "health: unknown; usage: done"),
    ]


def test_evidence_that_no_table_names_is_told_by_its_kind() -> None:
    because = {
        "some_ticket": "inv-1",
        "some_share": 0.31,
        "seen_at": ["2026-05-02", "2026-05-06T03:00:00Z"],
        "some_flag": True,
        "nothing": None,
        "some_table": {"health": 0.5, "usage": "done"},
        "some_count": 1200,
    }

    assert numbers(alert(because=because)) == [
        Number("Some ticket", "inv-1"),
        Number("Some share", "31 %"),
        Number("Seen at", "2 May 2026 and 6 May 2026"),
        Number("Some flag", "yes"),
        Number("Some table", "health: 0.5; usage: done"),
        Number("Some count", "1,200"),
    ]


def test_weeks_stand_beside_what_would_be_usual() -> None:
    weekly = [{"observed": 50.0, "expected": 100.0}, {"observed": None, "expected": 80.0}]

    assert weeks(alert(because={"weekly": weekly}, day=date(2026, 5, 13))) == [
        Week(date(2026, 5, 6), 50.0, 100.0, 50.0, 100.0),
        Week(date(2026, 5, 13), None, 80.0, 0.0, 80.0),
    ]
    assert weeks(alert(because={"weekly": []})) == []


def test_weeks_that_are_counts_alone_lead_up_to_the_judged_one() -> None:
    because = {"weekly": [1.0, None], "observed": 8.0, "expected": 2.0}

    assert weeks(alert(kind="ticket_spike", because=because, day=date(2026, 5, 13))) == [
        Week(date(2026, 4, 29), 1.0, None, 12.5, 0.0),
        Week(date(2026, 5, 6), None, None, 0.0, 0.0),
        Week(date(2026, 5, 13), 8.0, 2.0, 100.0, 25.0),
    ]


def test_a_quarter_is_shown_whole_and_a_number_of_weeks_is_none() -> None:
    quarter = [{"observed": 5.0, "expected": None}] * 13
    because = {"weekly": quarter[:8], "weeks": quarter}

    assert len(weeks(alert(because=because))) == 13
    assert weeks(alert(kind="silence", because={"weeks": 20})) == []


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


def test_whose_median_it_is_stands_beside_it() -> None:
    because = {"peer_ratio": 0.98, "peer_accounts": 14, "peer_scope": "company"}
    assert told(because, "usage_drop") == [
        "All customers: −2 % (their median change in 28 days)",
        "Compared with them: 14 customers",
    ]
