"""An account gets the same bits in any batch, layout and width, whatever judges it."""

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.detector.primitives import DAY
from services.detector.primitives.arrays import pick
from services.detector.primitives.day import DayPrimitive, Series, Verdicts
from services.detector.primitives.drop import Drop
from services.detector.primitives.silence import Silence
from services.detector.primitives.stop import Stop
from tests.unit.detector.primitives.stories import (
    days,
    everything,
    random_features,
    random_seats,
    series,
    sparse_series,
)

USAGE = {"metric": "usage"}
PARAMS = {
    one: one.Params.model_validate(USAGE if one.Params.model_fields["metric"].is_required() else {})
    for one in DAY
}
GIVEN: dict[str, Callable[[int, int], Series]] = {"spike": sparse_series, "ratio": random_seats}
"""What some primitives are given in place of features."""
UNTOLD = {
    "silence": ([], days((206, 0)), days((30, 0), (4, 1), (60, 0))),
    "spike": ([], days((62, 1))),
}
"""Accounts that cannot be told by some primitives; by the others the ones below."""
NEW_OR_UNUSUAL: tuple[list[float], ...] = (
    days((20, 5)),
    days((210, 0)),
    [],
    days((182, 0), (28, 5)),
)
OTHERS = [one for one in DAY if one not in (Drop, Stop, Silence)]
"""`silence` has parameters that change all of it: its own test plays them."""

primitives = pytest.mark.parametrize("primitive", DAY, ids=lambda one: one.name)


def judge(primitive: type[DayPrimitive], judged: Series) -> Verdicts:
    return primitive.judge(judged, PARAMS[primitive])


def accounts(primitive: type[DayPrimitive], seed: int, size: int) -> Series:
    """Return random accounts such as a primitive is given."""
    return GIVEN.get(primitive.name, random_features)(seed, size)


@pytest.mark.parametrize("primitive", [Drop, Stop], ids=lambda one: one.name)
@given(st.integers(0, 2**32 - 2), st.integers(1, 23), st.randoms(use_true_random=False))
def test_an_account_gets_the_same_bits_in_any_batch(
    primitive: type[DayPrimitive], seed: int, size: int, chance: Any
) -> None:
    check_batches(primitive, seed, size, chance)


@pytest.mark.parametrize("primitive", OTHERS, ids=lambda one: one.name)
@settings(max_examples=20)
@given(st.integers(0, 2**32 - 2), st.integers(1, 11), st.randoms(use_true_random=False))
def test_and_so_by_primitives_that_take_longer(
    primitive: type[DayPrimitive], seed: int, size: int, chance: Any
) -> None:
    check_batches(primitive, seed, size, chance)


def check_batches(primitive: type[DayPrimitive], seed: int, size: int, chance: Random) -> None:
    """Judge random accounts together, each alone, and in another order."""
    judged, order = accounts(primitive, seed, size), chance.sample(range(size), size)
    batch = everything(judge(primitive, judged))
    shuffled = everything(judge(primitive, pick(judged, np.array(order))))
    one_by_one = (pick(judged, np.array([row])) for row in range(size))
    alone = [everything(judge(primitive, one))[0] for one in one_by_one]
    assert (alone, shuffled) == (batch, [batch[row] for row in order])


@primitives
def test_neither_more_columns_nor_another_layout_change_a_bit(
    primitive: type[DayPrimitive],
) -> None:
    judged = accounts(primitive, 5, 30)
    assert everything(judge(primitive, widened(judged))) == everything(judge(primitive, judged))


def widened(judged: Series) -> Series:
    """Return the same accounts with older columns, and in another memory layout."""
    older = np.zeros((len(judged.known), 90))
    return replace(
        judged,
        counts=np.asfortranarray(np.hstack([older, judged.counts])),
        masked=np.hstack([older > 0, judged.masked]),
        whole=judged.whole and wider(judged.whole),
        memo={},
    )


def wider(whole: Series) -> Series:
    """Return what the rows are parts of with older columns, in which it was the same."""
    more = ((0, 0), (90, 0))
    counts = np.asfortranarray(np.pad(whole.counts, more, mode="edge"))
    return replace(whole, counts=counts, masked=np.pad(whole.masked, more), memo={})


@pytest.mark.parametrize("primitive", [Drop, Stop, *OTHERS], ids=lambda one: one.name)
def test_columns_before_the_first_known_day_may_be_missing(primitive: type[DayPrimitive]) -> None:
    young, usage = days((100, 50), (28, 20)), days((60, 70), (68, 60))
    narrow, wide = (
        replace(series(young, width=width), whole=series(usage, width=width), memo={})
        for width in (128, 210)
    )
    assert judge(primitive, wide).told.tolist() == [True]
    assert everything(judge(primitive, narrow)) == everything(judge(primitive, wide))


@primitives
def test_even_an_account_that_cannot_be_told_has_plain_evidence(
    primitive: type[DayPrimitive],
) -> None:
    for counts in UNTOLD.get(primitive.name, NEW_OR_UNUSUAL):
        said = judge(primitive, series(counts))
        assert not (said.told | said.fires | said.clears).any()
        json.dumps(said.because(0), allow_nan=False)


@primitives
def test_an_empty_batch_is_judged(primitive: type[DayPrimitive]) -> None:
    assert judge(primitive, replace(series(), whole=series(), memo={})).told.tolist() == []
