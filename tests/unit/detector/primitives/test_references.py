"""Every statistic beside the scalar formulas, to 1e-9, on random and on real series."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from services.detector.primitives import (
    abandonment,
    baseline,
    breadth,
    drop,
    expansion,
    fall,
    fastdrop,
    record,
    slowdrift,
    stop,
)
from services.detector.primitives.baseline import LAG
from services.detector.primitives.day import DayPrimitive, Series
from services.detector.primitives.silence import Silence, SilenceParams
from tests.unit.detector.primitives.real import REAL, real
from tests.unit.detector.primitives.reference import Reference, account
from tests.unit.detector.primitives.reference.features import breadth as breadth_of
from tests.unit.detector.primitives.reference.features import given_up
from tests.unit.detector.primitives.reference.growth import growth
from tests.unit.detector.primitives.reference.pace import fast, slow
from tests.unit.detector.primitives.reference.silence import silence
from tests.unit.detector.primitives.stories import random_series


def families(seed: int) -> Series:
    """Return random series, some of which grow."""
    given = random_series(seed, accounts=60)
    grown = np.array(given.counts)
    grown[::3, -40:] *= 1 + seed % 3
    return replace(given, counts=grown, memo={})


SERIES: dict[str, Callable[[], Series]] = {
    **{f"random {seed}": (lambda seed=seed: families(seed)) for seed in range(6)},  # type: ignore[misc]
    **{source: (lambda source=source: real(source)) for source in REAL},  # type: ignore[misc]
}
all_series = pytest.mark.parametrize("given", [one() for one in SERIES.values()], ids=SERIES)


def agree(found: Any, expected: float, what: str) -> None:
    """Check a statistic to 1e-9, relative where it is large."""
    if math.isnan(expected):
        assert np.isnan(found), what
    else:
        assert found == pytest.approx(expected, abs=1.1e-9, rel=1e-9), what


def old_rows(given: Series) -> tuple[list[int], Series]:
    rows, old = baseline.learned(given)
    return rows.tolist(), old


@all_series
def test_drop_and_stop_agree_with_the_formulas(given: Series) -> None:
    rows, old = old_rows(given)
    params = drop.DropParams(metric="usage")
    found, stopped = drop._examine(old, params), stop._examine(old, stop.StopParams(metric="usage"))
    noise = baseline.detectable(found.base, found.drift)
    for place, row in enumerate(rows):
        one = Reference(account(given, row))
        agree(found.base.dispersion[place], one.phi, "phi")
        agree(found.base.cap[place], one.cap, "cap")
        agree(found.drift[place], one.tau2, "tau2")
        assert bool(found.told[place]) == one.told()
        if not one.told():
            continue
        assert found.ratio_28 is not None
        agree(found.ratio_28[place], one.ratio(28), "R_28")
        agree(found.lead[place], one.lead(), "Lambda")
        for days in drop.WINDOWS:
            a, b, odds = (part[place] for part in fall.posterior(found.base, found.drift, days))
            agree(fall.below(1.0, a, b, odds), one.probability(days), f"P_{days}")
        o, b, phi = one.observed(28), one.cap * one.bsum, one.phi
        v = phi / (o + phi / 2) + phi / (b + phi / 2)
        agree(noise[place], 1 - math.exp(-2.9 * math.sqrt(v + one.tau2)), "smallest drop")
        assert bool(found.fires[place]) == one.drop(0.85, 2.75)
        assert bool(stopped.told[place]) == one.stop_told()
        assert bool(stopped.fires[place]) == one.stop()


@all_series
def test_expansion_agrees_with_the_formulas(given: Series) -> None:
    rows, old = old_rows(given)
    found = expansion._examine(old, expansion.ExpansionParams(metric="usage"))
    for place, row in enumerate(rows):
        one = growth(account(given, row))
        assert bool(found.told[place]) == (one is not None)
        if one is None:
            continue
        agree(found.ratio[place], one.ratio, "R_28")
        posterior = (part[[place]] for part in fall.posterior(found.base, found.drift, LAG))
        agree(expansion._probability(*posterior)[0], one.probability, "P")
        assert bool(found.fires[place]) == one.fires


@all_series
def test_fastdrop_agrees_with_the_formulas(given: Series) -> None:
    rows, old = old_rows(given)
    found = fastdrop._examine(old, fastdrop.FastDropParams(metric="usage"))
    for place, row in enumerate(rows):
        one = fast(account(given, row))
        assert bool(found.told[place]) == (one is not None)
        if one is None:
            continue
        agree(found.ratio[place], one.ratio, "R")
        probability = fall.below(1.0, *(part[[place]] for part in found.posterior))
        agree(fall.evidence(probability)[0], one.evidence, "evidence")
        assert bool(found.fires[place]) == one.fires


@all_series
def test_slowdrift_agrees_with_the_formulas(given: Series) -> None:
    rows, old = old_rows(given)
    found = slowdrift._examine(old, slowdrift.SlowDriftParams(metric="usage"))
    for place, row in enumerate(rows):
        one = slow(account(given, row))
        assert bool(found.told[place]) == (one is not None)
        if one is None:
            continue
        agree(found.slope[place], one.slope, "slope")
        agree(found.fall[place], one.fall, "fall")
        agree(found.sunk[place], one.sunk, "sunk")
        agree(found.spread[place], one.spread, "spread")
        assert bool(found.fires[place]) == one.fires


@all_series
def test_abandonment_agrees_with_the_formulas(given: Series) -> None:
    order = np.random.default_rng(3).permutation(len(given.known))
    whole = replace(
        given,
        counts=given.counts[order],
        masked=given.masked[order],
        known=given.known[order],
        memo={},
    )
    features = replace(given, whole=whole, memo={})
    rows, old = old_rows(features)
    found = abandonment._examine(old, abandonment.AbandonmentParams())
    for place, row in enumerate(rows):
        one = given_up(account(features, row), account(whole, row))
        assert bool(found.told[place]) == (one is not None)
        if one is None:
            continue
        agree(found.own[place], one.own, "g")
        agree(found.ratio[place], one.ratio, "R")
        agree(found.lead[place], one.lead, "Lambda")
        if not math.isnan(one.evidence):
            parts = fall.posterior(found.base, found.drift, LAG)
            probability = fall.below(1.0, *(part[[place]] for part in parts))
            agree(fall.evidence(probability)[0], one.evidence, "evidence")
        assert bool(found.fires[place]) == one.fires


def features(seed: int) -> Series:
    """Return how many features random accounts use, some of them fewer of late."""
    rng, given = np.random.default_rng(seed), random_series(seed, accounts=60)
    level = rng.integers(0, 8, (60, 1))
    late = np.arange(given.counts.shape[1]) > rng.integers(150, 215, (60, 1))
    counts = np.maximum(level + rng.integers(-1, 2, given.counts.shape) - 3 * late, 0)
    return replace(given, counts=counts.astype(np.float64), memo={})


BREADTHS = {f"random {seed}": features(seed) for seed in range(6)} | {
    source: real(source) for source in REAL
}


@pytest.mark.parametrize("given", BREADTHS.values(), ids=BREADTHS)
def test_breadth_agrees_with_the_formulas(given: Series) -> None:
    found = breadth._examine(given, breadth.BreadthParams())
    for row in range(len(given.known)):
        one = breadth_of(account(given, row))
        assert bool(found.told[row]) == (one is not None)
        if one is not None:
            fires = bool(found.highest[row] <= found.usual[row] - 2)
            assert (found.usual[row], found.highest[row], fires) == one


@all_series
def test_silence_agrees_with_the_formulas(given: Series) -> None:
    life = np.arange(len(given.known)) % 40
    said = Silence.judge(replace(given, active=life, memo={}), SilenceParams())
    expected = [silence(account(given, row), int(life[row])) for row in range(len(life))]
    assert list(zip(said.told.tolist(), said.fires.tolist(), strict=True)) == expected


USAGE = {"metric": "usage"}
JUDGED: dict[type[DayPrimitive], dict[str, str]] = {
    drop.Drop: USAGE,
    stop.Stop: USAGE,
    expansion.Expansion: USAGE,
    fastdrop.FastDrop: USAGE,
    slowdrift.SlowDrift: USAGE,
    abandonment.Abandonment: {},
    breadth.Breadth: {},
    Silence: {},
}


@pytest.mark.parametrize("primitive", JUDGED, ids=lambda one: one.name)
def test_the_series_hold_accounts_that_fire_and_some_that_cannot_be_told(
    primitive: type[DayPrimitive],
) -> None:
    given = (
        BREADTHS.values() if primitive is breadth.Breadth else (one() for one in SERIES.values())
    )
    params = primitive.Params.model_validate(JUDGED[primitive])
    said = [primitive.judge(one, params) for one in given]
    assert sum(np.count_nonzero(one.fires) for one in said) >= 3
    assert sum(np.count_nonzero(~one.told) for one in said) >= 3


def test_the_probability_asked_of_a_feature_is_that_of_the_formula() -> None:
    assert ndtri(0.998) == pytest.approx(2.878161739, abs=1e-9)


def test_an_iso_date_is_its_day_again() -> None:
    assert record.day_of(record.iso(20_589)) == 20_589
