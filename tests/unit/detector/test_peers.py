import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector.peers import (
    COMPANY,
    NAME_LIMIT,
    SEGMENT_LIMIT,
    Scopes,
    Values,
    ratios,
    scopes_of,
)
from tests.unit.detector.primitives.stories import days, series


@pytest.mark.parametrize(
    "earlier, later, percent",
    [
        # thousandths are counted: 28 x 10 = 280 units, then 28 x 5 = 140
        (10, 5, 50),
        # 28 x 3 = 84 and 28 x 1 = 28: a third, rounded down
        (3, 1, 33),
        (0.3, 0, None),
        # 28 units are enough, 27.972 are not
        (1, 0.999, 99),
        (0.999, 0.999, None),
        (1, 2, 200),
        (1, 9, 200),
        (1000, 9.99, 0),
    ],
)
def test_a_ratio_is_the_last_four_weeks_in_percent_of_the_four_before(
    earlier: float, later: float, percent: int | None
) -> None:
    # what lies further back says nothing
    account = days((28, 500), (28, earlier), (28, later))
    assert ratios(series(account)) == [percent]


def test_masked_and_unknown_days_count_as_they_are() -> None:
    account = days((28, 10), (28, 10))
    assert ratios(series(account, masked=range(28), known=3)) == [100]


def test_too_short_a_history_tells_no_ratio() -> None:
    account = days((28, 10), (28, 10))
    assert ratios(series(account, account, width=55)) == [None, None]
    assert ratios(series(account, width=56)) == [100]


def test_a_ratio_is_exact_whoever_is_beside() -> None:
    """As doubles the sums of 28 days of 0.77 and of 1.1 are no round seventy percent."""
    account = days((28, 1.1), (28, 0.77))
    others = np.random.default_rng(7).random((249, 56)).round(3).tolist()
    assert (ratios(series(account)), ratios(series(account, *others))[0]) == ([70], 70)


def test_an_account_belongs_to_the_company_and_to_its_segment() -> None:
    assert scopes_of("smb") == ("company", "segment:smb")
    assert [scopes_of(one) for one in (None, "", "x" * (NAME_LIMIT + 1))] == [("company",)] * 3


def test_values_count_accounts_and_those_whose_ratio_is_told() -> None:
    tally = Scopes()
    for segment, percent in (("smb", 90), ("smb", None), (None, 90), ("large", 7)):
        tally.count(segment, percent)
    assert tally.plain() == {
        "company": {"accounts": 4, "told": 3, "ratios": {"7": 1, "90": 2}},
        "segment:large": {"accounts": 1, "told": 1, "ratios": {"7": 1}},
        "segment:smb": {"accounts": 2, "told": 1, "ratios": {"90": 1}},
    }


def test_values_add_up() -> None:
    values = Values(2, 1, {90: 1})
    values.add(Values(3, 3, {90: 2, 5: 1}))
    assert values == Values(5, 4, {90: 3, 5: 1})


@given(st.permutations([f"s{n:02}" for n in range(SEGMENT_LIMIT + 20)] * 2))
def test_the_first_segments_by_name_are_counted_whole_in_whatever_order(names: list[str]) -> None:
    tally = Scopes()
    for name in names:
        tally.count(name, 100)
    kept = [f"segment:s{n:02}" for n in range(SEGMENT_LIMIT)]
    assert tally == {
        COMPANY: Values(len(names), len(names), {100: len(names)}),
        **{name: Values(2, 2, {100: 2}) for name in kept},
    }
