"""Growth, fast and slow falls, features in words: where sentences differ by the evidence."""

from typing import Any

import pytest

from services.detector.explanation import _TELLERS, explain, headline
from services.detector.explanation.words import STANDS
from services.detector.primitives import PRIMITIVES

WINDOW = {"from": "2026-04-17", "to": "2026-05-14", "days_used": 28}
ROSE: dict[str, Any] = {
    "window": WINDOW,
    "observed": 6210.0,
    "expected": 4140.0,
    "ratio": 1.5,
    "ratio_interval90": [1.41, 1.6],
    "ratio_first_fortnight": 1.42,
    "ratio_last_fortnight": 1.58,
    "ratio_last_week": 1.6,
    "drift_sd": 0.06,
    "smallest_detectable_rise": 0.22,
    "masked_days": [{"date": "2026-05-01", "reason": "Labour Day"}],
    "thresholds_in_force": {"ratio": 1.2, "probability": 0.998, "lasting": 0.7, "clear": 1.1},
}
FAST: dict[str, Any] = {
    "window": {"from": "2026-05-08", "to": "2026-05-14", "days_used": 7},
    "observed": 460.0,
    "expected": 700.0,
    "ratio": 0.657143,
    "ratio_interval90": [0.59, 0.73],
    "weeks_before": 8,
    "median_level": 1.0,
    "masked_days": [],
    "features": [{"feature": "export", "observed": 3.0, "expected": 240.0, "ratio": 0.0125}],
    "thresholds_in_force": {"fall": 0.3, "evidence": 2.75, "evidence_asked": 2.75, "clear": 0.85},
}
SLOW: dict[str, Any] = {
    "window": {"from": "2026-02-13", "to": "2026-05-14", "days_used": 85},
    "slope": -0.02,
    "weeks": [{"observed": 9.0, "expected": None}]
    + [{"observed": 7000.0, "expected": 7234.0}] * 12,
    "weeks_used": 12,
    "first_level": 1.25,
    "last_level": 0.9125,
    "fall": 0.27,
    "drift_sd": 0.05,
    "masked_days": [{"date": "2026-05-01", "reason": "Labour Day"}],
    "smallest_detectable_drop": 0.25,
    "thresholds_in_force": {"fall": 0.2, "evidence": 3.3, "evidence_asked": 3.3},
}
GIVEN_UP: dict[str, Any] = {
    "window": WINDOW,
    "observed": 12.0,
    "expected": 340.0,
    "expected_alone": 378.0,
    "ratio": 0.035294,
    "account_ratio": 0.9,
    "ratio_interval90": [0.02, 0.06],
    "lasting": 9.0,
    "since_estimate": "2026-04-18",
    "masked_days": [],
    "thresholds_in_force": {
        "ratio": 0.5,
        "probability": 0.998,
        "clear": 0.75,
        "evidence_asked": 2.88,
    },
}
NARROW: dict[str, Any] = {
    "window": {"from": "2026-04-04", "to": "2026-05-14", "days_used": 41},
    "used": 1.0,
    "most_of_late": 2.0,
    "usual": 4.5,
    "by_month": [None, 4.0, 5.0, 4.0, 5.0],
    "lost": [
        {"feature": "export", "last_used": "2026-04-03"},
        {"feature": "search", "last_used": "2026-03-30"},
    ],
    "thresholds_in_force": {"fewer": 2, "days": 14},
}


REGULAR = NARROW | {
    "used_since": "2026-04-16",
    "masked_days": [{"date": "2026-05-01", "reason": "Labour Day"}],
    "core_features": [
        {"feature": "audit", "counted": False},
        {"feature": "chart", "counted": True},
        {"feature": "report", "counted": False},
    ],
}
AS_THEN = REGULAR | {"used": 3.0, "usual": 4.0, "usual_when_raised": 4.5}


@pytest.mark.parametrize(
    "kind, object_, because, line, text",
    [
        (
            "expansion",
            "api_calls",
            ROSE,
            "usage (api_calls) rose 50 % in 28 days",
            "Usage (api_calls) was 6,210 in the 28 days to 14 May 2026; 4,140 would be usual for "
            "these weekdays (+50 %; 90 % range +41 % to +60 %). Both fortnights (+42 %, then "
            "+58 %) and the last week (+60 %) are up, so this is no short peak. 1 May 2026 "
            "(Labour Day) was left out. Natural swings of this customer are about ±6 %; rises "
            "under 22 % would not be reported.",
        ),
        (
            "expansion",
            "usage",
            ROSE | {"ratio": 1.05, "ratio_interval90": [None, None], "masked_days": []},
            "usage is back near its usual level",
            "Usage was 6,210 in the 28 days to 14 May 2026; 4,140 would be usual for these "
            "weekdays (+5 %). That is near the usual level again. Natural swings of this customer "
            "are about ±6 %.",
        ),
        (
            "usage_drop",
            "usage",
            FAST,
            "usage fell 34 % in a week",
            "Usage was 460 in the 7 days to 14 May 2026; 700 would be usual for these weekdays, "
            "by the median of 8 weeks before (−34 %; 90 % range −41 % to −27 %). Whether it lasts "
            "is not known yet. In 28 days these features fell most: export (3 of 240 usual).",
        ),
        (
            "usage_drop",
            "usage",
            SLOW,
            "usage sank 27 % in 13 weeks",
            "Usage has been sinking slowly: the line through the 13 weeks to 14 May 2026 goes from "
            "about 9,042 in its first week to 6,601 in its last (−27 %). Of these 1 week with too "
            "few ordinary days was left out. 1 May 2026 (Labour Day) was left out. Natural swings "
            "of this customer are about ±5 %; a slow fall under 25 % would not be reported.",
        ),
        (
            "usage_drop",
            "usage",
            SLOW | {"weeks": SLOW["weeks"][1:] * 2, "weeks_used": 24, "fall": 0.2},
            "usage sank 20 % in 24 weeks",
            "Usage has been sinking slowly: the line through the 24 weeks to 14 May 2026 goes from "
            "about 9,042 in its first week to 6,601 in its last (−20 %). 1 May 2026 (Labour Day) "
            "was left out. Natural swings of this customer are about ±5 %.",
        ),
        (
            "usage_drop",
            "usage",
            SLOW | {"slope": 0.0},
            "usage sinks no longer",
            "Usage no longer sinks over the 13 weeks to 14 May 2026.",
        ),
        (
            "feature_abandoned",
            "@feature:export",
            GIVEN_UP,
            "use of feature export fell 96 % in 28 days",
            "Use of feature export was 12 in the 28 days to 14 May 2026; 340 would be usual for "
            "these weekdays (−96 %; 90 % range −98 % to −94 %). All usage of this customer is "
            "down 10 %, which is taken into account: without that 378 would be usual. A lasting "
            "fall since about 18 April 2026 explains that over 1,000 times better than a dip of "
            "two weeks.",
        ),
        (
            "feature_abandoned",
            "@feature:export",
            GIVEN_UP | {"ratio": 0.8, "account_ratio": 1.0},
            "feature export is used again",
            "Use of feature export was 12 in the 28 days to 14 May 2026; 340 would be usual for "
            "these weekdays (−20 %; 90 % range −98 % to −94 %). That is near the usual level "
            "again.",
        ),
        (
            "breadth",
            "activity",
            NARROW,
            "1 core feature in use, 4.5 are usual",
            "1 core feature was used in the 28 days to 14 May 2026; 4.5 are usual, by the months "
            "before (4, 5, 4, 5). For 14 days it has been 2 at most. Used no longer: export (last "
            "on 3 April 2026) and search (last on 30 March 2026).",
        ),
        (
            "breadth",
            "activity",
            NARROW | {"used": 3.0, "usual": 4.0},
            "3 core features in use again",
            "3 core features were used in the 28 days to 14 May 2026; 4 are usual, by the months "
            "before (4, 5, 4, 5).",
        ),
    ],
)
def test_an_evidence_is_told_in_a_line_and_a_paragraph(
    kind: str, object_: str, because: dict[str, Any], line: str, text: str
) -> None:
    assert headline(kind, object_, because) == line
    assert explain(kind, object_, because) == text


FEW = "1 core feature was used in the 28 days to 14 May 2026; 4.5 are usual, by the months before"
LOST = (
    "For 14 days it has been 2 at most. Used no longer: export (last on 3 April 2026) and search "
    "(last on 30 March 2026)."
)
OUT = "1 May 2026 (Labour Day) was left out."
RARE = f"audit and report are used too rarely to count. {OUT}"
FELL_LINE = "usage stays at its new level"


@pytest.mark.parametrize(
    "kind, object_, because, ended, line, text",
    [
        (
            *("breadth", "activity", REGULAR, ""),
            "1 core feature in use, 4.5 are usual",
            f"{FEW} (4, 5, 4, 5). {LOST} {RARE}",
        ),
        (
            *("breadth", "activity", AS_THEN, "recovered"),
            "3 core features in use again",
            "3 core features were used in the 28 days to 14 May 2026; 4 are usual, by the months "
            f"before (4, 5, 4, 5). When this was reported 4.5 were usual. {RARE}",
        ),
        (
            # What has become usual is not said to be in use again.
            *("breadth", "activity", NARROW | {"used": 3.0, "usual": 3.0}, "recovered"),
            "3 core features in use, 3 are usual",
            "3 core features were used in the 28 days to 14 May 2026; 3 are usual, by the months "
            "before (4, 5, 4, 5).",
        ),
        (
            *("breadth", "activity", REGULAR | {"usual_when_raised": 6.0}, "new_normal"),
            "1 core feature in use, 6 were usual",
            f"{FEW} (4, 5, 4, 5). When this was reported 6 were usual. {LOST} {OUT} {STANDS}",
        ),
        (
            *("feature_abandoned", "@feature:export"),
            GIVEN_UP | {"ratio": 0.8, "account_ratio": 1.0, "ratio_alone": 0.4},
            "recovered",
            "use of feature export is no lower than that of the rest any more",
            "Use of feature export was 12 in the 28 days to 14 May 2026; 340 would be usual for "
            "these weekdays (−20 %; 90 % range −98 % to −94 %). That is near the usual level "
            "again.",
        ),
        (
            *("feature_abandoned", "@feature:export", GIVEN_UP | {"ratio": 0.8}, "withdrawn"),
            "use of feature export fell 20 % in 28 days",
            "Use of feature export was 12 in the 28 days to 14 May 2026; 340 would be usual for "
            "these weekdays (−20 %; 90 % range −98 % to −94 %). All usage of this customer is "
            "down 10 %, which is taken into account: without that 378 would be usual. Data that "
            "came late take this back.",
        ),
        (
            *("usage_drop", "usage", FAST | {"features": [], "ratio": 0.99}, "new_normal"),
            FELL_LINE,
            "Usage was 460 in the 7 days to 14 May 2026; 700 would be usual for these weekdays, "
            f"by the median of 8 weeks before (−1 %; 90 % range −41 % to −27 %). {STANDS}",
        ),
    ],
)
def test_the_end_is_told_by_why_it_came_and_not_by_the_numbers(
    kind: str, object_: str, because: dict[str, Any], ended: str, line: str, text: str
) -> None:
    assert headline(kind, object_, because, ended) == line
    assert explain(kind, object_, because, ended) == text


@pytest.mark.parametrize("ended", ["new_normal", "", "superseded"])
def test_numbers_near_the_usual_are_no_return_where_the_alert_did_not_end_by_one(
    ended: str,
) -> None:
    for kind, because in (("expansion", ROSE | {"ratio": 1.05}), ("usage_drop", FAST)):
        told = headline(kind, "usage", because | {"ratio": 0.99}, ended)
        assert "back" not in told
        assert "again" not in explain(kind, "usage", because | {"ratio": 0.99}, ended)


def test_a_record_that_names_its_primitive_is_told_by_it_whatever_keys_it_has() -> None:
    because = FAST | {"lasting": 3.0, "primitive": "fastdrop"}
    assert headline("usage_drop", "usage", because) == headline("usage_drop", "usage", FAST)
    newer = explain("usage_drop", "usage", {"primitive": "of_a_later_version", "share": 0.4})
    assert newer == "Something changed (usage). primitive: of_a_later_version; share: 0.4."


def test_every_primitive_has_a_teller() -> None:
    assert set(PRIMITIVES) == set(_TELLERS) - {"incident"}
