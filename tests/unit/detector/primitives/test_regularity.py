"""How many features are used, and which of them count, beside the scalar definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector.primitives.breadth import Breadth, BreadthParams
from services.detector.primitives.regularity import READ_DAYS, distinct, use
from tests.unit.detector.primitives.reference.features import counts, window

DAYS = 232


def masks(lags: list[int]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    masked = np.zeros(DAYS, dtype=np.bool_)
    masked[[DAYS - 1 - lag for lag in lags]] = True
    return masked


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, DAYS - 1), max_size=60),
    st.integers(0, 40),
    st.integers(60, DAYS),
)
def test_they_are_those_of_the_definition(
    seed: int, lags: list[int], closed: int, known: int
) -> None:
    rng, masked = np.random.default_rng(seed), masks([*lags, *range(20, 20 + closed)])
    used = rng.random((7, DAYS)) < rng.choice([0.02, 0.05, 0.1, 0.14, 0.2, 0.7], (7, 1))
    used[:, : DAYS - known] = False
    away: set[int] = set(np.flatnonzero(masked).tolist())
    told: list[set[int]] = [set(np.flatnonzero(one).tolist()) for one in used]
    counted = [counts(days, DAYS - 1, away, known) for days in told]
    assert use(used, masked, known).counted.tolist() == counted
    expected = [
        sum(
            not days.isdisjoint(window(end, away))
            for days, one in zip(told, counted, strict=True)
            if one
        )
        for end in range(DAYS)
    ]
    assert distinct(used, masked, known).tolist() == expected


@pytest.mark.parametrize("gap, counted", [(1, True), (7, True), (10, True), (14, False)])
def test_what_is_used_every_so_many_days_counts_if_that_is_in_two_of_three_weeks(
    gap: int, counted: bool
) -> None:
    used = np.zeros((1, DAYS), dtype=np.bool_)
    used[0, ::-gap] = True
    assert use(used, masks([]), DAYS).counted.tolist() == [counted]


def test_weeks_of_which_the_last_twelve_are_left_out_are_told() -> None:
    used = np.ones((1, DAYS), dtype=np.bool_)
    used[0, -84:] = False
    found = use(used, masks([]), DAYS)
    # 204 days are read, the 84 last ones left out
    assert (found.weeks.tolist(), found.of, found.counted.tolist()) == ([17], 17, [True])


def test_what_is_lost_counts_until_the_alert_about_it_must_have_ended() -> None:
    used = np.ones((1, DAYS), dtype=np.bool_)
    used[0, -124:] = False
    # raised after 41 days, the new normal after 84 more
    assert use(used, masks([]), DAYS).counted.tolist() == [True]


def test_the_days_read_are_those_of_the_shipped_rule() -> None:
    assert Breadth.history_days(BreadthParams()) == READ_DAYS
