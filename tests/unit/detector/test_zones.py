"""An account's days in its own time zone, and what a change of zone does to them."""

import pytest

from schemas.envelope import Entry
from schemas.events import ClockTicked
from services.detector.partition import Partition
from tests import builders as a
from tests.unit.detector.views import began, sums

ACME = "account:acme"


def zone_story(*changes: Entry, until: float = 13) -> a.Log:
    """One unit at every full hour from day 8 on, ticks between them, and some changes of zone."""
    log = a.Log().add(a.tick(8, 0))
    waiting = sorted(changes, key=lambda one: one.time)
    hour = 0
    while (at := a.at(8, hour)) < a.at(until, 0):
        due = [one for one in waiting if one.time <= at]
        waiting = waiting[len(due) :]
        tick = ClockTicked(at=at + 1, mode="live", seen={"app": [at // a.HOUR_US]})
        system = Entry("", "ebbwatch", 0, (), tick)
        log.add(*due, a.usage(time=at), system, appended=at + 1)
        hour += 1
    return log


def test_an_account_in_a_zone_of_half_hours_has_its_own_days() -> None:
    log = zone_story(a.zone("Asia/Kolkata", day=8, hour=0))
    # day 9 begins there at 18:30 UTC of day 8: hours 0 to 18 are day 8, then 24 a day
    assert sums(a.play(log)) == {8: 19, 9: 24, 10: 24, 11: 24, 12: 24, 13: 5}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Pacific/Auckland"])
def test_a_change_of_zone_loses_nothing_and_judges_no_day_twice(zone: str) -> None:
    log = zone_story(a.zone(zone, day=10, hour=5), until=14)
    partition = a.apply(Partition.begin(0, 1), log.messages[:1])
    judged: list[tuple[str, int]] = []
    for message in log.messages[1:]:
        partition.apply(*message)
        profile = partition.accounts[ACME].facts.profile
        judged += [
            (one.zone, one.day - a.START)
            for one in partition.ledger.record.closings
            if profile.zone_of(one.day) == one.zone
        ]
        a.settle(partition)
    assert sum(sums(partition).values()) == len(log.messages) - 1
    days = [day for _, day in judged]
    assert days == list(range(8, 8 + len(days)))
    assert len({zone for zone, _ in judged}) == 2


@pytest.mark.parametrize(
    "on, hours",
    # the clocks go forward on 29 March, day 84, and back on 25 October, day 294
    [(84, 23), (294, 25)],
)
def test_a_day_on_which_the_clocks_change_has_as_many_hours_as_it_has(on: int, hours: int) -> None:
    log = a.Log().add(a.tick(on - 3, 12), a.zone("Europe/Berlin", day=on - 3, hour=12))
    for hour in range(-24, 60):
        at = a.at(on, hour)
        tick = Entry("", "ebbwatch", 0, (), ClockTicked(at=at, mode="live"))
        log.add(tick, a.usage(time=at), appended=at)
    partition = a.play(log)
    found = sums(partition)
    assert [found[day] for day in (on, on + 1)] == [hours, 24]


def test_zones_are_looked_after_by_an_event_of_the_account_alone() -> None:
    partition = a.play(began(a.zone("Asia/Kolkata", day=10)))
    assert partition.ledger.record.opened == {"UTC": a.START + 9, "Asia/Kolkata": a.START + 9}
    assert partition.accounts[ACME].facts.profile.timezone == "Asia/Kolkata"


def moved(first: str, *late: Entry) -> Partition:
    """Ten days in one zone, ticked every three hours; then some entries, late on day 10."""
    ticks = [a.tick(day, hour) for day in range(2, 10) for hour in range(0, 24, 3)]
    begin = (a.tick(1, 2), a.zone(first, hour=3), *ticks, a.tick(10, 0))
    return a.play(a.Log().each(*begin, *late))


@pytest.mark.parametrize("order", [1, -1])
def test_a_change_of_zone_to_the_west_may_come_before_or_after_usage(order: int) -> None:
    west = a.zone("Pacific/Honolulu", day=10, hour=1, id="z")
    partition = moved("Pacific/Auckland", *[west, a.usage(day=10, hour=0.9, id="u")][::order])
    # 13 hours ahead day 10 has begun; in Honolulu, 10 hours behind, it is day 9 still
    profile = partition.accounts[ACME].facts.profile
    assert (profile.zone_before, profile.zone, profile.zone_from) == (
        "Pacific/Auckland",
        "Pacific/Honolulu",
        a.START + 11,
    )
    assert sums(partition) == {10: 1}


@pytest.mark.parametrize("order", [1, -1])
def test_two_changes_of_zone_on_a_day_may_come_in_any_order(order: int) -> None:
    east = a.zone("Pacific/Auckland", day=10, hour=1, id="z1")
    home = a.zone("Europe/Berlin", day=10, hour=2, id="z2")
    profile = moved("America/New_York", *[east, home][::order]).accounts[ACME].facts.profile
    assert (profile.zone_before, profile.zone, profile.zone_from) == (
        "America/New_York",
        "Europe/Berlin",
        a.START + 11,
    )
