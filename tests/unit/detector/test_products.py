from itertools import permutations

import pytest

from schemas.events import ProductChanged
from services.detector import products
from services.detector.products import PRODUCT_LIMIT, Changed


def change(
    feature: str, what: str, day: int, into: str | None = None
) -> tuple[ProductChanged, int]:
    return ProductChanged(feature=feature, change=what, into=into), day  # type: ignore[arg-type]


def calendar(*told: tuple[ProductChanged, int]) -> dict[str, Changed]:
    known: dict[str, Changed] = {}
    for event, day in told:
        assert products.take(known, event, day, (day, "")) is None
    return known


def test_the_newest_change_of_a_feature_holds_in_whatever_order_they_come() -> None:
    told = [
        change("export", "limited", 10),
        change("export", "retired", 20),
        change("export", "released", 30),
    ]
    for order in permutations(told):
        assert calendar(*order) == {"export": Changed("released", 30, (30, ""))}


@pytest.mark.parametrize(
    "what, gone, begins",
    [
        ("retired", True, None),
        ("renamed", True, None),
        ("limited", False, 10),
        ("released", False, 10),
    ],
)
def test_what_a_change_means_for_a_feature(what: str, gone: bool, begins: int | None) -> None:
    known = calendar(change("export", what, 10))
    assert (products.is_gone("export", known), products.begins("export", known)) == (gone, begins)
    assert (products.is_gone("other", known), products.begins("other", known)) == (False, None)


def test_a_feature_has_all_its_earlier_names() -> None:
    known = calendar(
        change("dump", "renamed", 10, "save"),
        change("save", "renamed", 20, "export"),
        change("print", "renamed", 15, "export"),
        change("search", "renamed", 5, "find"),
    )
    assert products.names("export", known) == ("dump", "export", "print", "save")
    assert products.names("find", known) == ("find", "search")
    assert products.names("chart", known) == ("chart",)


def test_names_that_go_round_in_a_circle_end() -> None:
    known = calendar(change("a", "renamed", 1, "b"), change("b", "renamed", 2, "a"))
    assert products.names("a", known) == ("a", "b")


def test_a_producer_that_makes_up_features_is_refused() -> None:
    known = calendar(*(change(f"f{n}", "released", n) for n in range(PRODUCT_LIMIT)))
    event, _ = change("one more", "retired", 1)
    assert products.take(known, event, 1, (1, "")) == "too_many_products"
    event, _ = change("f0", "retired", 9_999)
    assert products.take(known, event, 9_999, (9_999, "")) is None
    assert known["f0"].change == "retired"
