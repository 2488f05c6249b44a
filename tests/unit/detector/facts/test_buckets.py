from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector.facts.buckets import (
    BLOCK_DAYS,
    LINE_LIMIT,
    PEOPLE,
    SUM_LIMIT,
    SWING_WEEKS,
    Buckets,
    Line,
)

LONG_AGO = -10_000


def values(line: Line) -> dict[int, int]:
    return {line.first + i: value for i, value in enumerate(line.values) if value}


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 5_000))))
def test_a_line_is_the_sum_of_each_day_in_any_order(added: list[tuple[int, int]]) -> None:
    buckets, expected = Buckets(), Counter[int]()
    for day, amount in added:
        assert buckets.add("calls", day, amount, -1, LONG_AGO) is None
        expected[day] += amount
    if not added:
        assert buckets.lines == {}
        return
    line = buckets.lines["calls"]
    days = [day for day, _ in added]
    assert values(line) == {day: amount for day, amount in expected.items() if amount}
    assert (line.start, line.active) == (min(days), len(values(line)))
    assert (line.first % BLOCK_DAYS, line.end % BLOCK_DAYS) == (0, 0)
    assert line.first <= min(days) <= max(days) < line.end


def test_what_is_older_than_the_buckets_is_too_late() -> None:
    buckets = Buckets()
    assert buckets.add("calls", 99, 1, 200, 100) == "too_late"
    assert buckets.add("calls", 100, 1, 200, 100) is None
    assert values(buckets.lines["calls"]) == {100: 1}


def test_only_so_many_metrics_have_a_line_and_people_always_have() -> None:
    buckets = Buckets()
    for n in range(LINE_LIMIT):
        assert buckets.add(f"m{n}", 1, 1, 0, 0) is None
    assert buckets.add("one more", 1, 1, 0, 0) == "too_many_metrics"
    assert buckets.add("m0", 1, 1, 0, 0) is None
    assert buckets.add(PEOPLE, 1, 1, 0, 0) is None
    assert len(buckets.lines) == LINE_LIMIT + 1


def test_a_sum_that_would_not_fit_is_refused_and_nothing_is_added() -> None:
    buckets = Buckets()
    buckets.add("calls", 1, SUM_LIMIT, 0, 0)
    assert buckets.add("calls", 1, 1, 0, 0) == "sum_too_large"
    assert values(buckets.lines["calls"]) == {1: SUM_LIMIT}


@pytest.mark.parametrize(
    "corrections, revised",
    [
        ([], (None, 0)),
        # (day, judged): a day not yet judged is no correction
        ([(11, 10)], (None, 0)),
        ([(10, 10)], (10, 10)),
        ([(9, 10), (7, 10), (8, 10)], (7, 10)),
        # once another day was judged, what was corrected before is told already
        ([(3, 10), (9, 11)], (9, 11)),
    ],
)
def test_a_line_remembers_the_earliest_day_corrected_since_the_last_judgement(
    corrections: list[tuple[int, int]], revised: tuple[int | None, int]
) -> None:
    buckets = Buckets()
    buckets.add("calls", 20, 1, 0, 0)
    for day, judged in corrections:
        buckets.add("calls", day, 1, judged, 0)
    line = buckets.lines["calls"]
    assert (line.revised, line.revised_after) == revised


def test_blocks_settle_once_they_no_longer_change_and_go_when_nobody_asks() -> None:
    buckets = Buckets()
    for day in range(130):
        buckets.add("calls", day, 1, -1, 0)
    # day 100 - 16 lies in block 60: 0 and 30 are cold
    buckets.settle(100, 0)
    assert (buckets.hot_from, buckets.stale) == (60, {0, 30})
    buckets.stale.clear()
    # a late event of day 40 changes a cold record, one of day 70 does not
    buckets.add("calls", 40, 1, 100, 0)
    buckets.add("calls", 70, 1, 100, 0)
    assert buckets.stale == {30}
    buckets.stale.clear()
    # day 65 is asked for: the blocks before 60 go
    buckets.settle(120, 65)
    assert (buckets.hot_from, buckets.stale) == (90, {0, 30, 60})
    assert values(buckets.lines["calls"]) == {d: 1 + (d == 70) for d in range(60, 130)}


def test_a_metric_that_stopped_keeps_its_place_when_it_is_forgotten() -> None:
    buckets = Buckets()
    buckets.add("calls", 5, 7, -1, 0)
    buckets.settle(400, 300)
    line = buckets.lines["calls"]
    assert (values(line), line.start, line.active, len(line.values)) == ({}, 5, 1, 0)
    assert buckets.add("calls", 390, 2, 400, 300) is None
    assert (values(line), line.start, line.active) == ({390: 2}, 5, 2)


def test_swings_stand_week_by_week_with_gaps() -> None:
    line = Line(0)
    line.swing(3, 1.0)  # 1970-01-04, a Sunday
    line.swing(10, 2.0)
    line.swing(31, 3.0)  # three weeks later
    assert np.array_equal(line.swings, [1, 2, np.nan, np.nan, 3], equal_nan=True)
    line.swing(31 + 7 * 500, 4.0)
    assert len(line.swings) == SWING_WEEKS
    assert line.swings[-1] == 4.0
    assert np.isnan(line.swings[:-1]).all()
