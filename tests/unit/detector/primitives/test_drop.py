import math
from typing import Any

import pytest
from pydantic import ValidationError

from services.detector.primitives.day import DayPrimitive, Series, Verdicts
from services.detector.primitives.drop import Drop, DropParams, watched
from tests.unit.detector.primitives.reference import Reference, account
from tests.unit.detector.primitives.stories import (
    days,
    random_series,
    series,
    word,
)

PARAMS = DropParams(metric="api_calls")


def judge(judged: Series) -> Verdicts:
    return Drop.judge(judged, PARAMS)


def verdict(judged: Series) -> str:
    """Return the only row in a word."""
    return word(judge(judged))


# fmt: off
STORIES = [
    ("steady", days((210, 100)), (), "clears"),
    ("fell to .60", days((182, 100), (28, 60)), (), "high"),
    ("fell to .50", days((182, 100), (28, 50)), (), "critical"),
    ("fell to .85, the bound", days((182, 100), (28, 85)), (), "medium"),
    ("one step above the bound", days((182, 100), (28, 85.001)), (), "quiet"),
    # the fallen month is part of the baseline now: 92 of 93.8
    ("recovered to .92 after a month", days((154, 100), (28, 60), (28, 92)), (), "clears"),
    ("back at the old level", days((154, 100), (28, 60), (28, 100)), (), "clears"),
    ("at .92, the bound", days((182, 100), (28, 92)), (), "clears"),
    ("one step below it", days((182, 100), (28, 91.999)), (), "quiet"),
    ("21 days at .40: R_21 = .40, R_28 = .55", days((189, 100), (21, 40)), (), "high"),
    # 14 days of 40 give R_28 = .70, but a dip of a fortnight explains them as well
    ("a fortnight dip, still on", days((196, 100), (14, 40)), (), "quiet"),
    ("a fortnight dip, a week ago", days((189, 100), (14, 40), (7, 100)), (), "quiet"),
    ("one dead week", days((189, 100), (7, 100), (7, 0), (7, 100)), (), "quiet"),
    # R_21 = .60, and the last week has half that depth; with 81 it needs <= .8017
    ("last week at .80, half as deep", days((182, 100), (21, 50), (7, 80)), (), "high"),
    ("last week at .81, on the way up", days((182, 100), (21, 50), (7, 81)), (), "quiet"),
    # without the worst week (0) three at 90 remain: .90 > 1 - .7 * (1 - .675)
    ("one dead week in a soft month", days((182, 100), (7, 90), (7, 0), (14, 90)), (), "quiet"),
    # without the worst week three at 72 remain: .72 = 1 - .7 * (1 - .60); with 72.1 it needs .72052
    ("a bad week, and the others 70 % as deep", days((182, 100), (7, 72), (7, 24), (14, 72)), (),
     "high"),
    ("one step less deep", days((182, 100), (7, 72.1), (7, 24), (14, 72.1)), (), "quiet"),
    ("the last week masked", days((182, 100), (28, 50)), range(7), "quiet"),
    ("young: 111 known days", days((83, 100), (28, 40)), (), "cannot tell"),
    ("young: 112 known days", days((84, 100), (28, 40)), (), "critical"),
    ("no usage, ever", days((210, 0)), (), "cannot tell"),
    ("usage only now", days((182, 0), (28, 5)), (), "cannot tell"),
    ("a deep Christmas, masked", days((189, 100), (14, 5), (7, 100)), range(7, 21), "clears"),
    ("the same with one more day", days((188, 100), (15, 5), (7, 100)), range(7, 22),
     "cannot tell"),
    ("fell behind Christmas", days((182, 100), (7, 50), (14, 5), (7, 50)), range(7, 21),
     "critical"),
    ("27 open baseline days", days((182, 100), (28, 40)), range(55, 210), "cannot tell"),
    ("28 open baseline days", days((182, 100), (28, 40)), range(56, 210), "critical"),
    # 14 expected, 10.5 seen: v = .05, ln .75 is 1.3 standard deviations
    ("half an event a day, fell to .75", days((182, 0.5), (28, 0.375)), (), "quiet"),
]
# fmt: on


@pytest.mark.parametrize("story, counts, masked, said", STORIES, ids=[s[0] for s in STORIES])
def test_a_story(story: str, counts: list[float], masked: tuple[int, ...], said: str) -> None:
    assert verdict(series(counts, masked=masked)) == said


def test_an_account_that_always_swings_must_fall_further() -> None:
    fallen = days((182, 100), (28, 70))
    assert verdict(series(fallen, swing=0.0)) == "high"
    # tau^2 = (.015 + 34 * .04 / 4) / 14.5 = .0245: ln .70 is 2.3 of its standard deviations
    assert verdict(series(fallen, swing=0.04)) == "quiet"


@pytest.mark.parametrize(
    "before, after, swing, said",
    [
        # phi = .5, and half is left for 28 days: G = (E - O)^2 / E = E / 4 over 28 days, half of it
        # over the best fortnight, so Lambda = 28 * before / 8; the window has 2.8 to 3.1 by then
        (0.66, 0.33, math.nan, "quiet"),  # 2.31
        (0.67, 0.335, math.nan, "watch"),  # 2.345
        (0.78, 0.39, math.nan, "watch"),  # 2.73
        (0.79, 0.395, math.nan, "told"),  # 2.765
        # the window alone: tau^2 = .0245 as above, and next to no noise
        (100, 71, 0.04, "quiet"),  # 2.32
        (100, 70, 0.04, "watch"),  # 2.42
        (100, 67, 0.04, "watch"),  # 2.73
        (100, 66, 0.04, "told"),  # 2.83
        (100, 100, 0.04, "quiet"),
        (100, 86, math.nan, "quiet"),  # sure, and above the line
    ],
)
def test_the_watch_level_lies_just_under_what_is_told(
    before: float, after: float, swing: float, said: str
) -> None:
    fallen = series(days((182, before), (28, after)), swing=swing)
    told, watch = bool(judge(fallen).fires[0]), bool(watched(fallen)[0])
    assert (told, watch) == (said == "told", said == "watch")


@pytest.mark.parametrize("seed", range(4))
def test_the_watch_level_agrees_with_the_scalar_formulas(seed: int) -> None:
    judged = random_series(seed, accounts=60)
    expected = []
    for row in range(60):
        reference = Reference(account(judged, row)) if judged.known[row] >= 112 else None
        expected.append(
            reference is not None and reference.drop(0.85, 2.33) and not reference.drop(0.85, 2.75)
        )
    assert watched(judged).tolist() == expected


def test_weekends_are_compared_with_weekends() -> None:
    week = [10.0, *[100.0] * 5, 10.0]
    assert verdict(series(week * 30)) == "clears"
    assert verdict(series(week * 26 + [each * 0.6 for each in week] * 4)) == "high"


@pytest.mark.parametrize("seed", range(8))
def test_verdicts_agree_with_the_scalar_formulas(seed: int) -> None:
    judged = random_series(seed, accounts=60)
    said = judge(judged)
    fires, told = [], []
    for row in range(60):
        old = judged.known[row] >= 112
        reference = Reference(account(judged, row)) if old else None
        told.append(reference is not None and reference.told())
        fires.append(reference is not None and reference.drop(0.85, 2.75))
    assert (said.fires.tolist(), said.told.tolist()) == (fires, told)


def test_the_evidence_holds_every_number_that_is_said() -> None:
    # DAY is 2026-05-16; two masked days, one of them in the window; 26 days of 60
    fallen = series(days((182, 100), (28, 60)), masked=(5, 30))
    said = judge(fallen).because(0)
    weekly = said.pop("weekly")
    assert weekly[:4] == [{"observed": 700.0, "expected": 700.0}] * 3 + [
        {"observed": 600.0, "expected": 600.0}  # lag 30
    ]
    assert weekly[4:] == [{"observed": 420.0, "expected": 700.0}] * 3 + [
        {"observed": 360.0, "expected": 600.0}  # lag 5
    ]
    assert said.pop("usual_week") == [100.0] * 7
    assert said == {
        "window": {"from": "2026-04-19", "to": "2026-05-16", "days_used": 27},
        "baseline": {"from": "2025-10-19", "to": "2026-04-18", "days_used": 181},
        "observed": 1620.0,
        "expected": 2700.0,
        "ratio": 0.6,
        "ratio_28": 0.6,
        "ratio_interval90": [0.548708, 0.653835],
        "probability": 1.0,
        "evidence": 7.034487,  # P is held below 1 - 1e-12
        "lasting": 208.0,  # 1080^2 / 2700 over 28 days, 560^2 / 1400 over the best 14
        "dispersion": 0.5,
        "drift_sd": 0.05,
        # seen were 14.3 %, but the rule asks for .85
        "smallest_detectable_drop": 0.15,
        "masked_days": ["2026-05-11"],
        "since_estimate": "2026-04-19",
        "thresholds_in_force": {
            "ratio": 0.85,
            "evidence": 2.75,
            "evidence_asked": 2.75,
            "clear": 0.92,
        },
    }


def test_the_evidence_of_a_hit_of_21_days_alone_names_that_window() -> None:
    # 21 days at .846; with a first week as good as ever R_28 = .8845 is above the line
    said = judge(series(days((189, 1000), (21, 846))))
    assert said.fires.tolist() == [True]
    assert said.because(0)["window"]["from"] == "2026-04-26"


@pytest.mark.parametrize(
    "params, bound",
    [
        ({"ratio": 1.0}, "less than 1"),
        ({"ratio": 0.0}, "greater than 0"),
        ({"evidence": 0.0}, "greater than 0"),
        ({"evidence": 11.0}, "less than or equal to 10"),
        ({"clear": 1.1}, "less than or equal to 1"),
        ({"clear": 0.85}, r"clear \(0.85\) must be above ratio \(0.85\)"),
        ({"windows": 3}, "Extra inputs are not permitted"),
    ],
)
def test_a_bad_parameter_is_refused_with_its_bound(params: dict[str, Any], bound: str) -> None:
    with pytest.raises(ValidationError, match=bound):
        DropParams(metric="api_calls", **params)


def test_it_is_a_primitive_of_days() -> None:
    primitive: type[DayPrimitive] = Drop
    assert (primitive.name, primitive.kind(PARAMS), primitive.history_days(PARAMS)) == (
        "drop",
        "usage_drop",
        210,
    )
    assert primitive.Params.model_validate({"metric": "@meaningful"}) == DropParams(
        metric="@meaningful"
    )


def test_the_usual_week_begins_with_monday() -> None:
    # DAY is 2026-05-16, a Saturday, and thirty whole weeks end with it: the first is a Sunday.
    from_sunday = [7.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    history = days(*[(1, from_sunday[k % 7]) for k in range(210)])
    usual = judge(series(history)).because(0)["usual_week"]
    assert usual == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
