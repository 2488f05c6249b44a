from hypothesis import given
from hypothesis import strategies as st

from services.detector.facts.buckets import PEOPLE, Buckets
from services.detector.facts.people import PAGE_SIZE, SEEN_DAYS, People, active_days, mark
from tests import builders as a


def fold(
    people: People,
    buckets: Buckets,
    day: int,
    who: str | None,
    judged: int = 0,
    source: str = "app",
) -> None:
    one = a.usage(person=who, source=source)
    step = people.fold(one, a.moment(one, buckets, day, judged=judged, oldest=judged - 500))
    assert not isinstance(step, str)
    if step is not None:
        step()


@given(st.lists(st.integers(1000, 1000 + SEEN_DAYS - 1), min_size=1), st.integers(990, 1140))
def test_active_days_are_counted_once_in_any_order(days: list[int], asked: int) -> None:
    packed: int | None = None
    seen: set[int] = set()
    for day in days:
        packed, new = mark(packed, day)
        assert new is (day not in seen)
        seen.add(day)
    assert packed is not None
    for width in (1, 7, 28):
        expected = {day for day in seen if asked - width < day <= asked}
        assert active_days(packed, asked, width) == len(expected)


def test_a_correction_of_more_than_nine_weeks_ago_counts_nobody() -> None:
    packed, _ = mark(None, 1000)
    assert mark(packed, 1000 - SEEN_DAYS) == (packed, False)
    assert mark(packed, 1000 - SEEN_DAYS + 1)[1] is True
    assert mark(packed, 1000 + SEEN_DAYS) == (1000 + SEEN_DAYS << SEEN_DAYS | 1, True)


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abcde"))))
def test_the_line_of_people_counts_distinct_ones(active: list[tuple[int, str]]) -> None:
    people, buckets = People(), Buckets()
    for day, who in active:
        fold(people, buckets, day, who)
    expected = {day: len({who for d, who in active if d == day}) for day, _ in active}
    line = buckets.lines.get(PEOPLE)
    assert {day: line.at(day) if line else 0 for day in expected} == {
        day: 1000 * count for day, count in expected.items()
    }


def test_whoever_sees_a_person_a_second_time_feeds_the_line_too() -> None:
    """Else the one who came first would decide whose outages mask the line."""
    people, buckets = People(), Buckets()
    for source in ("web", "app", "web"):
        fold(people, buckets, 5, "u1", source=source)
    line = buckets.lines[PEOPLE]
    assert (line.sources, line.at(5)) == (("app", "web"), 1000)


def test_nobody_is_counted_where_the_person_is_not_told() -> None:
    people, buckets = People(), Buckets()
    fold(people, buckets, 5, None)
    assert (list(people), buckets.lines) == ([], {})


def test_more_people_than_a_page_holds_are_spread_over_two() -> None:
    people, buckets = People(), Buckets()
    everybody = {f"u{n}" for n in range(PAGE_SIZE + 1)}
    for who in sorted(everybody):
        fold(people, buckets, 5, who)
    assert ({who for who, _ in people}, len(people.pages)) == (everybody, 2)
    assert people.stale == {0, 1}
    assert max(len(page) for page in people.pages) < 0.6 * PAGE_SIZE
    assert buckets.lines[PEOPLE].at(5) == 1000 * (PAGE_SIZE + 1)
    people.stale.clear()
    # who is known is found on the new page, and is not counted again
    fold(people, buckets, 5, "u7")
    assert (people.stale, buckets.lines[PEOPLE].at(5)) == (set(), 1000 * (PAGE_SIZE + 1))


def test_those_whom_no_rule_asks_for_make_room_first() -> None:
    people, buckets = People(), Buckets()
    for n in range(PAGE_SIZE):
        fold(people, buckets, 100 if n % 2 else 400, f"u{n}")
    fold(people, buckets, 400, "new", judged=100 + 211)
    assert len(people.pages) == 1
    assert (people.get("u1"), people.get("u0")) == (None, mark(None, 400)[0])
    assert len(people.pages[0]) == PAGE_SIZE // 2 + 1
