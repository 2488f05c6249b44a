import csv
import gzip
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.detector.primitives import spike
from services.detector.primitives.day import DayPrimitive, Series, Verdicts
from services.detector.primitives.spike import Spike, SpikeParams
from tests.unit.detector.primitives.reference import account
from tests.unit.detector.primitives.reference import spike as reference
from tests.unit.detector.primitives.stories import days, everything, series, sparse_series, word

PARAMS = SpikeParams()
URGENT = SpikeParams(metric="@tickets_high", probability=0.01, days_probability=0, least=2)
TICKETS = Path(__file__).parents[3] / "quality" / "data" / "tickets.csv.gz"


def judge(judged: Series) -> Verdicts:
    return Spike.judge(judged, PARAMS)


def verdict(judged: Series) -> str:
    """Return the only row in a word."""
    return word(judge(judged))


def then(*week: float, usual: Sequence[float] = (1, 0, 0, 0, 0, 0, 0), weeks: int = 12) -> Series:
    """Return ordinary weeks and a last one."""
    return series([*list(usual) * weeks, *week])


NONE = (0, 0, 0, 0, 0, 0, 0)
DAILY = (2, 2, 2, 2, 2, 2, 2)
BUNCHES = [*[0.0] * 21, 6, *[0.0] * 6] * 3
"""Six at once, every fourth week."""

# fmt: off
STORIES = [
    ("a ticket a week, six at once", then(6, 0, 0, 0, 0, 0, 0), "quiet"),
    ("seven at once", then(7, 0, 0, 0, 0, 0, 0), "medium"),
    ("one on each of four days", then(1, 1, 1, 1, 0, 0, 0), "quiet"),
    ("one on each of five days", then(1, 1, 1, 1, 1, 0, 0), "medium"),
    ("none ever, two", then(1, 1, 0, 0, 0, 0, 0, usual=NONE), "quiet"),
    ("none ever, three", then(3, 0, 0, 0, 0, 0, 0, usual=NONE), "medium"),
    ("two a day, then four", then(4, 4, 4, 4, 4, 4, 4, usual=DAILY), "quiet"),
    ("two a day, then thirty in a week", then(30, 0, 0, 0, 0, 0, 0, usual=DAILY), "medium"),
    ("restless: six at once as so often", series([*BUNCHES, *BUNCHES, 6, *[0.0] * 6]), "quiet"),
    ("an ordinary week", then(0, 0, 0, 1, 0, 0, 0), "clears"),
    ("nothing at all", then(*NONE), "clears"),
    ("62 known days", series([0.0] * 55 + [9, *[0.0] * 6]), "cannot tell"),
    ("63 known days", series([0.0] * 56 + [9, *[0.0] * 6]), "medium"),
]
# fmt: on


@pytest.mark.parametrize("story, judged, said", STORIES, ids=[s[0] for s in STORIES])
def test_a_story(story: str, judged: Series, said: str) -> None:
    assert verdict(judged) == said


def test_a_return_to_what_was_usual_half_a_year_ago_is_no_spike() -> None:
    busy, quiet = [1.0] * 91, [0.0] * 63
    assert verdict(series([*quiet, *quiet, *[1.0] * 7])) == "medium"
    assert verdict(series([*busy, *quiet, *[1.0] * 7])) == "quiet"


@pytest.mark.parametrize(
    "masked, said",
    [
        ((), "medium"),
        ((0,), "cannot tell"),
        ((1, 2, 3), "medium"),
        ((1, 2, 3, 4), "cannot tell"),
        (range(7, 35), "medium"),
        (range(7, 36), "cannot tell"),
    ],
)
def test_masked_days_are_left_out_and_too_many_say_nothing(masked: Any, said: str) -> None:
    busy = [*[1.0] * 120, 6, 6, 6, 6, 6, 6, 6]
    assert verdict(series(busy, masked=masked)) == said


def test_what_lies_on_a_masked_day_counts_neither_as_a_spike_nor_as_usual() -> None:
    assert verdict(series([*[0.0] * 100, 9, 0, 0], masked=[2])) == "clears"
    loud = series([*[0.0] * 60, *[9.0] * 20, *[0.0] * 20, 9, 0, 0], masked=range(23, 43))
    assert verdict(loud) == "medium"


def test_weekdays_that_were_left_out_are_left_out_of_what_is_usual() -> None:
    # 2026-05-16, the judged day, is a Saturday: on Mondays come nine, else one a day
    week = [1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    monday_off = Spike.judge(series(week * 20, masked=[5]), PARAMS).because(0)
    tuesday_off = Spike.judge(series(week * 20, masked=[4]), PARAMS).because(0)
    assert (monday_off["observed"], tuesday_off["observed"]) == (6, 14)
    assert monday_off["expected"] == pytest.approx(6, abs=0.1)
    assert tuesday_off["expected"] == pytest.approx(14, abs=0.1)


def tickets() -> Series:
    """Return real locations, each on several days, whole and known for ten weeks."""
    told: dict[str, Counter[int]] = {}
    with gzip.open(TICKETS, "rt") as lines:
        for row in csv.DictReader(lines):
            day = (date.fromisoformat(row["opened_at"][:10]) - date(1970, 1, 1)).days
            told.setdefault(row["account_id"], Counter())[day] += 1
    busy = sorted(told, key=lambda one: (-sum(told[one].values()), one))[:25]
    first, width = min(min(days) for days in told.values()), 238
    rows = [(name, length) for name in busy for length in (63, 66, 70)]
    counts = np.zeros((len(rows), width))
    for place, (name, length) in enumerate(rows):
        counts[place, width - length :] = [told[name][first + back] for back in range(length)]
    rng = np.random.default_rng(1)
    return replace(
        series(*counts.tolist(), width=width),
        known=np.array([length for _, length in rows]),
        masked=rng.random(counts.shape) < 0.05,
    )


GIVEN = {f"random {seed}": sparse_series(seed) for seed in range(6)} | {"real tickets": tickets()}
all_series = pytest.mark.parametrize("judged", GIVEN.values(), ids=GIVEN)


def agree(found: Any, expected: float) -> None:
    assert found == pytest.approx(expected, rel=1e-9, abs=1.1e-9)


@all_series
def test_every_statistic_agrees_with_the_formulas(judged: Series) -> None:
    found = spike._examine(judged)
    for row in range(len(judged.known)):
        one = account(judged, row)
        assert bool(found.told[row]) == reference.told(one)
        if not found.told[row]:
            continue
        for week, by_days in ((found.count, False), (found.days, True)):
            expected = reference.week(one, by_days)
            agree(week.seen[row], expected.seen)
            agree(week.usual[row], expected.usual)
            agree(week.dispersion[row], expected.dispersion)
            agree(spike._tail(week.seen, week)[row], expected.chance)
        agree(spike._calm(found)[row], reference.calm(one))


@all_series
@pytest.mark.parametrize("params", [PARAMS, URGENT], ids=["tickets", "urgent"])
def test_verdicts_agree_with_the_formulas(params: SpikeParams, judged: Series) -> None:
    limits = params.probability, params.days_probability, params.least
    expected = [reference.fires(account(judged, row), *limits) for row in range(len(judged.known))]
    assert Spike.judge(judged, params).fires.tolist() == expected


def test_the_series_hold_spikes_by_count_and_by_days_alone() -> None:
    fires, by_count = 0, 0
    for judged in GIVEN.values():
        fires += int(Spike.judge(judged, PARAMS).fires.sum())
        alone = PARAMS.model_copy(update={"days_probability": 0.0})
        by_count += int(Spike.judge(judged, alone).fires.sum())
    assert fires > by_count > 5


def test_columns_beyond_what_it_reads_change_nothing() -> None:
    story = [*[1.0, 0, 0, 2, 0, 0, 0] * 40, 5, 5, 5]
    narrow, wide = series(story, width=189), series(story, width=238)
    assert everything(judge(narrow)) == everything(judge(wide))
    young = [*[1.0, 0, 0, 2, 0, 0, 0] * 10, 5, 5, 5]
    short, long = series(young, width=73), series(young)
    assert everything(judge(short)) == everything(judge(long))


def test_the_evidence_holds_every_number_that_is_said() -> None:
    # DAY is 2026-05-16; mu = max(8.5/8, 11.5/11 weeks), phi = max(1, ...)
    said = Spike.judge(series([*[1.0, 0, 0, 0, 0, 0, 0] * 11, 8, 0, 0, 0, 0, 0, 0]), PARAMS)
    assert said.because(0) == {
        "window": {"from": "2026-05-10", "to": "2026-05-16", "days_used": 7},
        "baseline": {"from": "2026-03-15", "to": "2026-05-09", "days_used": 56},
        "observed": 8.0,
        "expected": 1.0625,
        "ratio": 7.529412,
        "probability": 0.000098,
        "once_in_weeks": 10199,
        "dispersion": 1.0,
        "days_observed": 1.0,
        "days_expected": 1.0625,
        "days_probability": 0.632546,
        "days_once_in_weeks": 2,
        "days_dispersion": 1.0,
        "smallest_detectable_spike": 7,
        "calm_count": 1.2,
        "weekly": [1.0] * 8,
        "masked_days": [],
        "reported_once_in_weeks": 1000,
        "days_reported_once_in_weeks": 80,
        "thresholds_in_force": {
            "probability": 0.001,
            "days_probability": 0.0125,
            "least": 3,
            "ratio": 1.5,
        },
    }


@given(st.integers(0, 60), st.integers(0, 3))
def test_the_smallest_detectable_spike_is_the_least_that_fires(usual: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = rng.poisson(usual / 7, 120).astype(float).tolist()
    params = PARAMS.model_copy(update={"days_probability": 0.0})
    least = Spike.judge(series([*before, *[0.0] * 7]), params).because(0)
    told = least["smallest_detectable_spike"]
    at_once = [[*before, *[0.0] * 6, float(count)] for count in (told - 1, told)]
    assert Spike.judge(series(*at_once), params).fires.tolist() == [False, True]


@pytest.mark.parametrize("judged", [series([]), series(days((62, 1))), series(days((210, 0)))])
def test_evidence_is_plain_whatever_is_known(judged: Series) -> None:
    json.dumps(Spike.judge(judged, PARAMS).because(0), allow_nan=False)


@pytest.mark.parametrize(
    "params, bound",
    [
        ({"probability": 0}, "greater than 0"),
        ({"probability": 0.2}, "less than or equal to 0.1"),
        ({"days_probability": -1}, "greater than or equal to 0"),
        ({"least": 0}, "greater than or equal to 1"),
        ({"ratio": 0.9}, "greater than or equal to 1"),
        ({"metric": "@meaningful"}, "'@meaningful' is neither a metric nor one of @tickets"),
        ({"weeks": 9}, "Extra inputs are not permitted"),
    ],
)
def test_a_bad_parameter_is_refused_with_its_bound(params: dict[str, Any], bound: str) -> None:
    with pytest.raises(ValidationError, match=bound):
        SpikeParams(**params)


def test_it_is_a_primitive_of_days() -> None:
    primitive: type[DayPrimitive] = Spike
    assert (primitive.name, primitive.history_days(PARAMS)) == ("spike", 189)
    kinds = [primitive.kind(SpikeParams(metric=one)) for one in ("@tickets", "calls")]
    assert kinds == ["ticket_spike", "spike"]
