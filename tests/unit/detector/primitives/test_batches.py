"""An account gets the same bits in any batch, layout and width: for the primitives of one batch."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.detector.primitives.abandonment import Abandonment
from services.detector.primitives.arrays import pick
from services.detector.primitives.breadth import Breadth
from services.detector.primitives.day import DayPrimitive, Series, Verdicts
from services.detector.primitives.expansion import Expansion
from services.detector.primitives.fastdrop import FastDrop
from services.detector.primitives.slowdrift import SlowDrift
from tests.unit.detector.primitives.stories import days, random_series, series

PARAMS: dict[type[DayPrimitive], Any] = {
    Abandonment: Abandonment.Params(),
    Breadth: Breadth.Params(),
    Expansion: Expansion.Params.model_validate({"metric": "usage"}),
    FastDrop: FastDrop.Params.model_validate({"metric": "usage"}),
    SlowDrift: SlowDrift.Params.model_validate({"metric": "usage"}),
}
primitives = pytest.mark.parametrize("primitive", PARAMS, ids=lambda one: one.name)


def whole(said: Verdicts) -> list[Any]:
    """Return everything that is said of every row."""
    columns = said.fires, said.clears, said.told, np.where(said.fires, said.severity, 0)
    evidence = [json.dumps(said.because(i), allow_nan=False) for i in range(len(said.told))]
    rows = np.stack(columns, axis=1).tolist()
    return [[*row, because] for row, because in zip(rows, evidence, strict=True)]


def told(seed: int, accounts: int) -> Series:
    """Return random features beside the usage of their accounts."""
    return replace(random_series(seed, accounts), whole=random_series(seed + 1, accounts), memo={})


@primitives
@settings(max_examples=20)
@given(st.integers(0, 2**32 - 2), st.integers(1, 11), st.randoms(use_true_random=False))
def test_an_account_gets_the_same_bits_in_any_batch(
    primitive: type[DayPrimitive], seed: int, size: int, chance: Any
) -> None:
    params, judged = PARAMS[primitive], told(seed, size)
    order = chance.sample(range(size), size)
    batch = whole(primitive.judge(judged, params))
    shuffled = whole(primitive.judge(pick(judged, np.array(order)), params))
    alone = [whole(primitive.judge(pick(judged, np.array([i])), params))[0] for i in range(size)]
    assert (alone, shuffled) == (batch, [batch[i] for i in order])


@primitives
def test_neither_more_columns_nor_another_layout_change_a_bit(
    primitive: type[DayPrimitive],
) -> None:
    judged = told(5, 30)
    older = np.zeros((30, 90))
    wide = replace(
        judged,
        counts=np.asfortranarray(np.hstack([older, judged.counts])),
        masked=np.hstack([older > 0, judged.masked]),
        memo={},
    )
    params = PARAMS[primitive]
    assert whole(primitive.judge(wide, params)) == whole(primitive.judge(judged, params))


@primitives
def test_columns_before_the_first_known_day_may_be_missing(primitive: type[DayPrimitive]) -> None:
    young, params = days((100, 50), (28, 20)), PARAMS[primitive]
    narrow, wide = series(young, width=128), series(young)
    assert whole(primitive.judge(narrow, params)) == whole(primitive.judge(wide, params))


@primitives
def test_even_an_account_that_cannot_be_told_has_plain_evidence(
    primitive: type[DayPrimitive],
) -> None:
    for counts in (days((20, 5)), days((210, 0)), [], days((182, 0), (28, 5))):
        said = primitive.judge(series(counts), PARAMS[primitive])
        assert not (said.told | said.fires | said.clears).any()
        json.dumps(said.because(0), allow_nan=False)


@primitives
def test_an_empty_batch_is_judged(primitive: type[DayPrimitive]) -> None:
    assert primitive.judge(series(), PARAMS[primitive]).told.tolist() == []
