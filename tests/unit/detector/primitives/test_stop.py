from typing import Any

import pytest
from pydantic import ValidationError

from services.detector.primitives.day import DayPrimitive, Series, Verdicts
from services.detector.primitives.stop import Stop, StopParams
from tests.unit.detector.primitives.reference import Reference, account
from tests.unit.detector.primitives.stories import (
    days,
    random_series,
    series,
    word,
)

PARAMS = StopParams(metric="api_calls")


def judge(judged: Series) -> Verdicts:
    return Stop.judge(judged, PARAMS)


def verdict(judged: Series) -> str:
    """Return the only row in a word."""
    return word(judge(judged))


WEEKDAYS = [*[20.0] * 5, 0.0, 0.0]

# fmt: off
STORIES = [
    ("steady", days((210, 100)), (), "clears"),
    ("seven dead days", days((203, 100), (7, 0)), (), "critical"),
    ("six dead days: 100 of 700", days((204, 100), (6, 0)), (), "quiet"),
    ("70 of 700, the bound", days((203, 100), (7, 10)), (), "critical"),
    ("one step above the bound", days((203, 100), (7, 10.001)), (), "quiet"),
    ("idle weekends are no stop", WEEKDAYS * 30, (), "clears"),
    ("a dead working week", WEEKDAYS * 29 + [0.0] * 7, (), "critical"),
    # 3.5 expected, none seen: P(ratio < .5) is .93
    ("half an event a day", days((203, 0.5), (7, 0)), (), "quiet"),
    ("masked days are passed over", days((200, 100), (10, 0)), (1, 2, 3), "critical"),
    ("and do not count as dead", days((201, 100), (9, 0)), (1, 2, 3), "quiet"),
    ("a masked day says nothing", days((200, 100), (10, 0)), (0,), "cannot tell"),
    ("seven of 28 days unmasked", days((182, 100), (28, 0)), range(7, 28), "critical"),
    ("six of 28 days unmasked", days((182, 100), (28, 0)), range(6, 28), "cannot tell"),
    ("young: 111 known days", days((104, 100), (7, 0)), (), "cannot tell"),
    ("young: 112 known days", days((105, 100), (7, 0)), (), "critical"),
    ("no usage, ever", days((210, 0)), (), "cannot tell"),
    ("at .92 of 28 days, the bound", days((182, 100), (28, 92)), (), "clears"),
    ("one step below it", days((182, 100), (28, 91.999)), (), "quiet"),
    ("back, but most of the month masked", days((210, 100)), range(7, 22), "quiet"),
    ("back, and half of it open", days((210, 100)), range(7, 21), "clears"),
]
# fmt: on


@pytest.mark.parametrize("story, counts, masked, said", STORIES, ids=[s[0] for s in STORIES])
def test_a_story(story: str, counts: list[float], masked: tuple[int, ...], said: str) -> None:
    assert verdict(series(counts, masked=masked)) == said


@pytest.mark.parametrize("seed", range(8))
def test_verdicts_agree_with_the_scalar_formulas(seed: int) -> None:
    judged = random_series(seed, accounts=60)
    said = judge(judged)
    fires, told = [], []
    for row in range(60):
        old = judged.known[row] >= 112
        reference = Reference(account(judged, row)) if old else None
        told.append(reference is not None and reference.stop_told())
        fires.append(reference is not None and reference.stop())
    assert (said.fires.tolist(), said.told.tolist()) == (fires, told)


def test_the_evidence_holds_every_number_that_is_said() -> None:
    # DAY is 2026-05-16; the 15th is masked, so seven days reach back to the 9th
    said = judge(series(days((202, 100), (8, 0)), masked=(1,))).because(0)
    assert len(said.pop("weekly")) == 8
    assert said.pop("usual_week") == [100.0] * 7
    assert said == {
        "window": {"from": "2026-05-09", "to": "2026-05-16", "days_used": 7},
        "baseline": {"from": "2025-10-19", "to": "2026-04-18", "days_used": 182},
        "observed": 0.0,
        "expected": 700.0,
        "ratio": 0.0,
        "ratio_28": 0.740741,  # 2000 of 2700
        "ratio_interval90": [0.000003, 0.002744],
        "probability": 1.0,
        "dispersion": 1.0,
        "drift_sd": 0.05,
        "smallest_detectable_drop": 0.9,  # that is what the rule asks for
        "masked_days": ["2026-05-15"],
        "since_estimate": "2026-05-09",
        "thresholds_in_force": {"ratio": 0.1, "probability": 0.999, "clear": 0.92},
    }


@pytest.mark.parametrize(
    "params, bound",
    [
        ({"ratio": 0.5}, "less than 0.5"),
        ({"ratio": -0.1}, "greater than or equal to 0"),
        ({"probability": 1.0}, "less than 1"),
        ({"probability": 0.4}, "greater than or equal to 0.5"),
        ({"clear": 0.4}, "greater than or equal to 0.5"),
        ({"days": 9}, "Extra inputs are not permitted"),
    ],
)
def test_a_bad_parameter_is_refused_with_its_bound(params: dict[str, Any], bound: str) -> None:
    with pytest.raises(ValidationError, match=bound):
        StopParams(metric="api_calls", **params)


def test_it_is_a_primitive_of_days() -> None:
    primitive: type[DayPrimitive] = Stop
    assert (primitive.name, primitive.kind(PARAMS), primitive.history_days(PARAMS)) == (
        "stop",
        "usage_drop",
        210,
    )
    assert primitive.Params.model_validate({"metric": "@meaningful"}) == StopParams(
        metric="@meaningful"
    )
