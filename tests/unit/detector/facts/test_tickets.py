from collections.abc import Iterable
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import TicketOpened
from services.detector.facts.buckets import LINE_LIMIT, TICKETS, TICKETS_HIGH, Buckets
from services.detector.facts.tickets import KNOWN_DAYS, KNOWN_LIMIT, Tickets
from tests import builders as a

Told = tuple[str, int, int]
"""A ticket, its day and its priority."""


def fold(tickets: Tickets, buckets: Buckets, told: Told, judged: int = 0) -> str | None:
    name, day, priority = told
    one = a.entry(TicketOpened(ticket=name, priority=priority))
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


def test_a_ticket_is_known_again_while_spikes_look_back_at_it() -> None:
    tickets, buckets = Tickets(), Buckets()
    fold(tickets, buckets, ("old", 5, 3))
    fold(tickets, buckets, ("new", 5 + KNOWN_DAYS, 3), judged=5 + KNOWN_DAYS)
    assert len(tickets.opened) == 2
    fold(tickets, buckets, ("newer", 6 + KNOWN_DAYS, 3), judged=6 + KNOWN_DAYS)
    assert sorted(one.day for one in tickets.opened.values()) == [5 + KNOWN_DAYS, 6 + KNOWN_DAYS]


def test_no_more_tickets_than_so_many_are_remembered_and_all_are_counted() -> None:
    tickets, buckets = Tickets(), Buckets()
    for n in range(KNOWN_LIMIT + 20):
        assert fold(tickets, buckets, (f"t{n}", n // 10, 3)) is None
    assert len(tickets.opened) == KNOWN_LIMIT
    assert min(one.day for one in tickets.opened.values()) == 2
    assert sum(sums(buckets)[TICKETS].values()) == KNOWN_LIMIT + 20


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
