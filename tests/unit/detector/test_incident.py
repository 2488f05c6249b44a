"""A fall that many customers share is one alert about the company (design.md §5.4; issue 6)."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from schemas.alerts import Alert
from schemas.envelope import COMPANY, Entry, decode_entry
from services.detector import explanation
from services.detector.explanation import many
from services.detector.incident import HASH
from services.detector.partition import Partition
from services.partitioning import home_of
from tests import builders as a

WHO = [f"acct_{n}" for n in range(20)]
FALL = 160
"""Ordinary shares are known by then: 112 days of history and 28 of shares."""

STOP = a.rule("stop", params={"metric": "@meaningful"})
DROP = a.rule("drop", params={"metric": "@meaningful"}, yields_to=["stop-rule"])

Usage = Callable[[int, int], float]
"""Units of the n-th account on a day."""


def play(
    usage: Usage, until: int, partitions: int = 1, mode: Any = "live", in_step: bool = False
) -> list[Alert]:
    """Play days through some partitions, which hear of each other the next day; return alerts."""
    homes = [home_of(f"account:{who}", partitions) for who in WHO]
    them = [Partition.begin(n, partitions, 1 << 12, in_step=in_step) for n in range(partitions)]
    said: list[Entry] = []
    for partition in them:
        partition.take(0, a.at(1, 1), [a.rules(STOP, DROP), a.tick(1, mode=mode)])
    for day in range(1, until + 1):
        heard, said = said, []
        for number, partition in enumerate(them):
            told = [
                a.usage(usage(n, day), account=who, day=day, id=f"{who}-{day}")
                for n, who in enumerate(WHO)
                if homes[n] == number and usage(n, day)
            ]
            partition.take(2 * day - 1, a.at(day), [*heard, *told])
            partition.take(
                2 * day, a.at(day + 1, 2), [a.tick(day + 1, mode=mode, seen={"app": [day]})]
            )
            a.settle(partition)
            said += [decode_entry(raw) for _, raw in partition.forwards()]
    found = [alert for partition in them for alert in partition.found()[0]]
    return sorted(found, key=lambda alert: (alert.fired_at, alert.account, alert.rule))


def lives(alerts: list[Alert]) -> list[tuple[str, str, int, str]]:
    """Return who, what was said, on which day, and why it was over."""
    return [
        (
            alert.account,
            type(alert).__name__.removeprefix("Alert").lower(),
            (alert.day - a.on(1)).days + 1,
            getattr(alert, "reason", ""),
        )
        for alert in alerts
    ]


def shared(n: int, day: int) -> float:
    """Everybody falls to 40 % for six weeks."""
    return 4 if FALL <= day < FALL + 42 else 10


def test_the_home_of_the_company_is_that_of_its_subject() -> None:
    assert [HASH % n for n in range(1, 65)] == [home_of(COMPANY, n) for n in range(1, 65)]


def test_a_fall_of_all_is_one_alert_of_the_company_and_ends_with_it() -> None:
    alerts = play(shared, FALL + 90)
    assert [one[:2] for one in lives(alerts)] == [(COMPANY, "raised"), (COMPANY, "cleared")]
    raised, cleared = alerts
    because = raised.because
    assert (raised.kind, raised.rule, raised.severity, raised.object) == (
        *("incident", "common-fall", "critical"),
        "activity",
    )
    assert because["headline"] == "20 of 20 customers fell together"
    assert (because["share"], because["ordinary_share"], because["common_share"]) == (1.0, 0.0, 1.0)
    # Within the fortnight that is looked at, and the two days until all have said how it was.
    assert 0 <= (raised.day - a.on(FALL)).days <= 8
    assert getattr(cleared, "reason", "") == "recovered"
    assert cleared.because["headline"] == "as many customers as usual are low again"


def test_what_is_out_already_joins_and_what_falls_much_deeper_is_told_by_itself() -> None:
    """Three stop before the others fall; one of those stops too."""

    def usage(n: int, day: int) -> float:
        if n < 3 and day >= FALL - 7:
            return 0
        if n == 3 and day >= FALL:
            return 0
        return shared(n, day)

    alerts = play(usage, FALL + 40)
    told = lives(alerts)
    for who in WHO[:3]:
        mine = [one[1:] for one in told if one[0] == who]
        assert [(what, why) for what, _, why in mine[:2]] == [
            ("raised", ""),
            ("cleared", "superseded"),
        ]
    out = [alert for alert in alerts if alert.account == WHO[0]][1]
    incident = next(alert for alert in alerts if alert.account == COMPANY)
    assert out.because["incident"]["alert_id"] == incident.alert_id
    assert "this is told as one incident" in out.because["text"]
    # All who stopped for good are told by themselves in the end; of the others nobody is.
    assert {one[0] for one in told if one[1] == "raised"} == {COMPANY, *WHO[:4]}


def test_what_still_holds_when_the_others_are_back_is_told() -> None:
    """All but one come back; that one stays as low as all had been."""

    def usage(n: int, day: int) -> float:
        return shared(0, FALL) if n == 7 and day >= FALL else shared(n, day)

    told = lives(play(usage, FALL + 90))
    assert sorted((who, what) for who, what, _, _ in told) == [
        (WHO[7], "raised"),
        (COMPANY, "cleared"),
        (COMPANY, "raised"),
    ]
    assert next(day for who, _, day, _ in told if who == WHO[7]) > FALL + 42


def test_a_level_that_all_keep_is_the_new_normal_of_each() -> None:
    told = lives(play(lambda _, day: 4 if day >= FALL else 10, FALL + 130))
    assert [(who, what, why) for who, what, _, why in told] == [
        (COMPANY, "raised", ""),
        (COMPANY, "cleared", "new_normal"),
    ]


@pytest.mark.parametrize("many", [1, 3])
def test_few_that_fall_are_told_one_by_one(many: int) -> None:
    told = lives(play(lambda n, day: 4 if n < many and day >= FALL else 10, FALL + 40))
    assert {who for who, what, _, _ in told if what == "raised"} == set(WHO[:many])


def test_imported_history_has_no_incident_unless_all_play_together() -> None:
    alone = lives(play(shared, FALL + 40, mode="importing"))
    assert {one[0] for one in alone} == set(WHO)
    together = play(shared, FALL + 40, mode="importing", in_step=True)
    assert [one[:2] for one in lives(together)] == [(COMPANY, "raised")]
    assert together[0].historic


def test_the_partition_count_changes_no_alert() -> None:
    """Promise (b), and of the company's own alert all but where its partition was."""

    def usage(n: int, day: int) -> float:
        return 0 if n < 3 and day >= FALL - 7 else shared(n, day)

    def plain(partitions: int) -> list[Any]:
        told: list[Any] = msgspec.to_builtins(play(usage, FALL + 70, partitions))
        for one in told:
            del one["account_now"]["stamp"]
        return told

    one = plain(1)
    assert {alert["account"] for alert in one} >= {COMPANY, *WHO[:3]}
    assert plain(4) == one
    assert any("peer_ratio" in alert["because"] for alert in one)


def test_a_restored_partition_goes_on_with_the_same_incident() -> None:
    undisturbed = play(shared, FALL + 60)
    partition, store, said = Partition.begin(0, 1), dict[str, bytes](), list[Entry]()
    found: list[Alert] = []
    log = [[a.rules(STOP, DROP), a.tick(1)]]
    for offset in range(2 * (FALL + 60) + 1):
        day = (offset + 1) // 2
        if offset == 0:
            entries = log[0]
        elif offset % 2:
            entries = [
                *said,
                *(
                    a.usage(shared(n, day), account=who, day=day, id=f"{who}-{day}")
                    for n, who in enumerate(WHO)
                ),
            ]
        else:
            entries = [a.tick(day + 1, 2, seen={"app": [day]})]
        appended = a.at(1, 1) if offset == 0 else a.at(day) if offset % 2 else a.at(day + 1, 2)
        partition.take(offset, appended, entries)
        a.settle(partition)
        if forwards := partition.forwards():
            said = [decode_entry(raw) for _, raw in forwards]
        elif offset % 2:
            said = []
        if day > FALL - 3 or offset % 50 == 0:
            cut = partition.cut()
            found += cut.alerts
            store = a.store(store, cut)
            partition = Partition.restore(0, 1, store)
    assert found == undisturbed


EVIDENCE = {
    "window": {"from": "2026-05-01", "to": "2026-05-14"},
    "since": "2026-05-10",
    "accounts_told": 60,
    "accounts_fallen": 25,
    "share": 0.416,
    "ordinary_share": 0.05,
    "common_share": 0.385,
    "median_ratio": 0.9,
    "median_ratio_fallen": 0.72,
    "thresholds_in_force": {"common_share": 0.2, "clear": 0.1, "fallen_ratio": 0.85},
}


def test_an_incident_is_told_in_words() -> None:
    assert explanation.explain("incident", "activity", EVIDENCE) == (
        "Of 60 customers with enough usage to tell, 25 (42 %) were at or below 85 % of what is "
        "usual, 1 to 14 May 2026; 5 % would be ordinary. Half of those that are low are at 72 % "
        "or less of their usual usage of four weeks. So 38 % of those that are not low anyway "
        "have fallen since about 10 May 2026: look for one cause. Until that is under 10 % for a "
        "week, falls of single customers are reported only where they are much deeper."
    )


def test_how_customers_alike_do_is_told_in_words() -> None:
    assert many.peers({}) == []
    assert many.peers({"peer_ratio": 0.98, "peer_accounts": 14}) == [
        "Similar customers: −2 % (median of 14)."
    ]
