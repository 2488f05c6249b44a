from datetime import date
from itertools import permutations

from schemas.envelope import Entry
from services.detector.facts.payments import (
    FAILURE_LIMIT,
    METHOD_LIMIT,
    PAYMENT_LIMIT,
    Method,
    Payment,
    Payments,
)
from tests import builders as a


def folded(*entries: Entry, payments: Payments | None = None) -> Payments:
    payments = payments or Payments()
    for one in entries:
        assert payments.fold(one, a.moment(one)) is None
    return payments


def test_failures_count_from_the_newest_success_in_any_order() -> None:
    told = (
        a.payment_failed(amount=1, day=1, id="a"),
        a.payment_succeeded(day=2, id="b"),
        a.payment_failed(amount=3, day=3, id="c"),
        a.payment_failed(amount=4, day=4, id="d"),
    )
    for order in permutations(told):
        assert folded(*order).payments == {
            "p1": Payment(
                failures=[(a.at(3), "c"), (a.at(4), "d")],
                succeeded=(a.at(2), "b"),
                amount=4,
                currency="EUR",
            )
        }


def test_the_same_failure_counts_once() -> None:
    one = a.payment_failed(day=1, id="a")
    assert folded(one, one).payments["p1"].failures == [(a.at(1), "a")]


def test_only_the_newest_failures_are_kept() -> None:
    failed = [a.payment_failed(hour=n / 10, id=f"{n:02}") for n in range(FAILURE_LIMIT + 5)]
    kept = folded(*reversed(failed)).payments["p1"].failures
    assert [who for _, who in kept] == [f"{n:02}" for n in range(5, FAILURE_LIMIT + 5)]


def test_the_payment_of_which_nothing_is_heard_makes_room() -> None:
    payments = folded(*(a.payment_failed(f"p{n}", hour=n / 60) for n in range(PAYMENT_LIMIT)))
    folded(a.payment_failed("p0", day=2), a.payment_failed("new", day=2), payments=payments)
    assert len(payments.payments) == PAYMENT_LIMIT
    assert ("p0" in payments.payments, "p1" in payments.payments) == (True, False)


def test_a_payment_method_is_what_the_newest_event_says() -> None:
    told = (
        a.payment_method("card", 40, day=2, id="a"),
        a.payment_method("card", 30, day=1, id="b"),
        a.payment_method("iban", None, day=1, id="c"),
    )
    for order in permutations(told):
        assert folded(*order).methods == {
            "card": Method((a.at(2), "a"), date(2026, 2, 13)),
            "iban": Method((a.at(1), "c"), None),
        }


def test_only_so_many_payment_methods_are_kept() -> None:
    payments = folded(*(a.payment_method(f"m{n}", 40) for n in range(METHOD_LIMIT)))
    more = a.payment_method("new", 40)
    assert payments.fold(more, a.moment(more)) == "too_many_payment_methods"
    assert folded(a.payment_method("m0", 90, day=9), payments=payments).methods["m0"].stamp[0]
