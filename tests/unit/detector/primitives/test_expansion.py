import numpy as np
import pytest
from pydantic import ValidationError

from services.detector.primitives.expansion import Expansion, ExpansionParams
from tests.unit.detector.primitives.stories import days, series, word

PARAMS = ExpansionParams(metric="usage")


def verdict(counts: list[float], masked: tuple[int, ...] = (), swing: float = np.nan) -> str:
    """Return the only row in a word."""
    return word(Expansion.judge(series(counts, masked=masked, swing=swing), PARAMS))


# fmt: off
STORIES = [
    ("steady", days((182, 100)) + days((28, 100)), (), "clears"),
    ("half as much again for 28 days", days((182, 100), (28, 150)), (), "low"),
    ("at 1.20, the bound", days((182, 100), (28, 120)), (), "low"),
    ("one step below it", days((182, 100), (28, 119.9)), (), "quiet"),
    ("at 1.10 it is not over", days((182, 100), (28, 110)), (), "quiet"),
    ("one step below 1.10 it is", days((182, 100), (28, 109.9)), (), "clears"),
    # R_28 = 1.39; the older fortnight 1 + .5 * 8 / 14 = 1.286 >= 1 + .7 * .393 = 1.275
    ("for 22 days", days((188, 100), (22, 150)), (), "low"),
    # R_28 = 1.375; the older fortnight 1 + .5 * 7 / 14 = 1.25 < 1 + .7 * .375 = 1.2625
    ("for 21 days", days((189, 100), (21, 150)), (), "quiet"),
    ("a fortnight in the middle", days((190, 100), (14, 250), (6, 100)), (), "quiet"),
    ("over, in the last week", days((182, 100), (21, 180), (7, 105)), (), "quiet"),
    ("a masked last week is not up", days((182, 100), (28, 150)), tuple(range(7)), "quiet"),
    ("13 open days", days((182, 100), (28, 150)), tuple(range(3, 18)), "cannot tell"),
    ("young: 111 known days", days((83, 100), (28, 150)), (), "cannot tell"),
    ("young: 112 known days", days((84, 100), (28, 150)), (), "low"),
    # 14 expected, 21 seen: v = 1/21 + 1/91, ln 1.5 is 1.6 standard deviations
    ("half an event a day grows by half", days((182, 0.5), (28, 0.75)), (), "quiet"),
    ("usage only now", days((182, 0), (28, 5)), (), "cannot tell"),
]
# fmt: on


@pytest.mark.parametrize("story, counts, masked, said", STORIES, ids=[s[0] for s in STORIES])
def test_a_story(story: str, counts: list[float], masked: tuple[int, ...], said: str) -> None:
    assert verdict(counts, masked) == said


def test_strong_weeks_of_the_baseline_count_as_usual() -> None:
    # every eighth week brings double: the mean is 112.5, and 130 is 1.156 of it
    counts = (days((49, 100), (7, 200)) * 4)[:182] + days((28, 130))
    assert verdict(counts) == "quiet"


def test_an_account_that_always_swings_must_rise_further() -> None:
    grown = days((182, 100), (28, 130))
    assert (verdict(grown), verdict(grown, swing=0.04)) == ("low", "quiet")


def test_the_evidence_holds_every_number_that_is_said() -> None:
    # DAY is 2026-05-16; one masked day in the window: 27 days of 150
    judged = series(days((182, 100), (28, 150)), masked=(5,))
    said = Expansion.judge(judged, PARAMS).because(0)
    assert len(said.pop("weekly")) == 8
    assert said.pop("usual_week") == [100.0] * 7
    assert said == {
        "window": {"from": "2026-04-19", "to": "2026-05-16", "days_used": 27},
        "baseline": {"from": "2025-10-19", "to": "2026-04-18", "days_used": 182},
        "observed": 4050.0,
        "expected": 2700.0,
        "ratio": 1.5,
        "ratio_interval90": [1.376393, 1.630545],
        "probability": 1.0,
        "ratio_first_fortnight": 1.5,
        "ratio_last_fortnight": 1.5,
        "ratio_last_week": 1.5,
        "dispersion": 0.5,
        "drift_sd": 0.05,
        # seen were 16.1 %, but the rule asks for 1.2
        "smallest_detectable_rise": 0.2,
        "masked_days": ["2026-05-11"],
        "thresholds_in_force": {
            "ratio": 1.2,
            "probability": 0.998,
            "lasting": 0.7,
            "clear": 1.1,
        },
    }


def test_a_pair_that_fires_and_clears_on_the_same_day_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"clear \(1.2\) must be below ratio \(1.2\)"):
        ExpansionParams(metric="usage", clear=1.2)
