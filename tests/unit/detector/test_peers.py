"""How each account does, and how many do how (design.md §5.4, Summaries)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector.peers import (
    COMPANY,
    NAME_LIMIT,
    SEGMENT_LIMIT,
    How,
    Scopes,
    Values,
    scopes_of,
    standing,
)
from tests.unit.detector.primitives.stories import days, series


@pytest.mark.parametrize(
    "earlier, later, how",
    [
        # 84 days of baseline and 28 days of 5 where 10 is usual
        (10, 5, How(50, fallen=True)),
        (3, 1, How(33, fallen=True)),
        (10, 9, How(90, fallen=False)),
        # .85 of what is usual has fallen, a little more has not
        (20, 17, How(85, fallen=True)),
        (20, 17.2, How(86, fallen=False)),
        # 28 x 1 = 28 units are usual; 28 x .7 = 19.6 are too few to tell
        (1, 0, How(0, fallen=True)),
        (0.7, 0, None),
        (1, 2, How(200, fallen=False)),
        (1, 9, How(200, fallen=False)),
    ],
)
def test_how_an_account_does_is_four_weeks_in_percent_of_its_usual_weekdays(
    earlier: float, later: float, how: How | None
) -> None:
    assert standing(series(days((84, earlier), (28, later)))) == [how]


def test_a_fall_of_the_last_fortnight_counts_before_four_weeks_show_it() -> None:
    assert standing(series(days((98, 10), (14, 8)))) == [How(90, fallen=True)]


def test_holidays_are_left_out() -> None:
    """Everybody rests at Christmas: that is no fall of everybody."""
    account = days((98, 10), (7, 0), (7, 10))
    masked = range(7, 14)
    assert standing(series(account, masked=masked)) == [How(100, fallen=False)]


def test_with_few_open_days_in_the_last_fortnight_nothing_is_told() -> None:
    account = days((98, 10), (8, 0), (6, 1))
    assert standing(series(account, masked=range(6, 14))) == [None]


def test_too_short_a_history_tells_nothing() -> None:
    account = days((84, 10), (27, 10))
    assert standing(series(account, account)) == [None, None]


def test_an_account_is_told_the_same_whoever_is_beside() -> None:
    account = days((112, 1.1), (28, 0.77))
    others = np.random.default_rng(7).random((249, 140)).round(3).tolist()
    beside = [[10 * one for one in other] for other in others]
    assert standing(series(account)) == [How(70, fallen=True)]
    assert standing(series(account, *beside))[0] == How(70, fallen=True)


@pytest.mark.parametrize(
    "ratios, limit, median",
    [
        ({}, 200, None),
        ({90: 2}, 200, None),
        ({90: 2, 10: 1}, 200, 90),
        # the lower one of the two in the middle
        ({10: 1, 20: 1, 30: 1, 40: 1}, 200, 20),
        ({50: 3, 120: 40}, 85, 50),
        ({50: 2, 120: 40}, 85, None),
    ],
)
def test_the_median_needs_three(ratios: dict[int, int], limit: int, median: int | None) -> None:
    values = Values(sum(ratios.values()), sum(ratios.values()), 0, ratios)
    assert values.median(limit) == median


def test_an_account_belongs_to_the_company_and_to_its_segment() -> None:
    assert scopes_of("smb") == ("company", "segment:smb")
    assert [scopes_of(one) for one in (None, "", "x" * (NAME_LIMIT + 1))] == [("company",)] * 3


def test_values_count_accounts_and_those_whose_ratio_is_told() -> None:
    tally = Scopes()
    for segment, how in (
        ("smb", How(90, fallen=False)),
        ("smb", None),
        (None, How(90, fallen=True)),
        ("large", How(7, fallen=True)),
    ):
        tally.count(segment, [how])
    assert tally.plain() == {
        "company": {"accounts": 4, "told": 3, "fallen": 2, "ratios": {"7": 1, "90": 2}},
        "segment:large": {"accounts": 1, "told": 1, "fallen": 1, "ratios": {"7": 1}},
        "segment:smb": {"accounts": 2, "told": 1, "fallen": 0, "ratios": {"90": 1}},
    }


def test_values_add_up() -> None:
    values = Values(2, 1, 0, {90: 1})
    values.add(Values(3, 3, 1, {90: 2, 5: 1}))
    assert values == Values(5, 4, 1, {90: 3, 5: 1})


@given(st.permutations([f"s{n:02}" for n in range(SEGMENT_LIMIT + 20)] * 2))
def test_the_first_segments_by_name_are_counted_whole_in_whatever_order(names: list[str]) -> None:
    tally = Scopes()
    for name in names:
        tally.count(name, [How(100, fallen=False)])
    kept = [f"segment:s{n:02}" for n in range(SEGMENT_LIMIT)]
    assert tally == {
        COMPANY: Values(len(names), len(names), 0, {100: len(names)}),
        **{name: Values(2, 2, 0, {100: 2}) for name in kept},
    }
