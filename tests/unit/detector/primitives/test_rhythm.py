from dataclasses import replace

import numpy as np
import pytest

from services.detector.primitives import rhythm
from services.detector.primitives.day import Series
from tests.unit.detector.primitives.real import REAL, real
from tests.unit.detector.primitives.reference.account import account
from tests.unit.detector.primitives.reference.silence import days_active, rhythm_limit
from tests.unit.detector.primitives.stories import days, random_series, series

WEEKLY = days((1, 1), (6, 0))


@pytest.mark.parametrize("seed", range(8))
def test_limits_agree_with_the_scalar_formula_on_random_series(seed: int) -> None:
    agree(random_series(seed, accounts=60))


@pytest.mark.parametrize("source", REAL)
def test_limits_agree_with_the_scalar_formula_on_real_series(source: str) -> None:
    agree(real(source))


def agree(given: Series) -> None:
    life = np.arange(len(given.known)) % 40
    found = rhythm.measure(replace(given, active=life, memo={}))
    limits = rhythm.limit(found, 20.0)
    for row in np.flatnonzero(found.seen):
        expected = rhythm_limit(account(given, int(row)), int(life[row]))
        assert limits[row] == pytest.approx(expected, abs=1.1e-9)
    assert [bool(n) for n in found.seen] == [
        bool(days_active(account(given, row))) for row in range(len(given.known))
    ]


def test_weeks_are_those_that_are_known_and_in_sight() -> None:
    half_a_year = rhythm.measure(series(WEEKLY * 30))
    young = rhythm.measure(series(WEEKLY * 3))
    long_silent = rhythm.measure(series(WEEKLY * 10 + days((135, 0))))
    assert [(int(one.busy[0]), int(one.weeks[0])) for one in (half_a_year, young, long_silent)] == [
        (26, 26),
        (3, 3),
        (9, 9),
    ]


def test_a_segment_has_the_lower_median_of_its_known_limits() -> None:
    limits = np.array([30.0, 40, 50, 60, 70, 80, 20, 21, 22, 23, 90])
    known = np.array([True] * 10 + [False])
    segments = ["a"] * 6 + ["b"] * 4 + ["a"]
    assert rhythm.medians(limits, known, segments) == {"a": 50}
    assert rhythm.medians(limits, known, [None] * 11) == {}
