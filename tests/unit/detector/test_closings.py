from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector.calendars import due_at, local_day
from services.detector.closings import UNKNOWN, Closings
from services.detector.completeness import Completeness
from services.detector.facts.profile import Profile
from services.detector.incident import Incidents
from services.detector.ledger import Ledger
from services.detector.pending import Pending
from services.detector.rulebook import RuleBook
from tests import builders as a

HISTORY = 60


def opened(ledger: Ledger) -> list[tuple[str, int]]:
    return [(one.zone, one.day - a.START) for one in ledger.record.closings]


def closings_of(ledger: Ledger) -> Closings:
    incidents = Incidents(0, ledger, RuleBook(ledger), Pending(0))
    return Closings(ledger, Completeness(ledger), incidents)


def began(clock: int, *zones: str) -> tuple[Ledger, Closings]:
    ledger = Ledger(1)
    closings = closings_of(ledger)
    for zone in zones:
        closings.ensure(zone)
    closings.advance(clock, 0, HISTORY)
    return ledger, closings


def test_days_before_the_first_tick_are_never_judged() -> None:
    ledger = Ledger(1)
    closings = closings_of(ledger)
    closings.ensure("UTC")
    assert closings.newest(Profile()) == UNKNOWN
    closings.advance(a.at(10, 0.5), 0, HISTORY)
    assert (opened(ledger), closings.newest(Profile()) - a.START) == ([], 9)


def test_a_day_is_opened_when_it_is_due_and_only_once() -> None:
    ledger, closings = began(a.at(10), "UTC")
    closings.advance(a.at(11, 1.999), 1, HISTORY)
    assert opened(ledger) == []
    closings.advance(a.at(11, 2), 2, HISTORY)
    closings.advance(a.at(11, 5), 3, HISTORY)
    assert opened(ledger) == [("UTC", 10)]
    assert ledger.record.closings[0].offset == 2


def test_days_that_nobody_ticked_are_made_up_for_in_order_of_due() -> None:
    ledger, closings = began(a.at(10), "UTC", "Asia/Kolkata", "America/New_York")
    closings.advance(a.at(12, 12), 1, HISTORY)
    assert opened(ledger) == [
        ("Asia/Kolkata", 10),
        ("UTC", 10),
        ("America/New_York", 10),
        ("Asia/Kolkata", 11),
        ("UTC", 11),
        ("America/New_York", 11),
    ]
    dues = [one.due for one in ledger.record.closings]
    assert dues == sorted(dues)


@given(
    st.lists(st.integers(1, 80), min_size=1, max_size=30),
    st.lists(st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia", "UTC"])),
)
def test_every_day_of_a_zone_is_opened_once_whatever_the_ticks(
    hours: list[int], zones: list[str]
) -> None:
    ledger, closings = began(a.at(60, 0))
    first: dict[str, int] = {}
    clock = a.at(60, 0)
    for n, step in enumerate(hours):
        if n < len(zones) and zones[n] not in first:
            closings.ensure(zones[n])
            first[zones[n]] = local_day(zones[n], clock)
        clock += step * a.HOUR_US
        closings.advance(clock, n + 1, HISTORY)
    for zone, day in first.items():
        found = [one.day for one in ledger.record.closings if one.zone == zone]
        now = datetime.fromtimestamp(clock // 1_000_000, UTC).astimezone(ZoneInfo(zone))
        last = day + len(found) - 1
        assert found == list(range(day, day + len(found)))
        # a zone's first day is the one on which it came: the day before is never opened
        assert found == [] or due_at(zone, last) <= clock
        assert clock < due_at(zone, last + 1)
        assert 0 <= local_day(zone, clock) - last <= 2, now
    dues = [one.due for one in ledger.record.closings]
    assert all(one <= other for one, other in pairwise(dues))


def test_a_restored_ledger_goes_on_where_it_stood() -> None:
    ledger, closings = began(a.at(10), "UTC")
    closings.advance(a.at(11, 3), 1, HISTORY)
    parts = {key: raw for key, raw in ledger.changes() if raw is not None}
    restored = Ledger.restore(parts, 1, 10)
    again = closings_of(restored)
    for one, its in ((ledger, closings), (restored, again)):
        its.advance(a.at(13, 3), 2, HISTORY)
        assert opened(one) == [("UTC", 10), ("UTC", 11), ("UTC", 12)]


@pytest.mark.parametrize(
    "day, newest",
    # a change to Kolkata at noon of day 20, judged in UTC up to day 19 until its day 21 is due
    [(20.5, 19), (21.13, 20), (21.86, 21), (22.86, 22)],
)
def test_the_newest_judged_day_follows_a_change_of_zone(day: float, newest: int) -> None:
    _, closings = began(a.at(20), "UTC")
    profile = Profile(zone="Asia/Kolkata", zone_from=a.START + 21, zone_before="UTC")
    closings.ensure("Asia/Kolkata")
    closings.advance(a.at(day, 0.01), 1, HISTORY)
    assert closings.newest(profile) - a.START == newest


def test_a_closing_says_what_is_masked_in_it() -> None:
    ledger, closings = began(a.at(10), "UTC")
    ledger.record.rules, ledger.record.mode = 7, "importing"
    ledger.close_for_all(a.closure_for_all(8, 30).event)  # type: ignore[arg-type]
    ledger.close_for_all(a.closure_for_all(1, 2).event)  # type: ignore[arg-type]
    for source, days in (("app", (3, 4, 6)), ("web", (3, 5, 6, 9))):
        for day in days:
            ledger.sightings.see(source, a.at(day) // a.HOUR_US)
    closings.advance(a.at(11, 2), 5, 9)
    (closing,) = ledger.record.closings
    assert [day - a.START for day in closing.closures] == [2, 8, 9, 10]
    # the nine days up to 10; those before a source was first seen are dark too
    assert {
        source: [(first - a.START, last - a.START) for first, last in spans]
        for source, spans in closing.outages.items()
    } == {"app": [(2, 2), (5, 5), (7, 10)], "web": [(2, 2), (4, 4), (7, 8), (10, 10)]}
    assert (closing.due, closing.rules, closing.offset, closing.historic, closing.cursor) == (
        a.at(11, 2),
        7,
        5,
        True,
        (-1, ""),
    )
