"""An account's days in its own time zone, and what a change of zone does to them."""

import msgspec
import pytest

from schemas.config import Input, RuleSetContent
from schemas.envelope import Entry
from schemas.events import ClockTicked, RulesApplied
from services.detector.facts.profile import ZONES_LIMIT
from services.detector.partition import Partition
from tests import builders as a
from tests import playing
from tests.faults.oracle import recount
from tests.unit.detector.views import began, sums

ACME = "account:acme"


def zone_story(*changes: Entry, until: float = 13) -> playing.Log:
    """One unit at every full hour from day 8 on, ticks between them, and some changes of zone."""
    log = playing.Log().add(a.tick(8, 0))
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
    assert sums(playing.play(log)) == {8: 19, 9: 24, 10: 24, 11: 24, 12: 24, 13: 5}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Pacific/Auckland"])
def test_a_change_of_zone_loses_nothing_and_judges_no_day_twice(zone: str) -> None:
    log = zone_story(a.zone(zone, day=10, hour=5), until=14)
    partition = playing.apply(Partition.begin(0, 1), log.messages[:1])
    judged: list[tuple[str, int]] = []
    for message in log.messages[1:]:
        partition.apply(*message)
        profile = partition.accounts[ACME].facts.profile
        judged += [
            (one.zone, one.day - a.START)
            for one in partition.ledger.record.closings
            if profile.zone_of(one.day) == one.zone
        ]
        playing.settle(partition)
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
    log = playing.Log().add(a.tick(on - 3, 12), a.zone("Europe/Berlin", day=on - 3, hour=12))
    for hour in range(-24, 60):
        at = a.at(on, hour)
        tick = Entry("", "ebbwatch", 0, (), ClockTicked(at=at, mode="live"))
        log.add(tick, a.usage(time=at), appended=at)
    partition = playing.play(log)
    found = sums(partition)
    assert [found[day] for day in (on, on + 1)] == [hours, 24]


def test_zones_are_looked_after_by_an_event_of_the_account_alone() -> None:
    partition = playing.play(began(a.zone("Asia/Kolkata", day=10)))
    assert partition.ledger.record.opened == {"UTC": a.START + 9, "Asia/Kolkata": a.START + 9}
    assert partition.accounts[ACME].facts.profile.timezone == "Asia/Kolkata"


def moved(first: str, *late: Entry) -> Partition:
    """Ten days in one zone, ticked every three hours; then some entries, late on day 10."""
    ticks = [a.tick(day, hour) for day in range(2, 10) for hour in range(0, 24, 3)]
    begin = (a.tick(1, 2), a.zone(first, hour=3), *ticks, a.tick(10, 0))
    return playing.play(playing.Log().each(*begin, *late))


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


def both_ways(log: playing.Log) -> tuple[Partition, Partition]:
    """Return a log judged at once, and judged when all of it was folded."""
    return playing.play(log), playing.settle(playing.apply(Partition.begin(0, 1), log))


def test_a_second_move_lets_no_day_be_judged_that_had_closed_elsewhere_before_it() -> None:
    """Two moves around midnight: on Tokyo's day 3 the account was in UTC still, where it went on.

    Another account keeps Tokyo's days closing; day 3 has ended there at 15:00 UTC.
    """
    log = playing.Log().add(a.rules(a.silent(2)), a.tick(1, 10, seen={"app": [0, 1]}))
    log.each(a.usage(day=1, hour=9), a.zone("Asia/Tokyo", account="other", day=1, hour=10))
    log.each(*(a.tick(day, 3, seen={"app": [day - 1, day]}) for day in (2, 3)))
    log.add(a.zone("Asia/Tokyo", day=3, hour=3.1))  # counts from day 4 on
    log.add(a.tick(3, 17.1, seen={"app": [3]}))
    log.add(a.zone("America/New_York", day=3, hour=17.2))  # from day 5 on
    profile = playing.play(log).accounts[ACME].facts.profile
    assert [profile.zone_of(a.START + day) for day in (3, 4, 5)] == [
        "UTC",
        "Asia/Tokyo",
        "America/New_York",
    ]
    soon, late = both_ways(log)
    assert (playing.told(soon.cut().alerts), playing.told(late.cut().alerts)) == ([], [])
    log.add(a.tick(4, 2, seen={"app": [3]}))
    expected = [("acme", "silent", "activity", "raised", 3)]
    assert [playing.told(one.cut().alerts) for one in both_ways(log)] == [expected, expected]


HELD_UP = 4
"""The day on which Tokyo's end is complete, and that of New York is not."""


def nomad(moves: int) -> playing.Log:
    """An account that moves between Tokyo and New York every other day, while its days wait.

    It moves at 03:00 on the days 1, 3, 5 ..., so that the days 2 and 3 are Tokyo's, 4 and 5 New
    York's; it was seen last on day 2, so that it is silent for two days at the end of day 4.
    Another account keeps Tokyo's days closing.
    """
    content = RuleSetContent(
        rules=[a.silent(2)], inputs={"crm": Input(topic="crm", format="cloudevents", source="crm")}
    )
    told = RulesApplied(n=1, content=msgspec.json.encode(content).decode())
    log = playing.Log().add(Entry("", "ebbwatch", 0, (), told), _crm(1, 1, until=a.at(1, 1)))
    log.each(a.zone("Asia/Tokyo", account="other", day=1, hour=1.5), a.usage(day=2))
    for n in range(moves):
        log.add(_crm(1 + 2 * n, 3, until=a.at(1, 1)))
        log.add(a.zone(["Asia/Tokyo", "America/New_York"][n % 2], day=1 + 2 * n, hour=3))
    return log


def _crm(day: float, hour: float, until: int) -> Entry:
    """A tick that says how far the CRM has come; usage is seen on every day."""
    seen = {"app": [a.at(one) // a.HOUR_US for one in range(1, 40)]}
    event = ClockTicked(at=a.at(day, hour), mode="live", complete_until={"crm/0": until}, seen=seen)
    return Entry("", "ebbwatch", 0, (), event)


@pytest.mark.parametrize("lost", range(5))
def test_however_often_an_account_moves_it_matters_not_when_its_days_are_judged(lost: int) -> None:
    """So many zones are forgotten: UTC, Tokyo until day 4, New York until day 6 ..."""
    moves = ZONES_LIMIT + lost
    log, last = nomad(moves), 1 + 2 * moves
    # Tokyo's days 2 to 4 open, all at once; New York's day 4 ends fourteen hours later
    log.add(_crm(last, 3, until=a.at(HELD_UP, 18)))
    log.add(a.zone(["Asia/Tokyo", "America/New_York"][moves % 2], day=last, hour=3))
    log.add(_crm(last, 3.1, until=a.at(last, 3)))
    soon, late = both_ways(log)
    # a day of which nobody knows any more where it ended is judged nowhere
    expected = [("acme", "silent", "activity", "raised", max(HELD_UP, 2 * lost))]
    assert [playing.told(one.cut().alerts) for one in (soon, late)] == [expected, expected]
    assert playing.told(recount({0: log.messages}).alerts["acme"]) == expected
    assert len(soon.accounts[ACME].facts.profile.zones) == ZONES_LIMIT
