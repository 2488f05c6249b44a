from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.alerts import SEVERITIES
from services.detector.primitives.arrays import pick
from services.detector.primitives.day import DayPrimitive, Series
from services.detector.primitives.silence import Silence, SilenceParams
from tests.unit.detector.primitives.reference import account, silence
from tests.unit.detector.primitives.stories import days, everything, random_series, series

PARAMS = SilenceParams()
POLICY = SilenceParams(days=30)
NEWCOMERS = SilenceParams(unknown=60)
POPULATION = SilenceParams(population=(0.9, 30.0, 0.8, 2.5))


def verdict(judged: Series, params: SilenceParams = PARAMS) -> str:
    """Return the first row in a word."""
    said = Silence.judge(judged, params)
    assert SEVERITIES[int(said.severity[0])] == "high"
    if not said.told[0]:
        assert (said.fires[0], said.clears[0]) == (False, False)
        return "cannot tell"
    return "fires" if said.fires[0] else "clears" if said.clears[0] else "quiet"


def rhythm(*week: float, silent: int, weeks: int = 20) -> list[float]:
    """Return weeks of one rhythm that end with an active day, then silence."""
    return list(week) * weeks + [0.0] * silent


DAILY = 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0  # 40 of 56 days, 100 in all: 20/sqrt(q) * 1.08 = 25.6
THRICE = 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0  # 24 of 56, 60 in all: 34.6
TWICE = 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0  # 16 of 56 < .35, 40 in all: 33.8 * 1.2 = 40.6
WEEKLY = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0  # 20 in all: 33.8 * 1.4 = 47.3
FORTNIGHTLY = *[0.0] * 13, 1.0  # 9 in all, in 9 of 18 weeks: 33.8 * 2^.3 * 17/9 = 78.6
MONTHLY = *[0.0] * 27, 1.0  # 5 in all
ALWAYS = (1.0,) * 7  # 140 in all: 20 * 1.057 = 21.1
HOLIDAY = range(2, 6)

# fmt: off
STORIES = [
    ("every day, 21 days", rhythm(*ALWAYS, silent=21), (), "quiet"),
    ("every day, 22 days", rhythm(*ALWAYS, silent=22), (), "fires"),
    ("weekdays, 25 days", rhythm(*DAILY, silent=25), (), "quiet"),
    ("weekdays, 26 days", rhythm(*DAILY, silent=26), (), "fires"),
    ("three times a week, 34 days", rhythm(*THRICE, silent=34), (), "quiet"),
    ("three times a week, 35 days", rhythm(*THRICE, silent=35), (), "fires"),
    ("weekly, 47 days", rhythm(*WEEKLY, silent=47), (), "quiet"),
    ("weekly, 48 days", rhythm(*WEEKLY, silent=48), (), "fires"),
    ("every second week, 78 days", rhythm(*FORTNIGHTLY, silent=78, weeks=9), (), "quiet"),
    ("every second week, 79 days", rhythm(*FORTNIGHTLY, silent=79, weeks=9), (), "fires"),
    # 100 days later four of its active days are in sight: the fifth has left the 210 days kept
    ("monthly, 100 days", rhythm(*MONTHLY, silent=100, weeks=5), (), "cannot tell"),
    ("dense: a holiday is no silence", rhythm(*DAILY, silent=29), HOLIDAY, "quiet"),
    ("dense: 26 days beside the holiday", rhythm(*DAILY, silent=30), HOLIDAY, "fires"),
    ("sparse: a holiday counts, 40 days", rhythm(*TWICE, silent=40), HOLIDAY, "quiet"),
    ("sparse: a holiday counts, 41 days", rhythm(*TWICE, silent=41), HOLIDAY, "fires"),
    ("a masked day says nothing", rhythm(*DAILY, silent=60), (0,), "cannot tell"),
    ("activity on a masked day is activity", rhythm(*DAILY, silent=0) + [1.0] + [0.0] * 20,
     (20,), "quiet"),
    ("four active days", days((30, 0), (4, 1), (60, 0)), (), "cannot tell"),
    # one busy week of five: 33.8 * 5^.3 * 2.6
    ("five active days, 142 days", days((30, 0), (5, 1), (142, 0)), (), "quiet"),
    ("five active days, 143 days", days((30, 0), (5, 1), (143, 0)), (), "fires"),
    ("a young account: 5 days, then 87", days((5, 1), (87, 0)), (), "quiet"),  # 33.8 * 2.6
    ("a young account: 5 days, then 88", days((5, 1), (88, 0)), (), "fires"),
    ("never active", days((206, 0)), (), "cannot tell"),
    # 9 active days of the last 56: 2.25 of 14
    ("back for one day, a weekly customer", rhythm(*WEEKLY, silent=60) + days((7, 1), (13, 0)), (),
     "quiet"),
    ("back for two", rhythm(*WEEKLY, silent=60) + days((7, 1), (12, 0), (1, 1)), (), "clears"),
    ("back for one day, hardly ever active", rhythm(*WEEKLY, silent=60) + days((1, 1)), (),
     "clears"),
    ("a daily customer, back for two days", rhythm(*DAILY, silent=30) + days((2, 1)), (), "quiet"),
    ("a daily customer, back for three", rhythm(*DAILY, silent=30) + days((3, 1)), (), "clears"),
]
# fmt: on


@pytest.mark.parametrize("story, counts, masked, said", STORIES, ids=[s[0] for s in STORIES])
def test_a_story(story: str, counts: list[float], masked: tuple[int, ...], said: str) -> None:
    assert verdict(series(counts, masked=masked)) == said


def test_active_days_that_have_left_the_columns_still_make_a_rhythm() -> None:
    monthly = rhythm(*MONTHLY, silent=125, weeks=5)
    assert verdict(series(monthly, active=4)) == "cannot tell"
    # 3 of 12 weeks in sight: 33.8 * 4^.3 * 1.8 = 92.2 days with ten, 133.2 with five
    assert verdict(series(monthly, active=5)) == "quiet"
    assert verdict(series(monthly, active=10)) == "fires"
    assert verdict(series(days((206, 0)), active=5)) == "cannot tell"


def test_a_policy_counts_every_day_whatever_the_rhythm() -> None:
    assert verdict(series(rhythm(*DAILY, silent=29)), POLICY) == "quiet"
    assert verdict(series(rhythm(*DAILY, silent=30), masked=HOLIDAY), POLICY) == "fires"
    assert verdict(series(days((20, 0), (1, 1), (30, 0))), POLICY) == "fires"
    assert verdict(series(days((206, 0))), POLICY) == "cannot tell"
    assert verdict(series(rhythm(*DAILY, silent=0)), POLICY) == "clears"


def test_the_limit_keeps_between_its_bounds() -> None:
    patient = SilenceParams(pace=150)
    hasty = SilenceParams(pace=0.1, shortest=5)
    assert verdict(series(rhythm(*WEEKLY, silent=149, weeks=8)), patient) == "quiet"
    assert verdict(series(rhythm(*WEEKLY, silent=150, weeks=8)), patient) == "fires"
    assert verdict(series(rhythm(*DAILY, silent=4)), hasty) == "clears"
    assert Silence.judge(series(rhythm(*DAILY, silent=5)), hasty).fires.tolist() == [True]


@pytest.mark.parametrize("seed", range(8))
def test_verdicts_agree_with_the_scalar_formula(seed: int) -> None:
    judged = random_series(seed, accounts=60)
    said = Silence.judge(judged, PARAMS)
    expected = [silence(account(judged, row)) for row in range(60)]
    assert list(zip(said.told.tolist(), said.fires.tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    "params",
    [PARAMS, POLICY, NEWCOMERS, POPULATION],
    ids=["rhythm", "policy", "newcomers", "population"],
)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 23),
    chance=st.randoms(use_true_random=False),
)
def test_an_account_gets_the_same_bits_in_any_batch(
    params: SilenceParams, seed: int, size: int, chance: Any
) -> None:
    judged = random_series(seed, accounts=size, width=210)
    wide = random_series(seed, accounts=size, width=210)
    order = chance.sample(range(size), size)
    batch = everything(Silence.judge(judged, params))
    shuffled = everything(Silence.judge(pick(wide, np.array(order)), params))
    alone = [everything(Silence.judge(pick(judged, np.array([i])), params))[0] for i in range(size)]
    assert (alone, shuffled) == (batch, [batch[i] for i in order])


def test_more_columns_than_it_reads_change_nothing() -> None:
    story = rhythm(*MONTHLY, silent=96, weeks=5)
    narrow, wide = series(story, width=210), series(story, width=235)
    assert everything(Silence.judge(narrow, PARAMS)) == everything(Silence.judge(wide, PARAMS))


def test_the_evidence_holds_every_number_that_is_said() -> None:
    # DAY is 2026-05-16; 30 days without activity, four of them masked
    said = Silence.judge(series(rhythm(*DAILY, silent=30), masked=HOLIDAY), PARAMS)
    assert said.because(0) == {
        "window": {"from": "2026-04-17", "to": "2026-05-16", "days_used": 26},
        "days_silent": 26,
        "calendar_days_silent": 30,
        "silent_too_long": True,
        "limit": 26,
        "last_active": "2026-04-16",
        "since_estimate": "2026-04-17",
        "active_days_of_56": 40,
        "active_days_of_last_14": 0,
        "active_days": 100,
        "active_weeks": 20,
        "weeks": 20,
        "rhythm_known": True,
        "q": 0.714286,
        "p_alive": None,
        "masked_days_count": False,
        "masked_days": ["2026-05-11", "2026-05-12", "2026-05-13", "2026-05-14"],
        "thresholds_in_force": {
            "days": None,
            "pace": 20.0,
            "shortest": 5,
            "longest": 150,
            "active_days": 5,
            "unknown": None,
            "population": None,
            "alive": 0.5,
        },
    }


def test_an_account_without_a_rhythm_is_told_after_the_days_that_the_rule_gives_it() -> None:
    assert verdict(series(days((3, 1), (59, 0))), NEWCOMERS) == "quiet"
    assert verdict(series(days((3, 1), (60, 0))), NEWCOMERS) == "fires"
    assert verdict(series(days((210, 0))), NEWCOMERS) == "cannot tell"
    evidence = Silence.judge(series(days((3, 1), (60, 0))), NEWCOMERS).because(0)
    assert (evidence["rhythm_known"], evidence["active_days"], evidence["limit"]) == (False, 3, 60)


def test_a_population_decides_on_sparse_accounts_and_on_no_others() -> None:
    # x = 8, t_x = 112, T = t_x + s: 1 / (1 + .8 / 9.5 ((30 + T) / 142)^8.9) is .5 at s = 45.5
    fortnightly = rhythm(*FORTNIGHTLY, silent=45, weeks=9)
    assert verdict(series(fortnightly), POPULATION) == "quiet"
    assert verdict(series([*fortnightly, 0.0]), POPULATION) == "fires"
    evidence = Silence.judge(series([*fortnightly, 0.0]), POPULATION).because(0)
    assert evidence["p_alive"] == pytest.approx(0.4942, abs=1e-3)
    weekly = rhythm(*WEEKLY, silent=47)
    assert verdict(series(weekly), POPULATION) == "quiet"
    assert verdict(series([*weekly, 0.0]), POPULATION) == "fires"


def test_a_population_gives_nobody_more_than_the_longest_limit() -> None:
    patient = SilenceParams(population=(0.01, 1e6, 1e-6, 1e6))
    assert verdict(series(rhythm(*FORTNIGHTLY, silent=149, weeks=5), active=9), patient) == "quiet"
    assert verdict(series(rhythm(*FORTNIGHTLY, silent=150, weeks=5), active=9), patient) == "fires"


@pytest.mark.parametrize(
    "params, bound",
    [
        ({"days": 0}, "greater than or equal to 1"),
        ({"days": 151}, "less than or equal to 150"),
        ({"pace": 0}, "greater than 0"),
        ({"longest": 151}, "less than or equal to 150"),
        ({"shortest": 60, "longest": 50}, r"longest \(50\) must be >= shortest \(60\)"),
        ({"active_days": 0}, "greater than or equal to 1"),
        ({"active_days": 57}, "less than or equal to 56"),
        ({"metric": "@all"}, "'@all' is no flag"),
        ({"cap": 9}, "Extra inputs are not permitted"),
        ({"unknown": 151}, "less than or equal to 150"),
        ({"population": (1, 1, 0, 1)}, "must be four numbers > 0"),
        ({"alive": 1}, "less than 1"),
    ],
)
def test_a_bad_parameter_is_refused_with_its_bound(params: dict[str, Any], bound: str) -> None:
    with pytest.raises(ValidationError, match=bound):
        SilenceParams(**params)


def test_it_is_a_primitive_of_days() -> None:
    primitive: type[DayPrimitive] = Silence
    assert primitive.name == "silence"
    assert (primitive.kind(PARAMS), primitive.history_days(PARAMS)) == ("silence", 210)
    assert (primitive.kind(POLICY), primitive.history_days(POLICY)) == ("policy_silence", 86)
    assert primitive.Params.model_validate({"metric": "@core"}) == SilenceParams(metric="@core")
