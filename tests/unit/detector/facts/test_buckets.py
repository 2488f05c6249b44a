from collections import Counter
from itertools import permutations
from typing import TypedDict, Unpack

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector.facts.buckets import (
    BLOCK_DAYS,
    CORRECTION_DAYS,
    LINE_LIMIT,
    PEOPLE,
    SOURCE_LIMIT,
    SUM_LIMIT,
    SWING_WEEKS,
    Buckets,
    Line,
)

LONG_AGO = -10_000


class Circumstances(TypedDict, total=False):
    metric: str
    source: str
    judged: int
    oldest: int


def add(buckets: Buckets, day: int, amount: int = 1, **of: Unpack[Circumstances]) -> str | None:
    """Add to a line, if that is not refused; calls of the app, none judged, unless told."""
    metric = of.get("metric", "calls")
    refused = buckets.refusal(metric, day, amount, of.get("oldest", LONG_AGO))
    if refused is None:
        buckets.add(metric, day, amount, of.get("judged", -1), of.get("source", "app"))
    return refused


def values(line: Line) -> dict[int, int]:
    return {line.first + i: value for i, value in enumerate(line.values) if value}


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 5_000))))
def test_a_line_is_the_sum_of_each_day_in_any_order(added: list[tuple[int, int]]) -> None:
    buckets, expected = Buckets(), Counter[int]()
    for day, amount in added:
        assert add(buckets, day, amount) is None
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
    assert add(buckets, 99, judged=200, oldest=100) == "too_late"
    assert add(buckets, 100, judged=200, oldest=100) is None
    assert values(buckets.lines["calls"]) == {100: 1}


def test_only_so_many_metrics_have_a_line_and_people_always_have() -> None:
    buckets = Buckets()
    for n in range(LINE_LIMIT):
        assert add(buckets, 1, metric=f"m{n}") is None
    assert add(buckets, 1, metric="one more") == "too_many_metrics"
    assert add(buckets, 1, metric="m0") is None
    assert add(buckets, 1, metric=PEOPLE) is None
    assert len(buckets.lines) == LINE_LIMIT + 1


def test_a_sum_that_would_not_fit_is_refused_and_nothing_is_added() -> None:
    buckets = Buckets()
    add(buckets, 1, SUM_LIMIT)
    assert add(buckets, 1) == "sum_too_large"
    assert values(buckets.lines["calls"]) == {1: SUM_LIMIT}


@pytest.mark.parametrize(
    "corrections, revised",
    [
        ([], (None, 0)),
        # (day, judged): a day not yet judged is no correction
        ([(11, 10)], (None, 0)),
        ([(10, 10)], (10, 10)),
        ([(9, 10), (7, 10), (8, 10)], (7, 10)),
        # a masked day may have been judged in between, so what was corrected before still counts
        ([(3, 10), (9, 11)], (3, 11)),
        ([(3, 10), (30, 3 + CORRECTION_DAYS)], (3, 3 + CORRECTION_DAYS)),
        # no alert is judged again that was raised so long ago
        ([(3, 10), (30, 4 + CORRECTION_DAYS)], (30, 4 + CORRECTION_DAYS)),
        ([(3, 40)], (40 - CORRECTION_DAYS, 40)),
    ],
)
def test_a_line_remembers_the_earliest_day_corrected_of_which_an_alert_may_be_judged_again(
    corrections: list[tuple[int, int]], revised: tuple[int | None, int]
) -> None:
    buckets = Buckets()
    add(buckets, 50)
    for day, judged in corrections:
        add(buckets, day, judged=judged)
    line = buckets.lines["calls"]
    assert (line.revised, line.revised_after) == revised


def test_corrections_between_two_judgements_may_come_in_any_order() -> None:
    # judged up to day 40: day 3 is older than any alert that is judged again
    for order in permutations((3, 39, 20)):
        buckets = Buckets()
        for day in order:
            add(buckets, day, judged=40)
        assert buckets.lines["calls"].revised == 40 - CORRECTION_DAYS


def test_a_line_knows_its_sources_by_name_up_to_a_bound() -> None:
    buckets = Buckets()
    for source in ("web", "app", "web"):
        add(buckets, 1, source=source)
    assert buckets.lines["calls"].sources == ("app", "web")
    for order in (range(SOURCE_LIMIT), range(SOURCE_LIMIT - 1, -1, -1)):
        many = Buckets()
        for source in ("web", "app", *(f"made-up-{n}" for n in order)):
            add(many, 1, source=source)
        first = tuple(f"made-up-{n}" for n in range(SOURCE_LIMIT - 1))
        assert many.lines["calls"].sources == ("app", *first)


def test_a_source_that_sent_nothing_that_counts_feeds_no_line() -> None:
    buckets = Buckets()
    add(buckets, 100, SUM_LIMIT, judged=200, oldest=100)
    for day in (99, 100):
        add(buckets, day, judged=200, oldest=100, source="late")
    assert buckets.lines["calls"].sources == ("app",)


def test_blocks_settle_once_they_no_longer_change_and_go_when_nobody_asks() -> None:
    buckets = Buckets()
    for day in range(130):
        add(buckets, day)
    # day 100 - 16 lies in block 60: 0 and 30 are cold
    buckets.settle(100)
    assert (buckets.hot_from, buckets.stale) == (60, {0, 30})
    buckets.stale.clear()
    # a late event of day 40 changes a cold record, one of day 70 does not
    add(buckets, 40, judged=100)
    add(buckets, 70, judged=100)
    assert buckets.stale == {30}
    buckets.stale.clear()
    # day 65 is asked for: the blocks before 60 go
    buckets.trim(65)
    buckets.settle(120)
    assert (buckets.hot_from, buckets.stale) == (90, {0, 30, 60})
    assert values(buckets.lines["calls"]) == {d: 1 + (d == 70) for d in range(60, 130)}


def test_a_metric_that_stopped_keeps_its_place_when_it_is_forgotten() -> None:
    buckets = Buckets()
    add(buckets, 5, 7)
    buckets.trim(300)
    buckets.settle(400)
    line = buckets.lines["calls"]
    assert (values(line), line.start, line.active, len(line.values)) == ({}, 5, 1, 0)
    assert add(buckets, 390, 2, judged=400, oldest=300) is None
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
