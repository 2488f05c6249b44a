from typing import Any

import pytest

from services.detector.explanation import explain, headline

SPIKE = {
    "window": {"from": "2026-05-10", "to": "2026-05-16", "days_used": 7},
    "observed": 12.0,
    "expected": 3.52,
    "probability": 0.00021,
    "once_in_weeks": 4762,
    "days_observed": 5.0,
    "days_probability": 0.031,
    "days_once_in_weeks": 32,
    "smallest_detectable_spike": 11,
    "calm_count": 3.6,
    "weekly": [3.0, 2.0, 5.0, None, 4.0, 1.0, 6.0, 2.5],
    "masked_days": [{"date": "2026-05-01", "reason": "Labour Day"}],
    "reported_once_in_weeks": 1000,
    "days_reported_once_in_weeks": 80,
    "thresholds_in_force": {"probability": 0.001, "days_probability": 0.0125},
}
WEEKS = "The eight weeks before brought 3, 2, 5, none known, 4, 1, 6 and 2.5."
LEFT_OUT = "1 May 2026 (Labour Day) was left out."

SEATS = {
    "window": {"from": "2026-05-03", "to": "2026-05-16", "days_used": 13},
    "people": 22.9,
    "people_now": 22,
    "seats": 40,
    "seats_since": "2026-03-18",
    "ratio": 0.5725,
    "idle": 17.1,
    "people_that_fire": 23,
    "masked_days": [],
    "thresholds_in_force": {"side": "low", "enter": 0.6, "leave": 0.66},
}
USED = (
    "22 people were active in the four weeks to 16 May 2026, for 40 seats (since 18 March 2026). "
    "The mean of that number over 14 days is 23: 57 % of the seats."
)
FULL = SEATS | {
    "people": 37.0,
    "people_now": 1,
    "ratio": 0.925,
    "seats_since": None,
    "people_that_fire": 37,
    "thresholds_in_force": {"side": "high", "enter": 0.9, "leave": 0.84},
}
FULL_TEXT = (
    "1 person was active in the four weeks to 16 May 2026, for 40 seats. The mean of that number "
    "over 14 days is 37: 92 % of the seats."
)


@pytest.mark.parametrize(
    "kind, object_, because, line, text",
    [
        (
            "ticket_spike",
            "@tickets",
            SPIKE,
            "12 tickets in 7 days, 3.5 would be usual",
            f"12 tickets in the 7 days to 16 May 2026, on 5 days; 3.5 would be usual. {WEEKS} "
            "So many come about once in 4,800 weeks here; the rule reports from once in 1,000. "
            f"{LEFT_OUT}",
        ),
        (
            "ticket_spike",
            "@tickets_high",
            SPIKE
            | {"observed": 1.0, "days_observed": 1.0, "expected": 0.0625, "probability": 0.06}
            | {"days_probability": 0.01, "days_once_in_weeks": 100, "calm_count": 0.5},
            "1 urgent ticket in 7 days, hardly any would be usual",
            "1 urgent ticket in the 7 days to 16 May 2026, on 1 day; hardly any would be usual. "
            f"{WEEKS} Some on so many days come about once in 100 weeks here; the rule reports "
            f"from once in 80. {LEFT_OUT}",
        ),
        (
            "ticket_spike",
            "@tickets",
            SPIKE | {"observed": 3.0, "days_observed": 2.0, "probability": 0.7},
            "3 tickets in 7 days, as usual",
            f"3 tickets in the 7 days to 16 May 2026, on 2 days; 3.5 would be usual. {WEEKS} That "
            f"is an ordinary week again. {LEFT_OUT} 11 tickets in a week would be reported.",
        ),
        (
            "spike",
            "exports",
            SPIKE | {"probability": 0.0, "once_in_weeks": None, "masked_days": []},
            "12 of exports in 7 days, 3.5 would be usual",
            f"12 of exports in the 7 days to 16 May 2026, on 5 days; 3.5 would be usual. {WEEKS} "
            "So many in a week hardly ever come here; the rule reports from once in 1,000.",
        ),
        (
            "spike",
            "exports",
            SPIKE
            | {"probability": 0.0, "once_in_weeks": None, "masked_days": []}
            | {"reported_once_in_weeks": None},
            "12 of exports in 7 days, 3.5 would be usual",
            f"12 of exports in the 7 days to 16 May 2026, on 5 days; 3.5 would be usual. {WEEKS} "
            "So many in a week hardly ever come here; the rule reports what hardly ever comes.",
        ),
        (
            "seat_utilisation",
            "@people",
            SEATS,
            "23 of 40 seats used",
            f"{USED} 17 stand empty. Your rule reports under 60 %: 23 or fewer active people.",
        ),
        (
            "seat_utilisation",
            "@people",
            SEATS | {"ratio": 0.7, "people": 28.0, "idle": 12.0},
            "28 of 40 seats used again",
            f"{USED.replace('23: 57', '28: 70')} 12 stand empty. Your rule reports under 60 %: 23 "
            "or fewer active people.",
        ),
        (
            "seat_expansion",
            "@people",
            FULL,
            "37 of 40 seats used",
            f"{FULL_TEXT} Your rule reports over 90 %: 37 or more active people.",
        ),
        (
            "seat_expansion",
            "@people",
            FULL | {"people_that_fire": None},
            "37 of 40 seats used",
            f"{FULL_TEXT} Your rule reports over 90 %.",
        ),
    ],
)
def test_evidence_is_told_in_a_line_and_a_paragraph(
    kind: str, object_: str, because: dict[str, Any], line: str, text: str
) -> None:
    assert (headline(kind, object_, because), explain(kind, object_, because)) == (line, text)
