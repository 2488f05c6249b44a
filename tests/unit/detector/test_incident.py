"""A fall that many customers share is one alert about the company (design.md §5.4; issue 6)."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from schemas.alerts import Alert
from schemas.envelope import COMPANY, Entry, decode_entry
from schemas.events import IncidentJudged
from services.detector import explanation, joining
from services.detector.explanation import many
from services.detector.incident import HASH
from services.detector.ledger import Closing
from services.detector.partition import Partition
from services.partitioning import home_of
from tests import builders as a
from tests import playing

WHO = [f"acct_{n}" for n in range(20)]
FALL = 160
"""Ordinary shares are known by then: 112 days of history and 28 of shares."""

STOP = a.rule("stop", params={"metric": "@meaningful"})
DROP = a.rule("drop", params={"metric": "@meaningful"}, yields_to=["stop-rule"])

Usage = Callable[[int, int], float]
"""Units of the n-th account on a day."""


class World:
    """Some partitions, each with its log; what one says is in all logs the next day."""

    def __init__(self, partitions: int = 1, rules: Entry | None = None, **begin: Any) -> None:
        self.homes = [home_of(f"account:{who}", partitions) for who in WHO]
        self.them = [Partition.begin(n, partitions, 1 << 12, **begin) for n in range(partitions)]
        self.logs: list[list[tuple[int, list[Entry]]]] = [[] for _ in self.them]
        self.late: set[int] = set()
        self.mode: Any = "live"
        self.day = 0
        self._rules = rules or a.rules(STOP, DROP)
        self._said: list[Entry] = []

    def play(self, usage: Usage, until: int) -> "World":
        """Play days up to one; partitions that are late fold nothing of them."""
        if self.day == 0:
            self.say(self._rules, a.tick(1, mode=self.mode), day=1, hour=1)
        for day in range(self.day + 1, until + 1):
            heard, self._said = self._said, []
            for number in range(len(self.them)):
                told = [
                    a.usage(usage(n, day), account=who, day=day, id=f"{who}-{day}")
                    for n, who in enumerate(WHO)
                    if self.homes[n] == number and usage(n, day)
                ]
                self.logs[number].append((a.at(day), [*heard, *told]))
            self.say(a.tick(day + 1, mode=self.mode, seen={"app": [day]}), day=day + 1, hour=2)
            self.day = day
            self._fold()
        return self

    def say(self, *entries: Entry, day: int, hour: float) -> None:
        """Append entries to all logs."""
        for log in self.logs:
            log.append((a.at(day, hour), list(entries)))

    def _fold(self) -> None:
        for number, (partition, log) in enumerate(zip(self.them, self.logs, strict=True)):
            if number in self.late:
                continue
            for offset in range(partition.stamp + 1, len(log)):
                partition.take(offset, *log[offset])
                playing.settle(partition)
                self._said += [decode_entry(raw) for _, raw in partition.forwards()]

    def found(self) -> list[Alert]:
        """Return all alerts, in order of time."""
        found = [alert for partition in self.them for alert in partition.found()[0]]
        return sorted(found, key=lambda alert: (alert.fired_at, alert.account, alert.rule))


def play(
    usage: Usage, until: int, partitions: int = 1, mode: Any = "live", in_step: bool = False
) -> list[Alert]:
    """Play days through some partitions; return alerts."""
    world = World(partitions, in_step=in_step)
    world.mode = mode
    return world.play(usage, until).found()


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
    assert because["headline"] == "about 20 more customers than usual are low"
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


def test_of_those_who_all_stop_at_once_nobody_is_told_by_himself() -> None:
    """Three of four do: after four weeks nothing is left to half of those that are low."""
    alerts = play(lambda n, day: 0 if n % 4 and day >= FALL else 10, FALL + 60)
    assert [one[:2] for one in lives(alerts)] == [(COMPANY, "raised")]


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


def test_what_the_home_says_again_changes_nothing_and_of_days_to_come_nothing_is_believed() -> None:
    def said(day: int, depth: int) -> Entry:
        on = a.on(day)
        event = IncidentJudged(day=on, alert="x", raised_on=on, since=on, depth=depth)
        return Entry("", "ebbwatch", 0, (), event)

    log = playing.Log().add(a.tick(9)).add(said(9, 60)).add(said(9, 50), said(10, 70), said(11, 80))
    partition = playing.play(log)
    states = {day - a.START: one.depth for day, one in partition.ledger.record.fleet.states.items()}
    assert states == {9: 60, 10: 70}
    assert partition.counts["duplicate", "day"] == 1
    (refused,) = partition.cut().rejects
    assert (refused.reason, refused.detail) == ("invalid", "the day has not begun anywhere")


def told_of(alerts: list[Alert]) -> tuple[set[str], set[str]]:
    """Return the incidents that people were told of, and those under which alerts were closed."""
    raised = {one.alert_id for one in alerts if one.account == COMPANY}
    return raised, {
        one.because["incident"]["alert_id"] for one in alerts if "incident" in one.because
    }


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("begins", [FALL - 2, FALL + 3, FALL + 8, FALL + 20])
def test_whichever_partition_is_late_all_hold_back_by_what_the_home_has_raised(
    late: int, begins: int
) -> None:
    """For five days one partition folds nothing, then everything at once."""

    def usage(n: int, day: int) -> float:
        return 0 if n < 3 and day >= FALL - 7 else shared(n, day)

    world = World(2)
    assert set(world.homes) == {0, 1}
    world.play(usage, begins).late.add(late)
    world.play(usage, begins + 5).late.clear()
    alerts = world.play(usage, FALL + 90).found()
    raised, named = told_of(alerts)
    assert len(raised) == 1
    # Where the word is late, what was raised before stands for itself.
    assert named <= raised
    states = [one.ledger.record.fleet.states for one in world.them]
    assert states[0] == states[1]
    # What was held back was told as one: of the others only those that have stopped are.
    assert {one.account for one in alerts if one.rule != "common-fall"} == set(WHO[:3])


def test_what_one_partition_alone_would_take_for_shared_is_told_account_by_account() -> None:
    """Four of twenty fall, all of them at home where the company is; the others are not heard."""
    world = World(2)
    home = HASH % 2
    mine = [n for n, where in enumerate(world.homes) if where == home][:4]

    def usage(n: int, day: int) -> float:
        return 4 if n in mine and day >= FALL else 10

    world.play(usage, FALL + 2).late.add(1 - home)
    world.play(usage, FALL + 8).late.clear()
    alerts = world.play(usage, FALL + 40).found()
    assert told_of(alerts) == (set(), set())
    assert {one.account for one in alerts} == {WHO[n] for n in mine}


def test_a_home_without_accounts_tells_of_the_accounts_of_others() -> None:
    world = World(8)
    home = HASH % 8
    world.homes = [where if where != home else (home + 1) % 8 for where in world.homes]
    alerts = world.play(shared, FALL + 20).found()
    assert [one[:2] for one in lives(alerts)] == [(COMPANY, "raised")]


def overridden(n: int = 1, **said: bool) -> Entry:
    return a.rules(STOP, DROP, n=n, overrides=[{"rule": "common-fall", **said}])


def test_a_company_can_switch_it_off_and_hears_of_each_account_instead() -> None:
    alerts = World(2, overridden(off=True)).play(shared, FALL + 40).found()
    assert {one.account for one in alerts} == set(WHO)
    assert told_of(alerts) == (set(), set())


def test_in_shadow_it_is_recorded_and_holds_nobody_back() -> None:
    alerts = World(2, overridden(shadow=True)).play(shared, FALL + 40).found()
    assert {one.account for one in alerts} == {COMPANY, *WHO}
    assert {one.account for one in alerts if one.shadow} == {COMPANY}
    assert told_of(alerts)[1] == set()


@pytest.mark.parametrize("how", ["off", "shadow"])
def test_what_was_held_back_is_told_when_it_is_switched_off(how: str) -> None:
    world = World(2).play(shared, FALL + 25)
    before = world.found()
    assert [one[:2] for one in lives(before)] == [(COMPANY, "raised")]
    world.say(overridden(2, **{how: True}), day=FALL + 25, hour=3)
    after = world.play(shared, FALL + 35).found()
    assert {one[0] for one in lives(after) if one[1] == "raised"} == set(WHO)
    closed = [one[1:] for one in lives(after) if one[0] == COMPANY]
    assert closed == ([("cleared", FALL + 26, "superseded")] if how == "off" else [])


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
        playing.settle(partition)
        if forwards := partition.forwards():
            said = [decode_entry(raw) for _, raw in forwards]
        elif offset % 2:
            said = []
        if day > FALL - 3 or offset % 50 == 0:
            cut = partition.cut()
            found += cut.alerts
            store = playing.store(store, cut)
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
    line = explanation.headline("incident", "activity", EVIDENCE)
    assert line == "about 22 more customers than usual are low"
    assert explanation.explain("incident", "activity", EVIDENCE) == (
        "Of 60 customers with enough usage to tell, 25 (42 %) were at or below 85 % of what is "
        "usual, 1 to 14 May 2026; 5 % would be ordinary. That is about 22 customers more than "
        "usual. Half of those that are low are at 72 % or less of their usual usage of four weeks. "
        "So 38 % of those that are not low anyway have fallen since about 10 May 2026: look for "
        "one cause. Until that is under 10 % for a week, falls of single customers are reported "
        "only where they are much deeper."
    )


def test_how_customers_alike_do_is_told_in_words() -> None:
    assert many.peers({}) == []
    told = {"peer_ratio": 0.98, "peer_accounts": 14}
    # Before the scope was kept a record did not say which.
    assert many.peers(told) == ["Similar customers: −2 % (median of 14)."]
    assert many.peers(told | {"peer_scope": "segment:smb"}) == many.peers(told)
    assert many.peers(told | {"peer_scope": "company"}) == ["All customers: −2 % (median of 14)."]


@pytest.mark.parametrize(
    "known, told",
    [
        ({"company": (98, 40), "segment:smb": (90, 5)}, (0.9, 5, "segment:smb")),
        ({"company": (98, 40)}, (0.98, 40, "company")),
        ({"company": (98, 40), "segment:big": (90, 5)}, (0.98, 40, "company")),
        ({}, ()),
    ],
)
def test_peers_are_those_of_the_segment_or_else_all_and_the_record_says_which(
    known: dict[str, tuple[int, int]], told: tuple[Any, ...]
) -> None:
    closing = Closing(0, "UTC", a.START, 0, 0, False, peers=known)
    found = joining.peers(closing, "smb", "usage_drop")
    assert tuple(found.values()) == told
    assert tuple(found) == ("peer_ratio", "peer_accounts", "peer_scope")[: len(told)]
