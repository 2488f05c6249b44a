"""What must hold for every primitive, and for every rule of every pack (style.md)."""

import inspect
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from schemas.alerts import SEVERITIES, Alert
from schemas.envelope import Entry, encode
from services.detector.cases import Case
from services.detector.facts import Facts
from services.detector.partition import Partition
from services.detector.primitives import DATE, DAY, PRIMITIVES, Primitive
from services.detector.primitives.arrays import pick
from services.detector.primitives.day import (
    SWING_WEEKS,
    DayPrimitive,
    Floats,
    Params,
    Series,
    Verdicts,
)
from services.detector.rehearsal import messages, play
from tests.unit.detector.packed import CONTENT, FIRING, RULES, fired
from tests.unit.detector.primitives.stories import everything, random_features

REQUIRED = {
    "drop": {"metric": "usage"},
    "stop": {"metric": "usage"},
    "silence": {},
    "expansion": {"metric": "usage"},
    "fastdrop": {"metric": "usage"},
    "slowdrift": {"metric": "usage"},
    "abandonment": {},
    "breadth": {},
    "spike": {},
    "ratio": {},
    "deadline": {"what": "renewal_checklist"},
    "change": {"what": "payment_failed"},
}
"""All that a rule must say of a primitive; the rest has defaults."""

primitives = pytest.mark.parametrize("primitive", PRIMITIVES.values(), ids=PRIMITIVES)
day_primitives = pytest.mark.parametrize("primitive", DAY, ids=lambda one: one.name)
rules = pytest.mark.parametrize("rule", RULES)


NAMES = ("counts", "masked", "known", "swings", "active")
ACCOUNTS, CHANGED = 4, 2
"""Accounts that are judged, and how many of them, the first, something happens to."""


def ended(counts: Floats) -> None:
    counts[:, -30:] = 0


def doubled(counts: Floats) -> None:
    counts[:, -30:] *= 2


def crowded(counts: Floats) -> None:
    counts[:, -7:] *= 4


def sinking(counts: Floats) -> None:
    counts[:, -91:] = np.rint(np.linspace(30, 10, 91))


def deserted(people: Floats) -> None:
    people[:] = 8


def narrowed(features: Floats) -> None:
    features[:, -20:] = 1


HAPPENS = {
    "expansion": doubled,
    "spike": crowded,
    "slowdrift": sinking,
    "ratio": deserted,
    "breadth": narrowed,
}
"""What a primitive is there to tell; that all ends, for the others."""


def series(primitive: type[DayPrimitive]) -> Series:
    """Return accounts that a primitive tells of, then some that it does not."""
    rng = np.random.default_rng(7)
    counts = rng.poisson(20.0, (ACCOUNTS, 240)).astype(np.float64)
    if primitive.name == "breadth":
        counts = np.full_like(counts, 4.0)
    HAPPENS.get(primitive.name, ended)(counts[:CHANGED])
    masked = np.zeros(counts.shape, dtype=np.bool_)
    masked[:, 100] = True
    swings = np.full((ACCOUNTS, SWING_WEEKS), 0.01)
    known = np.full(ACCOUNTS, 240, dtype=np.int64)
    active = np.count_nonzero(counts, axis=1)
    given = Series(20_000, counts, masked, known, swings, active)
    # Seats, beside people; else the usage of the whole account, beside that of a feature.
    part_of = np.full_like(counts, 26.0)
    return replace(given, whole=replace(given, counts=part_of, memo={}), memo={})


def judged(primitive: type[DayPrimitive], given: Series) -> Verdicts:
    return primitive.judge(given, primitive.Params.model_validate(REQUIRED[primitive.name]))


@primitives
def test_a_primitive_is_named_as_its_file_and_its_class_in_words(primitive: Primitive) -> None:
    file = primitive.__module__.rpartition(".")[2]
    assert (primitive.name, file) == (primitive.__name__.lower(), primitive.name)


@primitives
def test_a_primitive_needs_no_more_than_what_it_looks_at(primitive: Primitive) -> None:
    params = primitive.Params.model_validate(REQUIRED[primitive.name])
    assert primitive.kind(params)
    required = {name for name, one in primitive.Params.model_fields.items() if one.is_required()}
    assert required == set(REQUIRED[primitive.name])


@primitives
def test_a_primitive_says_where_it_comes_from_and_when_it_is_wrong(primitive: Primitive) -> None:
    text = inspect.getdoc(primitive) or ""
    assert "Source:" in text
    assert "wrong" in text or "policy" in text


@primitives
def test_every_parameter_is_described_and_nothing_that_is_none(primitive: Primitive) -> None:
    described = {
        name
        for one in primitive.Params.__mro__
        for name in re.findall(r"^    (\w+): ", inspect.cleandoc(one.__doc__ or ""), re.MULTILINE)
    }
    assert described >= set(primitive.Params.model_fields)
    own = re.findall(r"^    (\w+): ", inspect.getdoc(primitive.Params) or "", re.MULTILINE)
    assert set(own) <= set(primitive.Params.model_fields)


def outside(params: type[Params]) -> Iterator[tuple[str, float]]:
    """Yield every numeric field with a value just outside of each of its bounds."""
    for name, field in params.model_json_schema()["properties"].items():
        for one in (field, *field.get("anyOf", ())):
            whole = one.get("type") == "integer"
            for bound, step in (("minimum", -1), ("maximum", 1)):
                if bound in one:
                    yield name, one[bound] + (step if whole else step * 0.01)
            for bound in ("exclusiveMinimum", "exclusiveMaximum"):
                if bound in one:
                    yield name, one[bound]


@primitives
def test_a_parameter_outside_of_its_bounds_is_refused_with_the_bound(
    primitive: Primitive,
) -> None:
    for name, value in outside(primitive.Params):
        with pytest.raises(ValidationError, match=rf"{name}\n.*(greater|less) than"):
            primitive.Params.model_validate(REQUIRED[primitive.name] | {name: value})


@primitives
def test_a_parameter_that_there_is_not_is_refused_by_its_name(primitive: Primitive) -> None:
    with pytest.raises(ValidationError, match=r"colour\n"):
        primitive.Params.model_validate(REQUIRED[primitive.name] | {"colour": 1})


@day_primitives
def test_a_primitive_fires_where_it_should_and_nowhere_else(primitive: type[DayPrimitive]) -> None:
    said = judged(primitive, series(primitive))
    assert said.told.tolist() == [True] * ACCOUNTS
    assert said.fires.tolist() == [True] * CHANGED + [False] * (ACCOUNTS - CHANGED)


@day_primitives
def test_judging_does_not_change_what_it_is_given(primitive: type[DayPrimitive]) -> None:
    for given in (series(primitive), random_features(3, 20)):
        before = deepcopy(given)
        verdicts = judged(primitive, given)
        for row in range(len(given.known)):
            verdicts.because(row)
        assert given.whole is not None
        assert before.whole is not None
        for one, other in ((given, before), (given.whole, before.whole)):
            for name in NAMES:
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@day_primitives
def test_an_account_gets_the_same_verdict_whoever_is_judged_with_it(
    primitive: type[DayPrimitive],
) -> None:
    given = series(primitive)
    alone = [judged(primitive, pick(given, np.array([row]))) for row in range(ACCOUNTS)]
    assert [everything(one)[0] for one in alone] == everything(judged(primitive, given))


@day_primitives
def test_a_young_account_is_told_nothing(primitive: type[DayPrimitive]) -> None:
    three, given = np.full(ACCOUNTS, 3, dtype=np.int64), series(primitive)
    verdicts = judged(primitive, replace(given, known=three, active=three, memo={}))
    assert not (verdicts.told | verdicts.fires | verdicts.clears).any()


def test_asking_for_a_date_does_not_change_the_account() -> None:
    for primitive in DATE:
        facts = Facts()
        before = deepcopy(facts.profile), deepcopy(facts.contacts), deepcopy(facts.payments)
        primitive.judge(facts, 20_000, {}, primitive.Params(**REQUIRED[primitive.name]))
        assert (facts.profile, facts.contacts, facts.payments) == before


@rules
def test_the_same_history_gives_the_same_alerts(rule: str) -> None:
    assert play(CONTENT, rule, FIRING[rule]) == fired(rule)


@rules
def test_the_order_within_a_day_does_not_matter(rule: str) -> None:
    partition = Partition.begin(0, 1, 1 << 16)
    for offset, (at, (tick, *told)) in enumerate(_messages(rule)):
        _fold(partition, offset, at, [tick, *reversed(told)])
    assert _of(partition, rule) == fired(rule)


@rules
def test_what_is_sent_again_changes_nothing(rule: str) -> None:
    partition, sent = Partition.begin(0, 1, 1 << 16), []
    for offset, (at, entries) in enumerate(_messages(rule)):
        _fold(partition, offset, at, entries)
        sent.append((at, entries))
    again = sent[-50:]
    for offset, (at, entries) in enumerate(again, len(sent) - 50):
        _fold(partition, offset, at, entries)
    # The same events once more in new messages, as a producer that repeats itself sends them.
    for offset, (_, entries) in enumerate(again, len(sent)):
        _fold(partition, offset, sent[-1][0], entries)
    assert _of(partition, rule) == fired(rule)


@rules
def test_the_evidence_is_plain_json_and_says_what_happened(rule: str) -> None:
    for alert in fired(rule):
        assert json.loads(json.dumps(alert.because, allow_nan=False)) == alert.because
        assert alert.because["headline"]
        assert alert.because["text"].endswith(".")
        assert not re.search(r"None|nan|\{|\d\.\d{3}", alert.because["text"])


@rules
def test_an_alert_says_of_its_rule_what_the_pack_says(rule: str) -> None:
    first = fired(rule)[0]
    told: dict[str, Any] = RULES[rule]
    assert (first.rule, first.category, first.churn_kind, first.shadow) == (
        rule,
        told["category"],
        told["churn_kind"],
        told.get("shadow", False),
    )
    assert first.because["play"] == told["play"]
    assert first.severity in SEVERITIES


@rules
def test_a_rule_stays_quiet_without_a_customer_that_does_anything(rule: str) -> None:
    nothing = Case(story="nobody is there", until=200, expect="nothing")
    assert play(CONTENT, rule, nothing) == []


def _messages(rule: str) -> list[tuple[int, list[Entry]]]:
    return list(messages(CONTENT, rule, FIRING[rule]))


def _fold(partition: Partition, offset: int, at: int, entries: list[Entry]) -> None:
    partition.apply(offset, at, encode(entries))
    while partition.judge(500):
        pass


def _of(partition: Partition, rule: str) -> list[Alert]:
    return [alert for alert in partition.cut().alerts if alert.rule == rule]
