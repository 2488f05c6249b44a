from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import Entry
from services.detector import facts, seating
from services.detector.facts.people import SEEN_DAYS
from services.detector.facts.seats import SEATS
from services.detector.families import Asked
from services.detector.ledger import Closing
from services.detector.primitives.day import Series
from services.detector.primitives.ratio import MEAN_DAYS, REACH_DAYS
from services.detector.rules import RuleSet
from services.detector.subject import Account
from services.detector.window import Window
from tests import builders as a

TODAY = 120
DAYS = 130


def account(*told: Entry) -> Account:
    found = Account("acme", 0)
    for one in told:
        moment = a.moment(one, found.facts.buckets, oldest=a.START - 500)
        assert facts.fold(found.facts, one, moment) is None
    return found


def asked(day: int = TODAY, **masked: object) -> Asked:
    closing = Closing(0, "UTC", a.START + day, 0, 0, False, **masked)  # type: ignore[arg-type]
    return Asked(RuleSet(), Window(closing, DAYS), SEATS)


def series(*some: Account, among: Asked | None = None, day: int | None = None) -> Series:
    among = among or asked()
    last = None if day is None else a.START + day
    return seating.series(seating.rows(some, among), among, last)


def lately(one: Account, among: Asked) -> list[float]:
    """Return the people of the windows that end on the last days, newest first."""
    (counts,) = series(one, among=among).counts
    assert not counts[:-MEAN_DAYS].any()
    return [float(count) for count in counts[::-1][:MEAN_DAYS]]


active = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(TODAY - SEEN_DAYS + 2, TODAY + 1)),
    max_size=40,
)


@given(active, st.sets(st.integers(TODAY - 40, TODAY), max_size=15))
def test_people_are_those_of_28_open_days_and_of_the_masked_ones_between(
    told: list[tuple[str, int]], closed: set[int]
) -> None:
    days = defaultdict(set)
    for who, day in told:
        days[who].add(day)
    one = account(
        a.profile({"seats": 9}, day=1),
        a.usage(person="first", day=1),
        *(a.usage(person=who, day=day) for who, day in told),
    )
    expected = []
    for last in range(TODAY, TODAY - MEAN_DAYS, -1):
        first, opened = last + 1, 0
        while opened < 28:
            first -= 1
            opened += first not in closed
        expected.append(sum(any(first <= d <= last for d in mine) for mine in days.values()))
    assert lately(one, asked(closures=[a.START + day for day in closed])) == expected


def test_where_too_few_days_are_open_people_of_fifty_days_are_counted() -> None:
    one = account(
        a.profile({"seats": 9}, day=1),
        a.usage(person="a", day=TODAY - 49),
        a.usage(person="b", day=TODAY - 50),
    )
    assert lately(one, asked(closures=[a.START + day for day in range(50, TODAY)]))[0] == 1


def test_an_earlier_day_is_judged_again_by_who_was_active_up_to_then() -> None:
    one = account(
        a.profile({"seats": 9}, day=1),
        *(a.usage(person="a", day=day) for day in (95, TODAY)),
        a.usage(person="b", day=TODAY),
    )
    assert series(one, day=110).counts[0, -1] == 1


def test_everybodys_days_reach_as_far_back_as_the_oldest_window_of_the_judged_day() -> None:
    assert MEAN_DAYS - 1 + REACH_DAYS <= SEEN_DAYS


@pytest.mark.parametrize(
    "closed, day, known",
    # of the day itself nothing is asked again; the oldest window takes 28 of the 41 days up to it
    [
        ([], TODAY, 61),
        ([], TODAY - 22, 39),
        ([], TODAY - 23, 0),
        # three days of that window are closed: it reaches three days further back
        ([80, 81, 82], TODAY - 19, 42),
        ([80, 81, 82], TODAY - 20, 0),
    ],
)
def test_of_a_day_whose_people_are_forgotten_nothing_is_known(
    closed: list[int], day: int, known: int
) -> None:
    one = account(
        a.profile({"seats": 9}, day=1),
        *(a.usage(person="a", day=active) for active in (60, 100, TODAY)),
    )
    among = asked(closures=[a.START + one for one in closed])
    assert series(one, among=among, day=day).known.tolist() == [known]


def test_seats_and_history_stand_beside_the_people() -> None:
    one = account(
        a.profile({"seats": 40}, day=100),
        a.usage(person="a", day=60),
    )
    found = series(one)
    assert found.whole is not None
    assert found.whole.counts[0].tolist() == [0] * (DAYS - 21) + [40] * 21
    assert found.known.tolist() == [TODAY - 60 + 1]


@pytest.mark.parametrize("started, known", [(20, 61), (60, 61), (90, 31), (TODAY + 9, 0)])
def test_an_account_is_known_since_it_began_or_its_people_were_seen(
    started: int, known: int
) -> None:
    one = account(
        a.profile({"seats": 40, "started_on": a.on(started)}, day=50),
        a.usage(person="a", day=60),
    )
    assert series(one).known.tolist() == [known]


def test_without_seats_or_people_there_is_nothing_to_judge() -> None:
    silent = account(a.profile({"seats": 40}), a.usage())
    seatless = account(a.profile({"owner": "ana"}), a.usage(person="a"))
    told_none = account(a.profile({"seats": None}), a.usage(person="a"))
    assert seating.rows([silent, seatless, told_none], asked()) == []


@pytest.mark.parametrize("day, there", [(39, False), (40, True), (69, True), (70, False)])
def test_seats_are_those_of_the_judged_day(day: int, there: bool) -> None:
    told = [a.profile({"seats": seats}, day=told_on) for seats, told_on in ((9, 40), (None, 70))]
    assert seating.still_taken(account(*told), "@people", asked(day)) is there


def test_accounts_side_by_side_have_what_each_has_alone() -> None:
    some = [
        account(
            a.profile({"seats": 5 + n, "country": [None, "DE"][n % 2]}, day=1),
            *(a.usage(person=f"u{k % (n + 1)}", day=60 + 3 * k) for k in range(n, 20)),
        )
        for n in range(5)
    ]
    together = series(*some)
    for i, one in enumerate(some):
        alone = series(one)
        assert np.array_equal(together.counts[i], alone.counts[0])
