from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from services.detector.sightings import KEEP_HOURS, SOURCE_LIMIT, Sightings
from tests import builders as a

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
    """Days after the first sighting of which no hour was seen."""
    touched = set()
    for hour in all_hours:
        for second in (0, 3599):
            at = datetime.fromtimestamp(hour * 3600 + second, UTC).astimezone(ZoneInfo(zone))
            touched.add((at.date() - a.MONDAY).days + 1 + a.START)
    return [d for d in range(day - days + 1, day + 1) if d > min(touched) and d not in touched]


@given(hours, hours, st.sampled_from(ZONES), st.integers(1, 90))
def test_a_day_is_dark_if_no_source_of_the_metric_was_seen_after_the_first_sighting(
    one: list[int], other: list[int], zone: str, day: int
) -> None:
    sightings = seen({"one": one, "other": other})
    for sources, when in (("one",), one), (("one", "other", "unknown"), one + other):
        expected = naive(set(when), zone, a.START + day, 60)
        assert sightings.dark_days(sources, zone, a.START + day, 60) == expected


@given(st.permutations(range(FIRST, FIRST + 24 * 40, 31)), st.integers(0, 40))
def test_a_restored_record_says_the_same_in_any_order(order: list[int], split: int) -> None:
    whole, restored = seen({"app": sorted(order)}), Sightings()
    part = seen({"app": order[:split]})
    for source, raw in part.changes():
        restored.restore(source, raw)
    for hour in order[split:]:
        restored.see("app", hour)
    asked = ("UTC", a.START + 50, 60)
    assert restored.dark_days(["app"], *asked) == whole.dark_days(["app"], *asked)


def test_a_source_of_which_nothing_is_known_makes_no_day_dark() -> None:
    assert Sightings().dark_days(["app"], "UTC", a.START + 9, 9) == []


def test_only_changed_sources_are_written() -> None:
    sightings = seen({"one": [FIRST], "other": [FIRST]})
    assert [source for source, _ in sightings.changes()] == ["one", "other"]
    sightings.see("one", FIRST)
    sightings.see("other", FIRST + 1)
    assert [source for source, _ in sightings.changes()] == ["other"]


def test_hours_of_long_ago_are_forgotten_and_change_nothing() -> None:
    sightings = seen({"app": [FIRST, FIRST + 3 * KEEP_HOURS]})
    day = a.START + 1 + 3 * KEEP_HOURS // 24
    # only what is kept can be dark: 300 days before the one that was seen
    dark = sightings.dark_days(["app"], "UTC", day, 2 * KEEP_HOURS // 24)
    assert dark == list(range(day - KEEP_HOURS // 24, day))
    list(sightings.changes())
    sightings.see("app", FIRST)
    assert sightings.dark_days(["app"], "UTC", day, 2 * KEEP_HOURS // 24) == dark
    (record,) = seen({"app": range(FIRST, FIRST + 2 * KEEP_HOURS)}).changes()  # type: ignore[dict-item]
    assert len(record[1]) < 1_000


def test_a_producer_that_makes_up_sources_does_not_fill_the_memory() -> None:
    sightings = seen({f"s{n}": [FIRST] for n in range(SOURCE_LIMIT + 5)})
    assert len(sightings.changes()) == SOURCE_LIMIT
