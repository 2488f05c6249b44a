from collections.abc import Iterable
from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import TicketOpened
from services.detector.facts.buckets import LINE_LIMIT, TICKETS, TICKETS_HIGH, Buckets
from services.detector.facts.tickets import KNOWN_DAYS, KNOWN_LIMIT, Tickets, mark_of
from tests import builders as a

Told = tuple[str, int, int]
"""A ticket, its day and its priority."""


def fold(
    tickets: Tickets, buckets: Buckets, told: Told, judged: int = 0, source: str = "app"
) -> str | None:
    name, day, priority = told
    one = a.entry(TicketOpened(ticket=name, priority=priority), source=source)
    step = tickets.fold(one, a.moment(one, buckets, day, judged=judged, oldest=judged - 200))
    if step is None or isinstance(step, str):
        return step
    step()
    return None


def counted(told: Iterable[Told], judged: int = 0) -> dict[str, dict[int, int]]:
    """Return the tickets of each day, by line."""
    tickets, buckets = Tickets(), Buckets()
    for one in told:
        assert fold(tickets, buckets, one, judged) is None
    return sums(buckets)


def sums(buckets: Buckets) -> dict[str, dict[int, int]]:
    return {
        name: {line.first + i: each // 1000 for i, each in enumerate(line.values) if each}
        for name, line in buckets.lines.items()
    }


def test_urgent_tickets_are_counted_once_more() -> None:
    told = [("t1", 5, 1), ("t2", 5, 2), ("t3", 5, 3), ("t4", 7, 5)]
    assert counted(told) == {TICKETS: {5: 3, 7: 1}, TICKETS_HIGH: {5: 2}}


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, KNOWN_DAYS), st.integers(1, 4)),
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
def test_a_ticket_counts_once_from_its_first_day_in_whatever_order_it_is_told(
    told: list[Told], chance: object
) -> None:
    first: dict[str, dict[str, int]] = {TICKETS: {}, TICKETS_HIGH: {}}
    for name, day, priority in told:
        for line in (TICKETS, TICKETS_HIGH) if priority <= 2 else (TICKETS,):
            first[line][name] = min(day, first[line].get(name, day))
    expected = {
        line: {day: list(known.values()).count(day) for day in known.values()}
        for line, known in first.items()
        if known
    }
    for order in permutations(told) if len(told) < 4 else [told, told[::-1], sorted(told)]:
        assert counted(order) == expected


def test_a_ticket_that_becomes_urgent_is_urgent_from_then_on() -> None:
    told = [("t1", 5, 3), ("t1", 8, 1), ("t1", 9, 3)]
    for order in permutations(told):
        assert counted(order) == {TICKETS: {5: 1}, TICKETS_HIGH: {8: 1}}


def known(tickets: Tickets) -> dict[int, int]:
    """Return how many tickets of each day are known again."""
    return {day: len(marks) for day, marks in sorted(tickets.days.items())}


def test_a_ticket_is_known_again_while_spikes_look_back_at_it() -> None:
    tickets, buckets = Tickets(), Buckets()
    fold(tickets, buckets, ("old", 5, 1))
    fold(tickets, buckets, ("old", 5, 1))
    fold(tickets, buckets, ("new", 5 + KNOWN_DAYS, 3), judged=5 + KNOWN_DAYS)
    assert known(tickets) == {5: 1, 5 + KNOWN_DAYS: 1}
    fold(tickets, buckets, ("newer", 6 + KNOWN_DAYS, 3), judged=6 + KNOWN_DAYS)
    assert (known(tickets), tickets.urgent) == ({5 + KNOWN_DAYS: 1, 6 + KNOWN_DAYS: 1}, {})
    # told again it counts anew, be it from another day on that it was urgent
    fold(tickets, buckets, ("old", 7 + KNOWN_DAYS, 1), judged=6 + KNOWN_DAYS)
    assert sums(buckets) == {
        TICKETS: {5: 1, 5 + KNOWN_DAYS: 1, 6 + KNOWN_DAYS: 1, 7 + KNOWN_DAYS: 1},
        TICKETS_HIGH: {5: 1, 7 + KNOWN_DAYS: 1},
    }


@pytest.mark.parametrize("repeated", ["at once", "in the end"])
def test_a_hundred_and_fifty_tickets_of_a_day_told_twice_are_a_hundred_and_fifty(
    repeated: str,
) -> None:
    some: list[Told] = [(f"t{n}", 5, 2 + n % 2) for n in range(150)]
    twice = [one for one in some for _ in range(2)] if repeated == "at once" else [*some, *some]
    assert counted(twice) == {TICKETS: {5: 150}, TICKETS_HIGH: {5: 75}}


def test_no_more_tickets_than_so_many_are_known_again_the_oldest_go_and_all_are_counted() -> None:
    tickets, buckets = Tickets(), Buckets()
    a_day = KNOWN_LIMIT // 10
    for n in range(KNOWN_LIMIT + a_day + 2):
        assert fold(tickets, buckets, (f"t{n}", n // a_day, 3)) is None
    # of the first day all have gone, of the second as many as those of the last one
    assert known(tickets) == {1: a_day - 2, **dict.fromkeys(range(2, 11), a_day), 11: 2}
    assert sum(sums(buckets)[TICKETS].values()) == KNOWN_LIMIT + a_day + 2
    # An urgent one has two marks.
    fold(tickets, buckets, ("urgent", 11, 1))
    assert (known(tickets)[1], tickets.urgent) == (a_day - 4, {11: [mark_of("urgent")]})


def test_what_is_known_of_tickets_takes_no_more_than_its_share_of_a_record() -> None:
    """Every mark as large as one can be, on as many days as there can be: urgent ones, and not."""
    for urgent in (False, True):
        tickets, a_day = Tickets(), KNOWN_LIMIT // (KNOWN_DAYS + 1) + 1
        for n in range(KNOWN_LIMIT // (1 + urgent)):
            day = 30_000 + n // a_day
            tickets.days.setdefault(day, []).append(0xFFFF_FFFF - n)
            if urgent:
                tickets.urgent.setdefault(day, []).append(0xFFFF_FFFF - n)
        assert 7_500 < len(msgspec.msgpack.encode(tickets)) < 8 * 1024


def test_what_was_kept_before_there_were_marks_is_known_again() -> None:
    told: list[Told] = [("t1", 5, 3), ("t2", 6, 3), ("t2", 8, 1)]
    now, buckets = Tickets(), Buckets()
    for one in told:
        fold(now, buckets, one)
    before = {mark_of("t1") | 7 << 32: (5, None), mark_of("t2") | 9 << 40: (6, 8)}
    raw = msgspec.msgpack.encode({"opened": before})
    tickets = msgspec.msgpack.decode(raw, type=Tickets)
    assert tickets == now
    for again in (("t1", 9, 3), ("t2", 9, 1)):
        fold(tickets, buckets, again)
    assert sums(buckets) == {TICKETS: {5: 1, 6: 1}, TICKETS_HIGH: {8: 1}}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(tickets), type=Tickets) == now


def test_days_with_tickets_are_those_that_have_any_whatever_was_moved() -> None:
    """`active` stands in the evidence, so that it must not tell in which order they came."""
    for order in permutations([("t1", 11, 1), ("t1", 10, 1), ("t2", 12, 3)]):
        tickets, buckets = Tickets(), Buckets()
        for one in order:
            fold(tickets, buckets, one)
        assert {name: line.active for name, line in buckets.lines.items()} == {
            TICKETS: 2,
            TICKETS_HIGH: 1,
        }


def test_whoever_repeats_a_ticket_feeds_its_line_too() -> None:
    """Else the one who came first would decide whose outages mask the line."""
    told = [(("t1", 5, 1), "desk"), (("t1", 6, 1), "chat"), (("t1", 6, 3), "mail")]
    for order in permutations(told):
        tickets, buckets = Tickets(), Buckets()
        for one, source in order:
            fold(tickets, buckets, one, source=source)
        assert {name: line.sources for name, line in buckets.lines.items()} == {
            TICKETS: ("chat", "desk", "mail"),
            TICKETS_HIGH: ("chat", "desk"),
        }


def test_a_ticket_of_long_ago_is_too_late_and_changes_nothing() -> None:
    tickets, buckets = Tickets(), Buckets()
    assert fold(tickets, buckets, ("t1", 99, 1), judged=300) == "too_late"
    assert (tickets, buckets.lines) == (Tickets(), {})


def test_tickets_have_their_lines_however_many_metrics_there_are() -> None:
    buckets = Buckets()
    for n in range(LINE_LIMIT):
        buckets.add(f"m{n}", 1, 1, -1, "app")
    assert fold(Tickets(), buckets, ("t1", 1, 1)) is None
    assert {TICKETS, TICKETS_HIGH} <= buckets.lines.keys()
