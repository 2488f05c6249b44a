import numpy as np
import pytest

from services.detector.primitives.fastdrop import FastDrop, FastDropParams
from tests.unit.detector.primitives.stories import days, series, word

PARAMS = FastDropParams(metric="usage")


def verdict(counts: list[float], masked: tuple[int, ...] = (), swing: float = np.nan) -> str:
    """Return the only row in a word."""
    return word(FastDrop.judge(series(counts, masked=masked, swing=swing), PARAMS))


# fmt: off
STORIES = [
    ("steady", days((210, 100)), (), "clears"),
    ("a week at .70, the bound", days((203, 100), (7, 70)), (), "medium"),
    ("one step above it", days((203, 100), (7, 70.1)), (), "quiet"),
    ("a week at a half", days((203, 100), (7, 50)), (), "high"),
    ("a week at a quarter", days((203, 100), (7, 25)), (), "critical"),
    ("a week at .85 is not over", days((203, 100), (7, 85)), (), "quiet"),
    ("one step above .85 it is", days((203, 100), (7, 85.1)), (), "clears"),
    ("it is the week against the median, not against the half-year",
     days((147, 140), (56, 100), (7, 75)), (), "quiet"),
    ("three of the eight weeks before were odd", days((182, 100), (21, 20), (7, 60)), (), "medium"),
    ("a slow fall drags the median along", days((154, 100), (28, 85), (21, 72), (7, 62)), (),
     "quiet"),
    ("a holiday week with four open days", days((203, 100), (7, 60)), (1, 2, 3), "medium"),
    ("a holiday week with three", days((203, 100), (7, 60)), (1, 2, 3, 4), "cannot tell"),
    ("a masked day that is empty is no fall", days((208, 100), (2, 0)), (0, 1), "clears"),
    ("four of the eight weeks are left out", days((203, 100), (7, 50)), tuple(range(7, 35)),
     "cannot tell"),
    ("three of them", days((203, 100), (7, 50)), tuple(range(7, 28)), "high"),
    # 3.5 expected, 1 seen: no noise is ruled out
    ("half an event a day", days((203, 0.5), (7, 0.143)), (), "quiet"),
    ("young: 111 known days", days((104, 100), (7, 50)), (), "cannot tell"),
    ("young: 112 known days", days((105, 100), (7, 50)), (), "high"),
    ("nothing in the two months before", days((140, 100), (70, 0)), (), "cannot tell"),
]
# fmt: on


@pytest.mark.parametrize("story, counts, masked, said", STORIES, ids=[s[0] for s in STORIES])
def test_a_story(story: str, counts: list[float], masked: tuple[int, ...], said: str) -> None:
    assert verdict(counts, masked) == said


def test_an_account_that_always_swings_must_fall_further() -> None:
    fallen = days((203, 100), (7, 68))
    assert (verdict(fallen), verdict(fallen, swing=0.04)) == ("medium", "quiet")


def test_weekends_are_compared_with_weekends() -> None:
    week = [10.0, *[100.0] * 5, 10.0]
    assert verdict(week * 30) == "clears"
    assert verdict(week * 29 + [each * 0.6 for each in week]) == "medium"


def test_the_evidence_holds_every_number_that_is_said() -> None:
    # DAY is 2026-05-16; a masked day in the week: six days of 60, of 600 by the median
    said = FastDrop.judge(series(days((203, 100), (7, 60)), masked=(5,)), PARAMS).because(0)
    assert len(said.pop("weekly")) == 8
    assert said.pop("usual_week") == [100.0] * 7
    assert said == {
        "window": {"from": "2026-05-10", "to": "2026-05-16", "days_used": 6},
        "before": {"from": "2026-03-15", "to": "2026-05-09", "days_used": 56},
        "baseline": {"from": "2025-10-19", "to": "2026-04-18", "days_used": 182},
        "observed": 360.0,
        "expected": 600.0,
        "ratio": 0.6,
        "ratio_interval90": [0.539423, 0.664772],
        "probability": 1.0,
        "evidence": 7.034487,
        "weeks_before": 8,
        "week_levels": [1.0] * 8 + [0.6],
        "median_level": 1.0,
        "dispersion": 0.5,
        "drift_sd": 0.05,
        "smallest_detectable_drop": 0.3,
        "masked_days": ["2026-05-11"],
        "since_estimate": "2026-05-10",
        "lead_days": 42,
        "lead_days_left": 36,
        "thresholds_in_force": {
            "fall": 0.3,
            "evidence": 2.75,
            "evidence_asked": 2.75,
            "clear": 0.85,
        },
    }
