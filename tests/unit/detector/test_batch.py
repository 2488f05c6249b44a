"""What the rules of a day share: the rows and arrays of a batch of accounts."""

import numpy as np
import pytest

from schemas.config import FeatureFlags, RuleSetContent
from schemas.envelope import Entry
from services.detector import facts
from services.detector.batch import FAMILIES, Batch
from services.detector.ledger import Closing
from services.detector.primitives import PRIMITIVES
from services.detector.rules import compile_rules
from services.detector.subject import Account
from services.detector.window import Window
from tests import builders as a

RULES = compile_rules(1, RuleSetContent(rules=[], features={"export": FeatureFlags(core=True)}))


def account(name: str, *told: Entry) -> Account:
    found = Account(name, 0)
    for one in told:
        moment = a.moment(one, found.facts.buckets, oldest=a.START - 500)
        assert facts.fold(found.facts, one, moment) is None
    return found


def batch(*some: Account) -> Batch:
    return Batch(RULES, some, Window(Closing(0, "UTC", a.START + 9, 0, 0, False), 10))


ACME = account("acme", a.usage(3, day=8), a.usage(5, metric="logins", day=9))
BETA = account("beta", a.usage(7, day=9))


def taken(found: Batch, selector: str, combined: bool) -> list[tuple[str, str, float]]:
    """Return whose row, about what, and the units of all days."""
    rows, series = found.take(selector, combined)
    sums = series.counts.sum(axis=1).tolist()
    return [(one.account.id, one.object, n) for one, n in zip(rows, sums, strict=True)]


def test_lines_are_judged_one_by_one_or_added_up() -> None:
    both = batch(ACME, BETA)
    assert taken(both, "usage", False) == [("acme", "usage", 3.0), ("beta", "usage", 7.0)]
    assert taken(both, "@meaningful", False) == [
        *(("acme", "usage", 3.0), ("acme", "logins", 5.0)),
        ("beta", "usage", 7.0),
    ]
    assert taken(both, "@meaningful", True) == [
        ("acme", "activity", 8.0),
        ("beta", "activity", 7.0),
    ]


@pytest.mark.parametrize("selector", ["nothing", "@core", "@people", *FAMILIES])
@pytest.mark.parametrize("combined", [False, True])
def test_where_nobody_has_a_row_there_are_no_arrays(selector: str, combined: bool) -> None:
    assert taken(batch(ACME, BETA), selector, combined) == []


def test_a_batch_of_nobody_has_nothing() -> None:
    assert taken(batch(), "usage", False) == []


def test_rules_that_ask_for_the_same_share_its_arrays() -> None:
    both = batch(ACME, BETA)
    assert both.taken("usage", combined=True) is None
    assert both.take("usage", True) is both.take("usage", True)
    assert both.taken("usage", combined=True) is both.take("usage", True)
    assert both.take("usage", True)[1] is both.take("usage", False)[1]
    assert both.take("@meaningful", False)[1] is both.lines.arrays


def test_some_accounts_have_the_rows_they_have_among_all() -> None:
    both = batch(ACME, BETA)
    whole = both.take("usage", False)
    assert both.take_of([None], (), "usage", False)[1] is whole[1]
    rows, series = both.take_of([None], {"acme"}, "usage", False)
    assert [one.account for one in rows] == [BETA]
    assert np.array_equal(series.counts, whole[1].counts[1:])
    assert both.take_of([], (), "usage", False)[0] == []


def test_a_row_has_the_days_up_to_an_earlier_one_too() -> None:
    found = batch(ACME)
    (row,), _ = found.take("usage", False)
    again = found.again(row, "usage", a.START + 8)
    assert (again.day, again.counts[0, -1]) == (a.START + 8, 3.0)


@pytest.mark.parametrize(
    "object_, selector, there",
    [
        ("usage", "usage", True),
        ("usage", "@meaningful", True),
        ("usage", "logins", False),
        ("activity", "logins", True),
        ("activity", "calls", False),
        ("activity", "@core_features", False),
        ("@feature:export", "@features", True),
        ("@feature:print", "@features", False),
        ("@people", "@seats", False),
    ],
)
def test_an_alert_is_about_what_its_rule_still_takes(
    object_: str, selector: str, there: bool
) -> None:
    assert batch(ACME, BETA).still_taken(ACME, object_, selector) is there


@pytest.mark.parametrize("name, params, selector", [
    ("drop", {"metric": "usage"}, "usage"),
    ("silence", {}, "@meaningful"),
    ("ratio", {}, "@seats"),
    ("breadth", {}, "@core_features"),
    ("change", {"what": "payment_failed"}, ""),
])  # fmt: skip
def test_a_primitive_says_what_it_looks_at(
    name: str, params: dict[str, str], selector: str
) -> None:
    assert PRIMITIVES[name].Params.model_validate(params).selector == selector
