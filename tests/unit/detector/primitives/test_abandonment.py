from dataclasses import replace

import pytest
from pydantic import ValidationError

from services.detector.primitives.abandonment import Abandonment, AbandonmentParams
from services.detector.primitives.day import Series
from tests.unit.detector.primitives.stories import days, series, word

PARAMS = AbandonmentParams()


def beside(feature: list[float], usage: list[float] | None, masked: tuple[int, ...] = ()) -> Series:
    """Return a feature beside the usage of its account."""
    judged = series(feature, masked=masked)
    return judged if usage is None else replace(judged, whole=series(usage, masked=masked))


def verdict(judged: Series) -> str:
    """Return the only row in a word."""
    return word(Abandonment.judge(judged, PARAMS))


STEADY = days((210, 100))

# fmt: off
STORIES = [
    ("used as ever", days((210, 20)), STEADY, "clears"),
    ("given up", days((182, 20), (28, 0)), STEADY, "high"),
    ("at a tenth, the bound of high", days((182, 20), (28, 2)), STEADY, "high"),
    ("at a half, the bound", days((182, 20), (28, 10)), STEADY, "medium"),
    ("one step above it", days((182, 20), (28, 10.1)), STEADY, "quiet"),
    ("at three quarters it is back", days((182, 20), (28, 15)), STEADY, "clears"),
    ("a fortnight without it", days((189, 20), (14, 0), (7, 20)), STEADY, "quiet"),
    ("all usage has halved, too", days((182, 20), (28, 10)), days((182, 100), (28, 50)), "clears"),
    # 5 of 20 is half of what is left to expect of an account at .5
    ("halved beyond the half of all", days((182, 20), (28, 5)), days((182, 100), (28, 50)),
     "medium"),
    ("an account that grows asks no more", days((182, 20), (28, 10.1)), days((182, 100), (28, 300)),
     "quiet"),
    ("an account that stopped", days((182, 20), (28, 0)), days((182, 100), (28, 0)), "quiet"),
    ("no total is known", days((182, 20), (28, 0)), None, "high"),
    ("a total too young to be told", days((182, 20), (28, 0)), days((60, 100)), "high"),
    ("young: 111 known days", days((83, 20), (28, 0)), STEADY, "cannot tell"),
    ("once a fortnight", (days((13, 0), (1, 1)) * 15)[:182] + days((28, 0)), STEADY, "quiet"),
    ("never used", days((210, 0)), STEADY, "cannot tell"),
]
# fmt: on


@pytest.mark.parametrize("story, feature, usage, said", STORIES, ids=[s[0] for s in STORIES])
def test_a_story(story: str, feature: list[float], usage: list[float] | None, said: str) -> None:
    assert verdict(beside(feature, usage)) == said


def test_frozen_days_tell_nothing() -> None:
    gone = beside(days((182, 20), (28, 0)), STEADY, masked=tuple(range(15)))
    assert verdict(gone) == "cannot tell"


def test_the_evidence_holds_every_number_that_is_said() -> None:
    judged = beside(days((182, 20), (28, 4)), days((182, 100), (28, 80)), masked=(5,))
    said = Abandonment.judge(judged, PARAMS).because(0)
    assert len(said.pop("weekly")) == 8
    assert said.pop("usual_week") == [20.0] * 7  # of the feature by itself
    assert said == {
        "window": {"from": "2026-04-19", "to": "2026-05-16", "days_used": 27},
        "baseline": {"from": "2025-10-19", "to": "2026-04-18", "days_used": 182},
        "observed": 108.0,
        "expected": 432.0,
        "expected_alone": 540.0,
        "ratio": 0.25,
        "ratio_alone": 0.2,
        "account_ratio": 0.8,
        "ratio_interval90": [0.216591, 0.286763],
        "probability": 1.0,
        "evidence": 7.034487,
        # (432 - 108)^2 / 432 over 28 days, (224 - 56)^2 / 224 over the best 14
        "lasting": 117.0,
        "dispersion": 0.5,
        "drift_sd": 0.05,
        # seen were 21.9 %, but the rule asks for .5
        "smallest_detectable_drop": 0.5,
        "masked_days": ["2026-05-11"],
        "since_estimate": "2026-04-19",
        "thresholds_in_force": {
            "ratio": 0.5,
            "probability": 0.998,
            "clear": 0.75,
            "evidence_asked": 2.878162,
        },
    }


def test_a_pair_that_fires_and_clears_on_the_same_day_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"clear \(0.5\) must be above ratio \(0.5\)"):
        AbandonmentParams(clear=0.5)
