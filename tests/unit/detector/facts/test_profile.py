from datetime import date
from itertools import permutations
from typing import Any

import pytest

from schemas.envelope import Entry
from services.detector.calendars import local_day
from services.detector.facts.profile import CLOSURE_LIMIT, Profile
from tests import builders as a


def folded(*entries: Entry, clock: int = a.at(10)) -> Profile:
    profile = Profile()
    for one in entries:
        assert profile.fold(one, a.moment(one, clock=clock)) is None
    return profile


def attributes(profile: Profile, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(profile, name) for name in names)


def test_each_attribute_is_what_the_newest_event_says_in_any_order() -> None:
    told = (
        a.profile({"owner": "ana", "arr": 5, "name": "Acme"}, day=1, id="a"),
        a.profile({"owner": "bo"}, day=2, id="b"),
        a.profile({"arr": None, "renewal_on": date(2026, 8, 1)}, day=3, id="c"),
        # the same moment as the one before: the greater id holds
        a.profile({"renewal_on": date(2026, 9, 1)}, day=3, id="d"),
    )
    for order in permutations(told):
        found = attributes(folded(*order), "owner", "arr", "name", "renewal_on", "seats")
        assert found == ("bo", None, "Acme", date(2026, 9, 1), None)


def test_a_zone_that_does_not_exist_is_refused_with_all_that_came_with_it() -> None:
    profile = Profile()
    told = a.profile({"timezone": "Mars/Olympus", "owner": "ana"})
    assert profile.fold(told, a.moment(told)) == "unknown_timezone"
    assert profile == Profile()


def test_a_new_zone_counts_from_its_next_day() -> None:
    # 12:00 UTC on day 10 is 17:30 in Kolkata: day 11 begins there at 18:30 UTC
    profile = folded(a.zone("Asia/Kolkata"), clock=a.at(10, 12))
    assert attributes(profile, "zone", "zone_from", "zone_before") == (
        "Asia/Kolkata",
        a.START + 11,
        "UTC",
    )
    filed = {hour: profile.day_of(a.at(10, hour)) - a.START for hour in (1, 18, 18.49, 18.5, 23)}
    assert filed == {1: 10, 18: 10, 18.49: 10, 18.5: 11, 23: 11}
    assert [profile.zone_of(a.START + day) for day in (10, 11)] == ["UTC", "Asia/Kolkata"]


def test_the_same_zone_again_moves_nothing() -> None:
    profile = folded(a.zone("Asia/Kolkata", day=1, id="a"), a.zone("Asia/Kolkata", day=2, id="b"))
    assert (profile.zone_before, profile.zone_from) == ("UTC", a.START + 11)


def test_a_zone_that_is_cleared_is_utc() -> None:
    profile = folded(a.zone("Asia/Kolkata", day=1, id="a"), a.zone(None, day=2, id="b"))
    assert attributes(profile, "zone", "timezone") == ("UTC", None)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "Pacific/Auckland"])
def test_every_moment_before_the_new_zone_lies_before_its_first_day(zone: str) -> None:
    clock = a.at(10, 12)
    profile = folded(a.zone(zone), clock=clock)
    for hours in range(-48, 48):
        at = clock + hours * a.HOUR_US
        day = profile.day_of(at)
        if local_day(zone, at) >= profile.zone_from:
            assert day == local_day(zone, at)
        else:
            assert day == min(local_day("UTC", at), profile.zone_from - 1)


def test_closures_stand_once_and_in_order_up_to_a_bound() -> None:
    profile = folded(a.closure(20, 21), a.closure(3, 4), a.closure(20, 21))
    assert profile.closures == [(a.START + 3, a.START + 4), (a.START + 20, a.START + 21)]
    for n in range(CLOSURE_LIMIT - 2):
        one = a.closure(100 + n, 100 + n)
        assert profile.fold(one, a.moment(one)) is None
    more = a.closure(999, 999)
    assert profile.fold(more, a.moment(more)) == "too_many_closures"
    assert len(profile.closures) == CLOSURE_LIMIT
