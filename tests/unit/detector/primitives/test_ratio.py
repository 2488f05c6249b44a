import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.alerts import SEVERITIES
from services.detector.primitives import ratio
from services.detector.primitives.day import DayPrimitive, Series
from services.detector.primitives.ratio import Ratio, RatioParams
from tests.unit.detector.primitives.real import seats
from tests.unit.detector.primitives.reference import account
from tests.unit.detector.primitives.reference.ratio import used
from tests.unit.detector.primitives.stories import days, random_seats, series

LOW = RatioParams()
HIGH = RatioParams(side="high", enter=0.9, leave=0.84)


def told(people: list[float], seats: float | list[float], **given: Any) -> Series:
    """Return an account: the people of four weeks day by day, and its seats."""
    found = series(people, **given)
    bought = series(seats if isinstance(seats, list) else [seats] * 210)
    return replace(found, whole=bought, memo={})


def verdict(judged: Series, params: RatioParams = LOW) -> str:
    """Return the first row in a word or two."""
    said = Ratio.judge(judged, params)
    if not said.told[0]:
        assert (said.fires[0], said.clears[0]) == (False, False)
        return "cannot tell"
    if said.fires[0]:
        return f"fires, {SEVERITIES[int(said.severity[0])]}"
    return "clears" if said.clears[0] else "quiet"


STEADY = days((90, 23))

# fmt: off
STORIES = [
    ("23 of 40", told(STEADY, 40), LOW, "fires, medium"),
    ("24 of 40", told(days((90, 24)), 40), LOW, "quiet"),
    ("27 of 40", told(days((90, 27)), 40), LOW, "clears"),
    ("12 of 40", told(days((90, 12)), 40), LOW, "fires, high"),
    ("13 of 40", told(days((90, 13)), 40), LOW, "fires, medium"),
    ("one idle seat", told(days((90, 1)), 2), LOW, "quiet"),
    ("two idle seats of four", told(days((90, 2)), 4), LOW, "fires, info"),
    ("two idle seats of five, one more half the time", told(days((90, 3)), 5), LOW, "quiet"),
    ("a fortnight's mean, not its last day", told(days((83, 40), (7, 10)), 40), LOW, "quiet"),
    ("a fortnight's mean of 23", told(days((76, 40), (14, 23)), 40), LOW, "fires, medium"),
    ("36 of 40", told(days((90, 36)), 40), HIGH, "quiet"),
    ("37 of 40", told(days((90, 37)), 40), HIGH, "fires, low"),
    ("33 of 40", told(days((90, 33)), 40), HIGH, "clears"),
    ("4 of 4", told(days((90, 4)), 4), HIGH, "fires, info"),
    ("59 days old", told(days((59, 10)), 40), LOW, "cannot tell"),
    ("60 days old", told(days((60, 10)), 40), LOW, "fires, high"),
    ("no seats", told(STEADY, 0), LOW, "cannot tell"),
    ("seats known since today", told(STEADY, days((209, 0), (1, 40))), LOW, "fires, medium"),
    ("seats added 29 days ago", told(STEADY, days((180, 30), (30, 40))), LOW, "cannot tell"),
    ("seats added 30 days ago", told(STEADY, days((179, 30), (31, 40))), LOW, "fires, medium"),
    ("seats taken away", told(STEADY, days((200, 90), (10, 40))), LOW, "fires, medium"),
    ("today is masked", told(STEADY, 40, masked=[0]), LOW, "cannot tell"),
    ("a week is masked", told(STEADY, 40, masked=range(1, 8)), LOW, "fires, medium"),
    ("eight days are masked", told(STEADY, 40, masked=range(1, 9)), LOW, "cannot tell"),
    ("28 of 50 are there", told(STEADY, 40, masked=range(10, 32)), LOW, "fires, medium"),
    ("27 of 50 are there", told(STEADY, 40, masked=range(10, 33)), LOW, "cannot tell"),
    ("masked days are not in the mean", told(days((84, 10), (3, 40), (3, 10)), 40,
                                             masked=[3, 4, 5]), LOW, "fires, high"),
    ("without seats at all", series(STEADY), LOW, "cannot tell"),
]
# fmt: on


@pytest.mark.parametrize("story, judged, params, said", STORIES, ids=[s[0] for s in STORIES])
def test_a_story(story: str, judged: Series, params: RatioParams, said: str) -> None:
    assert verdict(judged, params) == said


GIVEN = {f"random {seed}": random_seats(seed) for seed in range(6)} | {"real companies": seats()}


@pytest.mark.parametrize("params", [LOW, HIGH], ids=["low", "high"])
@pytest.mark.parametrize("judged", GIVEN.values(), ids=GIVEN)
def test_every_verdict_agrees_with_the_formula(judged: Series, params: RatioParams) -> None:
    assert judged.whole is not None
    said, found = Ratio.judge(judged, params), ratio._examine(judged, judged.whole, params)
    first = judged.day - judged.counts.shape[1] + 1
    for row in range(len(judged.known)):
        bought = dict(enumerate(judged.whole.counts[row].tolist(), first))
        expected = used(account(judged, row), bought, params.side == "low")
        assert bool(said.told[row]) == (expected is not None)
        if expected is not None:
            assert found.used[row] == pytest.approx(expected.share, abs=1.1e-9)
            assert (said.fires[row], said.clears[row]) == (expected.fires, expected.over)


@pytest.mark.parametrize("params", [LOW, HIGH], ids=["low", "high"])
def test_real_companies_fire_are_over_and_cannot_be_told(params: RatioParams) -> None:
    said = Ratio.judge(seats(), params)
    many = [int(np.count_nonzero(one)) for one in (said.fires, said.clears, ~said.told)]
    assert min(many) >= 10, many


def test_the_evidence_holds_every_number_that_is_said() -> None:
    # DAY is 2026-05-16; the mean of seven times 24 and seven times 22 is 23
    people = days((76, 40), (7, 24), (7, 22))
    said = Ratio.judge(told(people, days((150, 50), (60, 40)), masked=[40]), LOW)
    assert said.because(0) == {
        "window": {"from": "2026-05-03", "to": "2026-05-16", "days_used": 14},
        "people": 23.0,
        "people_now": 22,
        "seats": 40,
        "seats_since": "2026-03-18",
        "ratio": 0.575,
        "idle": 17.0,
        "people_that_fire": 23,
        "masked_days": [],
        "thresholds_in_force": {
            "side": "low",
            "enter": 0.6,
            "leave": 0.66,
            "idle": 2,
            "few": 5,
            "grace_days": 60,
            "added_days": 30,
        },
    }


@pytest.mark.parametrize("params", [LOW, HIGH], ids=["low", "high"])
@given(st.integers(1, 300))
def test_so_many_people_fire_and_one_beyond_does_not(params: RatioParams, seats: int) -> None:
    least = Ratio.judge(told(days((90, 1)), seats), params).because(0)["people_that_fire"]
    said = {n: verdict(told(days((90, n)), seats), params)[:5] for n in range(seats + 2)}
    fires = [n for n, word in said.items() if word == "fires"]
    assert least == ((max if params.side == "low" else min)(fires) if fires else None)


def test_an_account_that_cannot_be_told_has_plain_evidence() -> None:
    for judged in (told([], 0), told(days((20, 3)), 7), told(STEADY, 40, masked=range(20))):
        json.dumps(Ratio.judge(judged, LOW).because(0), allow_nan=False)


@pytest.mark.parametrize(
    "params, bound",
    [
        ({"enter": 0.7}, r"leave \(0.66\) must be not below enter \(0.7\)"),
        ({"side": "high", "enter": 0.9, "leave": 0.95}, "must be not above enter"),
        ({"metric": "@people"}, "Input should be '@seats'"),
        ({"grace_days": 10}, "greater than or equal to 28"),
        ({"added_days": 181}, "less than or equal to 180"),
        ({"share": 1}, "Extra inputs are not permitted"),
    ],
)
def test_a_bad_parameter_is_refused_with_its_bound(params: dict[str, Any], bound: str) -> None:
    with pytest.raises(ValidationError, match=bound):
        RatioParams(**params)


def test_it_is_a_primitive_of_days() -> None:
    primitive: type[DayPrimitive] = Ratio
    assert primitive.name == "ratio"
    assert (primitive.kind(LOW), primitive.kind(HIGH)) == ("seat_utilisation", "seat_expansion")
    assert (primitive.history_days(LOW), primitive.history_days(RatioParams(added_days=100))) == (
        64,
        101,
    )
