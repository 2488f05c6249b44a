from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import Entry
from schemas.events import ClockTicked
from services.detector.sightings import KEEP_HOURS, SOURCE_LIMIT, Sightings
from tests import builders as a
from tests import playing
from tests.playing import Message

FIRST = a.at(1, 0) // a.HOUR_US
ZONES = ("UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe")

hours = st.lists(st.integers(FIRST, FIRST + 24 * 80), min_size=1, max_size=40)


def seen(told: dict[str, list[int]]) -> Sightings:
    sightings = Sightings()
    for source, when in told.items():
        for hour in when:
            sightings.see(source, hour)
    return sightings


def naive(all_hours: set[int], zone: str, day: int, days: int) -> list[int]:
    """Days of which no hour was seen."""
    touched = set()
    for hour in all_hours:
        for second in (0, 3599):
            at = datetime.fromtimestamp(hour * 3600 + second, UTC).astimezone(ZoneInfo(zone))
            touched.add((at.date() - a.MONDAY).days + 1 + a.START)
    return [d for d in range(day - days + 1, day + 1) if d not in touched]


def dark_days(sightings: Sightings, source: str, zone: str, day: int, days: int) -> list[int]:
    """Days of all spans, which must be apart and in order."""
    spans = sightings.dark_spans(source, zone, day, days)
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(spans))
    return [one for first, last in spans for one in range(first, last + 1)]


@given(hours, hours, st.sampled_from(ZONES), st.integers(1, 90))
def test_a_day_is_dark_if_its_source_was_not_seen_in_any_hour_of_it(
    one: list[int], other: list[int], zone: str, day: int
) -> None:
    sightings = seen({"one": one, "other": other})
    assert list(sightings) == ["one", "other"]
    for source, when in ("one", one), ("other", other):
        asked = (zone, a.START + day, 60)
        assert dark_days(sightings, source, *asked) == naive(set(when), *asked)


@given(st.permutations(range(FIRST, FIRST + 24 * 40, 31)), st.integers(0, 40))
def test_a_restored_record_says_the_same_in_any_order(order: list[int], split: int) -> None:
    whole, restored = seen({"app": sorted(order)}), Sightings()
    part = seen({"app": order[:split]})
    for source, raw in part.changes():
        restored.restore(source, raw)
    for hour in order[split:]:
        restored.see("app", hour)
    asked = ("UTC", a.START + 50, 60)
    assert restored.dark_spans("app", *asked) == whole.dark_spans("app", *asked)


def test_spans_hold_their_first_and_their_last_day() -> None:
    sightings = seen({"app": [a.at(day) // a.HOUR_US for day in (3, 4, 7)]})
    found = sightings.dark_spans("app", "UTC", a.START + 10, 9)
    # days 2 to 10; on day 2 it had never been seen
    days = [(first - a.START, last - a.START) for first, last in found]
    assert days == [(2, 2), (5, 6), (8, 10)]


def test_only_changed_sources_are_written() -> None:
    sightings = seen({"one": [FIRST], "other": [FIRST]})
    assert [source for source, _ in sightings.changes()] == ["one", "other"]
    sightings.see("one", FIRST)
    sightings.see("other", FIRST + 1)
    assert [source for source, _ in sightings.changes()] == ["other"]


def test_hours_of_long_ago_are_forgotten_and_change_nothing() -> None:
    sightings = seen({"app": [FIRST, FIRST + 3 * KEEP_HOURS]})
    day = a.START + 1 + 3 * KEEP_HOURS // 24
    # no rule asks for more than 300 days
    asked = ("app", "UTC", day, KEEP_HOURS // 24)
    dark = [(day - KEEP_HOURS // 24 + 1, day - 1)]
    assert sightings.dark_spans(*asked) == dark
    list(sightings.changes())
    sightings.see("app", FIRST)
    assert sightings.dark_spans(*asked) == dark
    (record,) = seen({"app": range(FIRST, FIRST + 2 * KEEP_HOURS)}).changes()  # type: ignore[dict-item]
    assert len(record[1]) < 1_000


def test_a_producer_that_makes_up_sources_does_not_fill_the_memory() -> None:
    sightings = seen({f"s{n}": [FIRST] for n in range(SOURCE_LIMIT + 5)})
    assert len(sightings.changes()) == SOURCE_LIMIT


@pytest.mark.parametrize("hour", [-1, -(1 << 62), FIRST + 10, FIRST + 24 * 400, (1 << 63) - 1])
def test_an_hour_that_cannot_have_been_is_passed_over_and_nothing_else(hour: int) -> None:
    told = {"app": [FIRST + 9, hour, FIRST + 8], "other": [hour]}
    tick = Entry("t", "ebbwatch", 0, (), ClockTicked(at=a.at(1, 9), mode="live", seen=told))
    log = playing.Log().add(tick, appended=a.at(1, 9.8))
    partition = playing.play(log)
    assert (partition.ledger.record.clock, partition.cut().rejects) == (a.at(1, 9), [])
    assert list(partition.ledger.sightings) == ["app"]
    assert dark_days(partition.ledger.sightings, "app", "UTC", a.START + 2, 2) == [a.START + 2]
    # ten minutes ahead of the log is what events may be, too
    log.add(Entry("u", "ebbwatch", 0, (), ClockTicked(at=a.at(1, 9.8), mode="live", seen=told)))
    playing.play([Message(1, a.at(1, 9.9), log.messages[1].value)], partition)
    assert list(partition.ledger.sightings) == (["app", "other"] if hour == FIRST + 10 else ["app"])
