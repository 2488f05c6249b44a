from math import exp, sqrt
from typing import Any

import numpy as np
import pytest

from services.detector.primitives.abandonment import Abandonment
from services.detector.primitives.day import DayPrimitive
from services.detector.primitives.drop import Drop
from services.detector.primitives.expansion import Expansion
from services.detector.primitives.fastdrop import FastDrop
from services.detector.primitives.record import habits, interval90
from services.detector.primitives.slowdrift import SlowDrift
from services.detector.primitives.stop import Stop
from tests.unit.detector.primitives.stories import days, series

USAGE = {"metric": "usage"}
STANDARD = sqrt(0.5 / 7.25 + 0.5 / 45.75 + 0.0025)
"""Of an account with an event in four days: phi .5, 7 in 28 days, 45.5 before, tau .05."""
SEEN, RISE_SEEN = 1 - exp(-2.9 * STANDARD), exp(2.9 * STANDARD) - 1


@pytest.mark.parametrize(
    "a, b, odds, ends",
    [
        # 8 of 8 expected, of a baseline of 800: quantiles of scipy.stats.betaprime, over the odds
        (8.5, 800.5, 0.01, [0.54058, 1.729895]),
        # next to nothing was counted in the baseline: any ratio above the lower end may be
        (20.5, 1e-9, 0.01, [None, None]),
        # nothing is usual: there is no ratio
        (0.5, 0.501, 0.0, [None, None]),
    ],
)
def test_an_interval_has_an_end_only_where_there_is_a_number_to_tell(
    a: float, b: float, odds: float, ends: list[float | None]
) -> None:
    assert interval90(*(np.array([one]) for one in (a, b, odds))) == ends


@pytest.mark.parametrize(
    "primitive, params, asked, quiet",
    [
        (Drop, USAGE, 0.15, SEEN),
        (Drop, USAGE | {"ratio": 0.3, "clear": 0.5}, 0.7, 0.7),
        (Stop, USAGE, 0.9, 0.9),
        (Stop, USAGE | {"ratio": 0.2}, 0.8, 0.8),
        (Abandonment, {}, 0.5, SEEN),
        (Abandonment, {"ratio": 0.3}, 0.7, 0.7),
        (Expansion, USAGE, 0.2, RISE_SEEN),
        (Expansion, USAGE | {"ratio": 3.0}, 2.0, 2.0),
        (FastDrop, USAGE | {"fall": 0.9}, 0.9, 0.9),
        (SlowDrift, USAGE | {"fall": 0.9}, 0.9, 0.9),
    ],
)
def test_the_smallest_change_told_is_what_can_be_seen_but_no_less_than_the_rule_asks_for(
    primitive: type[DayPrimitive], params: dict[str, Any], asked: float, quiet: float
) -> None:
    judged = series(days((210, 100_000)), days((210, 0.25)))
    said = primitive.judge(judged, primitive.Params.model_validate(params))
    found = [
        value
        for row in range(2)
        for name, value in said.because(row).items()
        if name in ("smallest_detectable_drop", "smallest_detectable_rise")
    ]
    assert found == pytest.approx([asked, quiet], abs=1e-6)


def test_habits_are_the_usual_week_the_dispersion_and_the_drift_in_thousandths() -> None:
    # DAY is a Saturday; 2 on Sundays, else 7.5. A steady series: phi at its floor, tau at its prior
    week = [2.0, *[7.5] * 6]
    steady = series(days(*[(1, week[k % 7]) for k in range(210)]))
    assert habits(steady).tolist() == [[*[7500] * 6, 2000, 500, 50]]
    young, silent = series(days((111, 9))), series(days((210, 0)))
    assert [habits(one).tolist() for one in (young, silent)] == [[[0] * 9]] * 2


def test_habits_have_three_digits() -> None:
    week = [0.123456, 1.2345, 12.345, 123.45, 1234.5, 12355.0, 999_500.0]
    counts = days(*[(1, week[k % 7]) for k in range(210)])
    assert sorted(habits(series(counts)).tolist()[0][:7]) == [
        # in thousandths
        *(123, 1230, 12_300, 123_000, 1_230_000, 12_400_000, 1_000_000_000)
    ]
