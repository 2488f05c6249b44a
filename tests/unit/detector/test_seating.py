from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import Entry
from services.detector import facts, seating
from services.detector.facts.people import SEEN_DAYS
from services.detector.ledger import Closing
from services.detector.primitives.ratio import MEAN_DAYS
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


def window(day: int = TODAY, **masked: object) -> Window:
    closing = Closing(0, "UTC", a.START + day, 0, 0, False, **masked)  # type: ignore[arg-type]
    return Window(closing, DAYS)


def lately(one: Account, among: Window) -> list[float]:
    """Return the people of the windows that end on the last days, newest first."""
    (counts,) = seating.series(seating.rows([one]), among).counts
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
    assert lately(one, window(closures=[a.START + day for day in closed])) == expected


def test_where_too_few_days_are_open_people_of_fifty_days_are_counted() -> None:
    one = account(
        a.profile({"seats": 9}, day=1),
        a.usage(person="a", day=TODAY - 49),
        a.usage(person="b", day=TODAY - 50),
    )
    assert lately(one, window(closures=[a.START + day for day in range(50, TODAY)]))[0] == 1


def test_an_earlier_day_is_judged_again_by_who_was_active_up_to_then() -> None:
    one = account(
        a.profile({"seats": 9}, day=1),
        *(a.usage(person="a", day=day) for day in (95, TODAY)),
        a.usage(person="b", day=TODAY),
    )
    rows = seating.rows([one])
    (counts,) = seating.series(rows, window(), a.START + 110).counts
    assert counts[-1] == 1


def test_seats_and_history_stand_beside_the_people() -> None:
    one = account(
        a.profile({"seats": 40}, day=100),
        a.usage(person="a", day=60),
    )
    found = seating.series(seating.rows([one]), window())
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
    assert seating.series(seating.rows([one]), window()).known.tolist() == [known]


def test_without_seats_or_people_there_is_nothing_to_judge() -> None:
    silent = account(a.profile({"seats": 40}), a.usage())
    seatless = account(a.profile({"owner": "ana"}), a.usage(person="a"))
    told_none = account(a.profile({"seats": None}), a.usage(person="a"))
    assert seating.rows([silent, seatless, told_none]) == []


def test_accounts_side_by_side_have_what_each_has_alone() -> None:
    some = [
        account(
            a.profile({"seats": 5 + n, "country": [None, "DE"][n % 2]}, day=1),
            *(a.usage(person=f"u{k % (n + 1)}", day=60 + 3 * k) for k in range(n, 20)),
        )
        for n in range(5)
    ]
    together = seating.series(seating.rows(some), window())
    for i, one in enumerate(some):
        alone = seating.series(seating.rows([one]), window())
        assert np.array_equal(together.counts[i], alone.counts[0])
