"""Every statistic beside the scalar formulas, to 1e-9, on random and on real series."""

import csv
import gzip
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import lru_cache
from pathlib import Path
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
from services.detector.primitives.day import SWING_WEEKS, Series
from tests.unit.detector.primitives.reference import Reference, account
from tests.unit.detector.primitives.reference.features import breadth as breadth_of
from tests.unit.detector.primitives.reference.features import given_up
from tests.unit.detector.primitives.reference.growth import growth
from tests.unit.detector.primitives.reference.pace import fast, slow
from tests.unit.detector.primitives.stories import random_series

DATA = Path(__file__).parents[3] / "quality" / "data"
REAL = {
    "stations": ("station_entries_daily.csv.gz", "entries"),
    "companies": ("fhv_bases_daily.csv.gz", "trips"),
    "customers": ("retail_customers_daily.csv.gz", "lines"),
    "agents": ("hotel_agents_daily.csv.gz", "checkins"),
}
"""Real accounts of four kinds; where they come from: README.md beside them."""

WIDTH = 238
ACCOUNTS = 12


@lru_cache
def real(source: str) -> Series:
    """Return the accounts with the most days of a source, each twice: whole, and cut in half."""
    file, column = REAL[source]
    told: dict[str, dict[int, float]] = defaultdict(dict)
    with gzip.open(DATA / file, "rt") as lines:
        for one in csv.DictReader(lines):
            day = (date.fromisoformat(one["date"]) - date(1970, 1, 1)).days
            days = told[one["account_id"]]
            days[day] = days.get(day, 0) + float(one[column])
    busy = sorted(told, key=lambda one: (-len(told[one]), one))[:ACCOUNTS]
    last = 20_000
    counts = np.zeros((2 * len(busy), WIDTH))
    known = np.zeros(2 * len(busy), dtype=np.int64)
    for row, name in enumerate(busy):
        days = told[name]
        for place, end in ((row, max(days)), (len(busy) + row, (min(days) + max(days)) // 2)):
            known[place] = min(WIDTH, end - min(days) + 1)
            for back in range(known[place]):
                counts[place, WIDTH - 1 - back] = days.get(end - back, 0.0)
    rng = np.random.default_rng(len(busy))
    masked = rng.random(counts.shape) < 0.03
    swings = rng.normal(0.003, 0.01, (len(counts), SWING_WEEKS))
    return Series(last, counts, masked, known, swings, np.zeros(len(counts), dtype=np.int64))


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
        if not one.told():
            continue
        agree(found.ratio[place], one.ratio(28), "R_28")
        agree(found.lead[place], one.lead(), "Lambda")
        for days in drop.WINDOWS:
            a, b, odds = (part[place] for part in fall.posterior(found.base, found.drift, days))
            agree(fall.below(1.0, a, b, odds), one.probability(days), f"P_{days}")
        o, b, phi = one.observed(28), one.cap * one.bsum, one.phi
        v = phi / (o + phi / 2) + phi / (b + phi / 2)
        agree(noise[place], 1 - math.exp(-2.9 * math.sqrt(v + one.tau2)), "smallest drop")
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


@pytest.mark.parametrize("seed", range(6))
def test_breadth_agrees_with_the_formulas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    given = random_series(seed, accounts=60)
    level = rng.integers(0, 8, (60, 1))
    late = np.arange(given.counts.shape[1]) > rng.integers(150, 215, (60, 1))
    counts = np.maximum(level + rng.integers(-1, 2, given.counts.shape) - 3 * late, 0)
    given = replace(given, counts=counts.astype(np.float64), memo={})
    found = breadth._examine(given, breadth.BreadthParams())
    for row in range(60):
        one = breadth_of(account(given, row))
        assert bool(found.told[row]) == (one is not None)
        if one is not None:
            fires = bool(found.highest[row] <= found.usual[row] - 2)
            assert (found.usual[row], found.highest[row], fires) == one


def test_random_and_real_series_hold_cases_of_every_kind() -> None:
    fires: dict[str, int] = defaultdict(int)
    for build in SERIES.values():
        old = baseline.learned(build())[1]
        fires["expansion"] += int(
            expansion._examine(old, expansion.ExpansionParams(metric="usage")).fires.sum()
        )
        fires["fastdrop"] += int(
            fastdrop._examine(old, fastdrop.FastDropParams(metric="usage")).fires.sum()
        )
        fires["slowdrift"] += int(
            slowdrift._examine(old, slowdrift.SlowDriftParams(metric="usage")).fires.sum()
        )
        fires["abandonment"] += int(
            abandonment._examine(old, abandonment.AbandonmentParams()).fires.sum()
        )
    assert min(fires.values()) >= 3, fires


def test_the_probability_asked_of_a_feature_is_that_of_the_formula() -> None:
    assert ndtri(0.998) == pytest.approx(2.878161739, abs=1e-9)


def test_an_iso_date_is_its_day_again() -> None:
    assert record.day_of(record.iso(20_589)) == 20_589
