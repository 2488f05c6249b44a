from datetime import date
from itertools import permutations
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import Entry
from schemas.events import ContractEnded, ContractSigned
from services.detector.facts.buckets import CORRECTION_DAYS
from services.detector.facts.seats import CONTRACT_LIMIT, TOLD_LIMIT, Seats
from tests import builders as a


def crm(seats: int | None, day: float, id: str = "", hour: float = 12) -> Entry:
    return a.profile({"seats": seats}, day=day, hour=hour, id=id or f"crm-{day}")


def signed(
    seats: int | None, first: int, last: int, *, on: float = 1, name: str = "c1", **where: Any
) -> Entry:
    """A contract; one that names no seats is of something else."""
    event = ContractSigned(
        contract=name,
        lines=[],
        currency="EUR",
        start_on=a.on(first),
        end_on=a.on(last),
        seats=msgspec.UNSET if seats is None else seats,
    )
    return a.entry(event, day=on, id=f"{name}-{on}", **where)


def ended(last: int, *, on: float = 1, name: str = "c1") -> Entry:
    event = ContractEnded(contract=name, ended_on=a.on(last))
    return a.entry(event, day=on, id=f"{name}-end-{on}")


def days(*told: Entry, end: int = 10) -> list[float]:
    """Return the seats of the days 1 to `end`, 0 where none are known."""
    return filled(folded(*told), end)


def folded(*told: Entry) -> Seats:
    seats = Seats()
    for one in told:
        step = seats.fold(one, a.moment(one))
        assert not isinstance(step, str)
        if step is not None:
            step()
    return seats


def filled(seats: Seats, end: int = 10) -> list[float]:
    found = np.zeros(end)
    seats.fill(found, a.START + 1)
    return [float(one) for one in found]


def stretch(*told: tuple[int, float]) -> list[float]:
    return [each for length, each in told for _ in range(length)]


@pytest.mark.parametrize(
    "told, expected",
    [
        ((), [(10, 0)]),
        ((crm(40, 4),), [(3, 0), (7, 40)]),
        ((crm(40, -50),), [(10, 40)]),
        ((crm(40, 4), crm(40, 6), crm(60, 8)), [(3, 0), (4, 40), (3, 60)]),
        ((crm(40, 4), crm(None, 6), crm(30, 8)), [(3, 0), (2, 40), (2, 0), (3, 30)]),
        ((crm(40, 4), crm(30, 5), crm(40, 6)), [(3, 0), (1, 40), (1, 30), (5, 40)]),
        ((crm(40, 4, "a"), crm(50, 4, "b")), [(3, 0), (7, 50)]),
        # what was told last of a day holds, and what is told again is no less true for it
        ((crm(10, 4.1), crm(20, 4.2), crm(10, 4.3), crm(10, 5)), [(3, 0), (7, 10)]),
        ((crm(10, 3), crm(20, 4), crm(10, 5), crm(10, 6)), [(2, 0), (1, 10), (1, 20), (6, 10)]),
        ((signed(20, 3, 6),), [(2, 0), (4, 20), (4, 0)]),
        # a contract goes before what the CRM says, while it lasts
        ((crm(40, 1), signed(20, 3, 6)), [(2, 40), (4, 20), (4, 40)]),
        ((signed(20, 1, 6), signed(5, 4, 10, name="c2")), [(3, 20), (3, 25), (4, 5)]),
        ((signed(20, 1, 10), signed(30, 4, 10, on=2)), [(3, 0), (7, 30)]),
        ((signed(20, 1, 10), ended(5, on=3)), [(5, 20), (5, 0)]),
        # signed again after it ended; and ended again
        ((signed(20, 1, 9), ended(5, on=3), signed(30, 2, 10, on=4)), [(1, 0), (9, 30)]),
        (
            (signed(20, 1, 9), ended(5, on=3), signed(30, 2, 10, on=4), ended(7, on=5)),
            [(1, 0), (6, 30), (3, 0)],
        ),
        ((crm(40, 1), signed(None, 3, 6)), [(10, 40)]),
    ],
)
def test_seats_are_what_was_told_of_each_day_in_whatever_order(
    told: tuple[Entry, ...], expected: list[tuple[int, float]]
) -> None:
    for order in permutations(told):
        assert days(*order) == stretch(*expected)


def kept(seats: Seats) -> list[tuple[int, int]]:
    return [(one.day - a.START, one.seats) for one in seats.told]


def test_the_same_number_told_every_day_takes_one_place_a_day_for_four_weeks() -> None:
    seats = folded(*(crm(40, day + part) for day in range(1, 60) for part in (0, 0.2)), crm(50, 60))
    four_weeks = range(60 - CORRECTION_DAYS + 1, 60)
    assert kept(seats) == [(1, 40), *((day, 40) for day in four_weeks), (60, 50)]


@given(
    st.lists(st.tuples(st.integers(0, 95), st.sampled_from([10, 20])), min_size=1, max_size=14),
    st.randoms(use_true_random=False),
)
def test_seats_that_arrive_within_two_days_are_the_same_in_whatever_order(
    told: list[tuple[int, int]], chance: Random
) -> None:
    """A CRM that syncs every hour for weeks, and four days of what it tells then."""
    before = [(10 + day // 20, day, 12) for day in range(1, 70)]
    some = [(seats, 70, hour) for hour, seats in sorted(told)]
    synced = [crm(seats, day, hour=hour) for seats, day, hour in before]
    entries = [crm(seats, day, f"e{n:02}", hour=hour) for n, (seats, day, hour) in enumerate(some)]
    arrival = {one.id: one.time + chance.random() * 48 * a.HOUR_US for one in entries}
    in_time = folded(*synced, *entries, crm(30, 110))
    late = folded(*synced, *sorted(entries, key=lambda one: arrival[one.id]), crm(30, 110))
    assert late == in_time
    truth = [0.0] * 80
    for seats, day, hour in (*before, *some):
        begin = day + hour // 24 - 1
        truth[begin:] = [float(seats)] * (80 - begin)
    assert filled(late, 80) == truth


def test_other_attributes_say_nothing_of_seats() -> None:
    assert folded(a.profile({"owner": "ana"})) == Seats()


def test_only_so_much_is_kept_the_newest() -> None:
    seats = folded(*(crm(day, day) for day in range(1, TOLD_LIMIT + 6)))
    assert [one.seats for one in seats.told] == list(range(6, TOLD_LIMIT + 6))
    contracts = [signed(1, 1, 10 + n, name=f"c{n}") for n in range(CONTRACT_LIMIT + 5)]
    kept = folded(*contracts).contracts
    assert kept.keys() == {f"c{n}" for n in range(5, CONTRACT_LIMIT + 5)}


def test_seats_survive_a_snapshot() -> None:
    seats = folded(crm(40, 1), signed(20, 3, 6), ended(5, on=3))
    raw = msgspec.msgpack.encode(seats)
    assert msgspec.msgpack.decode(raw, type=Seats) == seats
    assert seats.contracts["c1"].last == (a.on(6) - date(1970, 1, 1)).days
