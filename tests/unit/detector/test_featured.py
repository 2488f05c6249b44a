"""Tracked features at the end of a day, through a partition: what is filed, judged, left out."""

from collections.abc import Iterable
from typing import Any

import pytest

from schemas.alerts import Alert, AlertCleared, AlertRaised
from schemas.config import FeatureFlags
from schemas.envelope import Entry
from services.detector.partition import Partition
from tests import builders as a
from tests import playing

CORE, PLAIN = FeatureFlags(core=True), FeatureFlags()
GIVEN_UP = a.rule("abandonment", "given-up", params={})
NARROW = a.rule("breadth", "narrow", params={"days": 7})
FELL = a.rule("drop", "fell", params={"metric": "@meaningful"})
FULL, GONE = 140, 175
"""The last day of full use, and the last one that is judged."""


def days(
    rules: Iterable[Any],
    features: dict[str, FeatureFlags],
    *extra: Entry,
    kept: Iterable[str] = (),
    usage_after: int = 100,
    last: int = GONE,
) -> list[list[Entry]]:
    """One message a day: 100 of usage, 20 of it by each feature; after 140 days only the kept."""
    told = [[a.rules(*rules, features=features), a.tick(1, 3)]]
    for day in range(1, last + 1):
        used = [name for name in features if day <= FULL or name in kept]
        rest = (100 if day <= FULL else usage_after) - 20 * len(used)
        told.append(
            [
                a.usage(max(rest, 0), day=day),
                *(a.usage(20, feature=name, day=day) for name in used),
                *(one for one in extra if a.at(day, 0) <= one.time < a.at(day + 1, 0)),
                a.tick(day + 1, 3, seen={"app": [day]}),
            ]
        )
    return told


def log(told: Iterable[list[Entry]]) -> playing.Log:
    messages = playing.Log()
    for entries in told:
        messages.add(*entries)
    return messages


def alerts(told: Iterable[list[Entry]], rule: str) -> list[Alert]:
    return [one for one in playing.play(log(told)).cut().alerts if one.rule == rule]


def test_a_fall_names_the_features_that_fell_most() -> None:
    features = {"export": PLAIN, "search": PLAIN, "chart": PLAIN}
    found = alerts(days([FELL], features, kept=["chart"], usage_after=60), "fell")
    assert isinstance(found[0], AlertRaised)
    worst = found[0].because["features"]
    assert [one["feature"] for one in worst] == ["export", "search"]
    assert worst[0]["expected"] == 560.0
    assert "these features fell most: export (" in found[0].because["text"]


def test_a_fall_without_tracked_features_says_nothing_of_them() -> None:
    (first, *_) = alerts(days([FELL], {}, usage_after=60), "fell")
    assert "features" not in first.because


def test_breadth_names_the_features_that_are_used_no_longer() -> None:
    features = {"a": CORE, "b": CORE, "c": CORE, "d": PLAIN}
    (alert,) = alerts(days([NARROW], features, kept=["a"]), "narrow")
    assert (alert.object, alert.kind, alert.because["usual"]) == ("activity", "breadth", 3.0)
    gone = a.on(FULL).isoformat()
    assert alert.because["lost"] == [
        {"feature": "b", "last_used": gone},
        {"feature": "c", "last_used": gone},
    ]


def test_a_feature_under_two_names_is_one() -> None:
    features = {"a": CORE, "b": CORE, "old": CORE, "c": CORE}
    renamed = a.changed("old", "renamed", "c", day=10)
    (alert,) = alerts(days([NARROW], features, renamed, kept=["a"]), "narrow")
    assert (alert.because["usual"], len(alert.because["lost"])) == (3.0, 2)


@pytest.mark.parametrize(
    "change, into", [("retired", None), ("renamed", "dump"), ("limited", None), ("released", None)]
)
def test_what_we_change_ourselves_is_not_given_up(change: Any, into: str | None) -> None:
    changed = a.changed("export", change, into, day=FULL)
    assert alerts(days([GIVEN_UP], {"export": PLAIN}, changed), "given-up") == []


def test_an_open_alert_of_a_feature_ends_when_we_retire_it() -> None:
    changed = a.changed("export", "retired", day=170)
    found = alerts(days([GIVEN_UP], {"export": PLAIN}, changed), "given-up")
    assert isinstance(found[0], AlertRaised)
    assert isinstance(found[-1], AlertCleared)
    assert (found[-1].reason, found[-1].day) == ("superseded", a.on(170))


def test_an_open_alert_of_a_feature_ends_when_it_is_tracked_no_longer() -> None:
    told = days([GIVEN_UP], {"export": PLAIN})
    told[170].append(a.rules(GIVEN_UP, n=2))
    found = alerts(told, "given-up")
    assert isinstance(found[-1], AlertCleared)
    assert found[-1].reason == "superseded"


def test_the_object_is_the_line_and_the_evidence_holds_the_total() -> None:
    (alert, *_) = alerts(days([GIVEN_UP], {"export": PLAIN}), "given-up")
    assert (alert.kind, alert.object) == ("feature_abandoned", "@feature:export")
    source = alert.because["computed_from"]
    assert alert.because["metrics"] == ["@feature:export"]
    assert (source["counts"][-40], source["whole"]["counts"][-40]) == (20, 100)


def test_use_that_came_late_takes_the_alert_back() -> None:
    told = days([GIVEN_UP], {"export": PLAIN}, last=180)
    raised = next(one for one in alerts(told, "given-up") if isinstance(one, AlertRaised))
    place = (raised.day - a.MONDAY).days + 3
    late = [a.usage(20, feature="export", day=day) for day in range(FULL + 1, place - 1)]
    told[place] = [*late, *told[place]]
    found = alerts(told, "given-up")
    withdrawn = [one for one in found if isinstance(one, AlertCleared)]
    assert [one.reason for one in withdrawn] == ["withdrawn"]


def test_a_restart_between_a_change_and_the_alert_changes_nothing() -> None:
    features = {"export": PLAIN, "dump": PLAIN, "print": PLAIN}
    told = days(
        [GIVEN_UP, NARROW],
        features,
        a.changed("dump", "renamed", "export", day=100),
        a.changed("print", "retired", day=120),
    )
    messages = list(log(told))
    once = playing.play(messages).cut()
    records: dict[str, bytes] = {}
    partition, found = Partition.begin(0, 1), []
    for begin in range(0, len(messages), 45):
        cut = playing.play(messages[begin : begin + 45], partition).cut()
        found += cut.alerts
        records = playing.store(records, cut)
        partition = Partition.restore(0, 1, records)
    assert found == once.alerts
    assert {one.object for one in found} == {"@feature:export"}


def test_a_made_up_feature_too_many_is_refused_with_its_reason() -> None:
    changes = [a.changed(f"f{n}", "released", day=2) for n in range(401)]
    partition = playing.play(log([[a.tick(1, 3)], [*changes, a.tick(3, 3)]]))
    assert partition.counts["rejected", "too_many_products"] == 1
