"""The company and our own people: what events of the accounts say of them."""

from typing import Any

import pytest

from services.detector.facts.portfolio import (
    LEFT_LIMIT,
    SUMS_LIMIT,
    TARGETS_LIMIT,
    Portfolio,
)
from services.detector.partition import Partition
from tests import builders as a
from tests import playing
from tests.unit.detector.views import began, counts

NOTHING: dict[str, Any] = {"arr": {}, "spend": {}, "targets": {}, "left": {}, "deals": {}}


def shown(partition: Partition) -> dict[str, Any]:
    return {one["subject"]: one["facts"] for one in partition.subjects_shown()}


def test_the_company_is_summed_by_month_kind_and_currency() -> None:
    partition = playing.play(
        began(
            a.moved("new", 500, effective=1),
            a.moved("new", 300, effective=2, day=9),
            a.moved("churn", -100, effective=28, currency=None),
            a.spent(70),
            a.spent(20),
            a.spent(5, "2025-12"),
        )
    )
    company = {
        "arr": {"2026-01": {"new/EUR": 800}, "2026-02": {"churn/": -100}},
        "spend": {"2026-01": {"": 90}, "2025-12": {"": 5}},
    }
    assert shown(partition) == {"company": NOTHING | company}


def test_of_targets_the_newest_by_time_and_id_holds() -> None:
    first = a.target(100, day=3, id="b")
    log = began(first, a.target(300, day=3, id="a"), a.target(200, day=4), a.target(50, day=2))
    assert shown(playing.play(log))["company"]["targets"] == {"2026-Q1/EUR": 200}


def test_deals_and_opportunities_are_counted_and_concern_the_account_too() -> None:
    log = began(a.deal(day=10), a.opportunity(day=10), a.opportunity(day=9))
    partition = playing.play(log)
    deals = {"deals": {"2026-01": 1}, "opportunities": {"2026-01": 2}}
    assert shown(partition) == {"company": NOTHING | {"deals": deals}}
    assert list(partition.accounts) == ["account:acme"]


def test_a_colleague_is_touched_upon_rates_and_leaves() -> None:
    ana = "colleague:ana"
    partition = playing.play(
        began(
            a.about(a.touch(day=8), "account:acme", ana),
            a.about(a.touch(day=9, two_way=False), ana),
            a.about(a.touch(day=9), ana),
            a.sentiment(4, day=9),
            a.sentiment(4, day=10),
            a.colleague_left(day=10),
            a.colleague_left(day=9),
        )
    )
    eighth, ninth, tenth = (a.on(day).isoformat() for day in (8, 9, 10))
    told = {
        "touches": {eighth: 1, ninth: 2},
        "two_way": {eighth: 1, ninth: 1},
        "left": tenth,
        "sentiments": {"4": 2},
    }
    assert shown(partition) == {"company": NOTHING | {"left": {"ana": tenth}}, ana: told}


def test_touches_of_the_last_four_hundred_days_are_counted() -> None:
    ana = "colleague:ana"
    told = [a.about(a.touch(day=day), ana) for day in (1, 2)]
    log = playing.Log().add(a.tick(400, 3), *told).add(a.tick(401, 3), a.about(a.touch(day=1), ana))
    partition = playing.play(log)
    assert [*shown(partition)[ana]["touches"]] == [a.on(1).isoformat(), a.on(2).isoformat()]
    assert counts(partition, "rejected") == {("rejected", "too_late"): 1}
    playing.play(log.add(a.about(a.touch(day=401, hour=1), ana)).messages[-1:], partition)
    assert [*shown(partition)[ana]["touches"]] == [a.on(2).isoformat(), a.on(401).isoformat()]


def test_both_are_in_the_snapshot_and_go_on_from_there() -> None:
    log = began(a.moved(), a.target(7, day=3), a.colleague_left(day=10), a.sentiment(2, day=10))
    log.add(a.moved(), a.target(9, day=2), a.sentiment(2, day=10), a.sentiment(1, day=10))
    former = playing.play(log.messages[:2])
    stored = playing.store({}, former.cut())
    owner = playing.play(log.messages[2:], Partition.restore(0, 1, stored))
    undisturbed = playing.play(log)
    assert shown(owner) == shown(undisturbed)
    assert playing.store(stored, owner.cut()) == playing.store({}, undisturbed.cut())


def test_what_says_nothing_of_a_subject_changes_nothing() -> None:
    log = began(a.about(a.usage(day=10), "company", "colleague:ana", "team:west"))
    assert shown(playing.play(log)) == {}


def test_a_fold_that_raises_is_contained_and_its_entry_kept_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bug(*_: object) -> None:
        raise ArithmeticError("a bug")

    monkeypatch.setattr(Portfolio, "fold", bug)
    partition = playing.play(began(a.moved(), a.usage(day=10)))
    assert partition.failures == [("company", "", "ArithmeticError: a bug")]
    assert [one.reason for one in partition.cut().rejects] == ["fold_raised"]
    assert shown(partition) == {}


@pytest.mark.parametrize(
    "told, reason",
    [
        ([a.spent(1, f"{year}-{m:02}") for year in range(1000, 1251) for m in range(1, 13)], 12),
        ([a.target(1, f"{year}-Q1") for year in range(1000, 1000 + TARGETS_LIMIT + 1)], 1),
    ],
)
def test_no_producer_fills_the_record_of_the_company(told: list[Any], reason: int) -> None:
    assert SUMS_LIMIT == 250 * 12
    partition = playing.play(playing.Log().add(a.tick(1, 3)).add(*told))
    assert sum(counts(partition, "rejected").values()) == reason


def test_of_many_who_left_the_last_are_remembered() -> None:
    left = [a.colleague_left(f"c{n:04}", day=10, hour=n / 120) for n in range(LEFT_LIMIT + 1)]
    told = shown(playing.play(began(a.colleague_left("zoe", day=9), *left)))["company"]["left"]
    assert sorted(told) == [f"c{n:04}" for n in range(1, LEFT_LIMIT + 1)]


def test_a_sum_that_no_snapshot_could_hold_is_refused() -> None:
    most = 10**15
    told = [a.moved("new", most) for _ in range(4_612)]
    partition = playing.play(began(*told))
    assert counts(partition, "rejected") == {("rejected", "sum_too_large"): 1}
    assert shown(partition)["company"]["arr"] == {"2026-01": {"new/EUR": 4_611 * most}}
