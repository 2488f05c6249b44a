"""One partition: what is dropped, refused, held, opened; rules and facts have their own tests."""

from typing import Any

import msgspec
import pytest

from schemas.envelope import Entry, Origin, encode
from schemas.events import ClockTicked, FeatureFailed, UsageRecorded
from schemas.rejects import Reject
from services.detector.facts import Moment
from services.detector.facts.buckets import LINE_LIMIT
from services.detector.facts.usage import Usage
from services.detector.partition import Gap, Partition
from tests import builders as a

ACME = "account:acme"


def sums(partition: Partition, account: str = "acme", metric: str = "usage") -> dict[int, float]:
    """Units by day."""
    line = partition.accounts[f"account:{account}"].facts.buckets.lines[metric]
    values = ((line.first + n - a.START, value / 1000) for n, value in enumerate(line.values))
    return {day: value for day, value in values if value}


def counts(partition: Partition, *what: str) -> dict[tuple[str, ...], int]:
    return {key: n for key, n in partition.counts.items() if key[0] in what}


def refused(partition: Partition) -> list[tuple[str, int | None, int | None, str]]:
    """Return rejects as (reason, offset, place, source)."""
    return [(one.reason, one.offset, one.index, one.source) for one in partition.cut().rejects]


def began(*entries: Entry) -> a.Log:
    return a.Log().add(a.tick(10, 3)).add(*entries, appended=a.at(10, 12))


def test_messages_at_or_before_the_stamp_are_dropped_whole() -> None:
    log = began(a.usage(day=10))
    partition = a.play(log)
    a.apply(partition, log)
    assert (partition.stamp, sums(partition)) == (1, {10: 1})
    assert counts(partition, "replayed") == {("replayed", "offset"): 2}


def test_a_message_that_is_missing_stops_everything() -> None:
    log = began(a.usage(day=10)).add(a.usage(day=10))
    partition = a.apply(Partition.begin(7, 8), log.messages[:1])
    with pytest.raises(Gap, match="partition 7: offset 2 came after 0; messages of the log"):
        partition.apply(*log.messages[2])
    assert partition.stamp == 0


@pytest.mark.parametrize("value", [b"", b"\xc1", b"no envelope", b"\x92\x02\x90", None])
def test_a_message_that_is_no_envelope_is_refused_and_the_stream_goes_on(
    value: bytes | None,
) -> None:
    log = began(a.usage(day=10))
    partition = a.apply(Partition.begin(3, 8), log.messages[:1])
    partition.apply(1, a.at(10), value)
    partition.apply(2, a.at(10), log.messages[1].value)
    (reject,) = partition.cut().rejects
    assert reject == Reject(
        stage="detector",
        reason="unreadable",
        detail=reject.detail,
        raw=value or b"",
        topic="events.v1",
        partition=3,
        offset=1,
    )
    assert (partition.stamp, sums(partition)) == (2, {10: 1})


def test_an_unreadable_entry_takes_nothing_with_it() -> None:
    good = [msgspec.msgpack.encode(a.usage(n, day=10, id=f"e{n}")) for n in (1, 2)]
    bad = msgspec.msgpack.encode(["e3", "app", 0, ["account:acme"], ["no.such", {}]])
    message = msgspec.msgpack.encode((1, [msgspec.Raw(one) for one in (good[0], bad, good[1])]))
    partition = a.apply(Partition.begin(0, 1), began().messages[:1])
    partition.apply(1, a.at(10), message)
    assert sums(partition) == {10: 3}
    (reject,) = partition.cut().rejects
    assert (reject.reason, reject.offset, reject.index, reject.raw) == ("unreadable", 1, 1, bad)


def test_an_event_without_a_time_takes_that_of_its_message() -> None:
    assert sums(a.play(began(a.usage(time=0)))) == {10: 1}


@pytest.mark.parametrize(
    "entry, reason",
    [
        (a.usage(time=a.at(10, 12) + 600_000_000), None),
        (a.usage(time=a.at(10, 12) + 600_000_001), "future"),
        (a.usage(day=365 * 173), "future"),
        (a.usage(on=11, day=10), None),
        (a.usage(on=12, day=10), "future"),
        (a.zone("Mars/Olympus", day=10), "unknown_timezone"),
    ],
)
def test_an_event_ahead_of_its_message_or_that_no_fact_takes_is_refused(
    entry: Entry, reason: str | None
) -> None:
    partition = a.play(began(entry))
    found = refused(partition)
    assert found == ([] if reason is None else [(reason, 1, 0, "app")])
    # no clock moves
    assert partition.ledger.record.clock == a.at(10, 3)


def test_what_is_refused_is_kept_as_it_was() -> None:
    entry = a.zone("Mars/Olympus", day=10, id="z")
    (reject,) = a.play(began(entry)).cut().rejects
    assert msgspec.json.decode(reject.raw, type=Entry) == entry
    assert "unknown_timezone" in reject.detail


@pytest.mark.parametrize("day, folded", [(10 - 60, True), (10 - 61, False)])
def test_what_is_older_than_the_buckets_is_counted_as_too_late(day: int, folded: bool) -> None:
    # without rules 60 days up to the judged day 9 are kept: -50 to 9
    partition = a.play(began(a.usage(day=day)))
    found = counts(partition, "folded", "rejected")
    assert found == ({("folded", "late"): 1} if folded else {("rejected", "too_late"): 1})


def test_a_tick_ahead_of_its_message_is_refused_and_an_older_one_ignored() -> None:
    log = a.Log().add(a.tick(10, 3)).add(a.tick(9, 3))
    log.add(a.tick(10, 4), appended=a.at(10, 4) - 120_000_000)
    log.add(a.tick(10, 5), appended=a.at(10, 5) - 120_000_001)
    partition = a.play(log)
    assert partition.ledger.record.clock == a.at(10, 4)
    assert refused(partition) == [("tick_ahead", 3, 0, "ebbwatch")]


def test_only_so_many_metrics_of_an_account_are_taken() -> None:
    many = [a.usage(metric=f"m{n}", day=10) for n in range(LINE_LIMIT + 1)]
    partition = a.play(began(*many, a.usage(metric="m0", day=10, account="beta")))
    assert refused(partition) == [("too_many_metrics", 1, LINE_LIMIT, "app")]


def test_a_sum_that_would_not_fit_is_refused() -> None:
    # 10^12 units are 10^15 thousandths; 2^62 of them hold 4611 times that
    most = a.usage(10**12, day=10)
    log = began()
    for _ in range(10):
        log.add(*[most] * 500)
    partition = a.play(log)
    assert sums(partition) == {10: 4611 * 10.0**12}
    assert counts(partition, "rejected") == {("rejected", "sum_too_large"): 5000 - 4611}


def test_duplicates_are_counted_by_reason() -> None:
    one, two = a.usage(day=10, id="e"), a.usage(day=10, origin=Origin("usage", 0, 5, 0))
    again = a.usage(day=10, origin=Origin("usage", 0, 4, 9))
    partition = a.play(began(one, one, two).add(two, again, one, appended=a.at(10, 13)))
    assert sums(partition) == {10: 2}
    assert counts(partition, "duplicate") == {("duplicate", "id"): 2, ("duplicate", "origin"): 2}


def test_a_repetition_in_one_envelope_counts_once_where_a_generation_ends() -> None:
    told = [a.usage(day=10, id=name) for name in "abcab"]
    for horizon in range(5, 40, 5):
        partition = a.play(began(*told), Partition.begin(0, 1, horizon))
        assert sums(partition) == {10: 3}


def test_an_event_of_several_accounts_is_folded_into_each() -> None:
    both = msgspec.structs.replace(a.usage(day=10), subjects=(ACME, "company", "account:beta"))
    partition = a.play(began(both))
    assert (sums(partition), sums(partition, "beta")) == ({10: 1}, {10: 1})
    assert sorted(partition.accounts) == [ACME, "account:beta"]


def test_a_bad_rule_set_is_refused_and_the_one_in_force_stays() -> None:
    log = a.Log().add(a.rules(a.silent(3), n=2), a.tick(10, 3), appended=a.at(10, 3))
    log.add(a.rules(a.silent(0), n=3), a.rules(a.silent(9), n=2), appended=a.at(10, 4))
    partition = a.play(log)
    (reject,) = partition.cut().rejects
    assert (reject.reason, reject.index) == ("bad_rules", 0)
    assert "greater than or equal to 1 (it is 0)" in reject.detail
    assert (partition.rules.n, partition.rules.rules[0].default.params.model_dump()["days"]) == (
        2,
        3,
    )


def test_a_rule_set_survives_and_goes_when_nobody_asks_for_it() -> None:
    log = a.Log().add(a.rules(a.silent(3)), a.tick(10, 3), appended=a.at(10, 3))
    log.add(a.usage(day=10, hour=4)).add(a.tick(11, 3)).add(a.rules(n=2), appended=a.at(11, 3))
    partition = a.apply(Partition.begin(0, 1), log)
    first = a.store({}, partition.cut())
    restored = Partition.restore(0, 1, first)
    assert (restored.rules.n, sorted(restored.ledger.rule_sets)) == (2, [1, 2])
    a.settle(restored)
    assert "~ledger/rules/1" in first
    assert "~ledger/rules/1" not in a.store(first, restored.cut())


def test_a_snapshot_without_a_ledger_is_refused() -> None:
    records = a.store({}, a.play(began(a.usage(day=10))).cut())
    with pytest.raises(ValueError, match="accounts but no ledger"):
        Partition.restore(0, 1, {ACME: records[ACME]})
    assert Partition.restore(0, 1, {}).stamp == -1


def test_a_cut_holds_what_changed_since_the_last_one() -> None:
    log = a.Log().add(a.rules(a.unpaid(1)), a.tick(10, 3), a.payment_failed(day=10, hour=3))
    partition = a.play(log)
    assert (partition.dirty, partition.urgent) == (1, True)
    cut = partition.cut()
    assert (cut.stamp, len(cut.alerts), ACME in dict(cut.records)) == (0, 1, True)
    assert (partition.dirty, partition.urgent) == (0, False)
    again = partition.cut()
    assert (again.alerts, again.rejects, again.summaries) == ([], [], [])
    assert [key for key, _ in again.records] == ["~ledger"]


def test_a_verdict_that_changes_nothing_writes_nothing() -> None:
    log = a.Log().each(a.rules(a.silent(30)), a.tick(1, 3), a.usage(day=1))
    ticks = [a.tick(day + 1, 3, seen={"app": [day]}) for day in range(1, 9)]
    partition = a.play(log.each(*ticks[:3]))
    partition.cut()
    a.play(log.each(*ticks[3:]).messages, partition)
    assert partition.dirty == 0


def test_every_new_account_is_judged_from_the_day_on_which_it_came() -> None:
    log = a.Log().each(a.rules(a.silent(2)), a.tick(10, 3), a.tick(20, 3), a.usage(day=20, hour=4))
    log.each(*(a.tick(day + 1, 3, seen={"app": [day]}) for day in range(20, 23)))
    found = a.told(a.play(log).cut().alerts)
    assert found == [("acme", "silent", "activity", "raised", 22)]


class _Bug:
    """A fold that raises on quantities of thirteen, as long as it is there."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._fold = Usage.fold
        patch.setattr(Usage, "fold", self._folded())

    def _folded(self) -> Any:
        fold = self._fold

        def folded(usage: Usage, one: Entry, at: Moment) -> str | None:
            if isinstance(one.event, UsageRecorded) and one.event.quantity == 13:
                raise ArithmeticError("thirteen")
            return fold(usage, one, at)

        return folded


def test_a_fold_that_raises_holds_its_account_back_until_it_is_repaired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _Bug(monkeypatch)
    log = a.Log().each(a.rules(a.silent(2)), a.tick(10, 3), a.usage(1, day=10, hour=4))
    log.add(a.usage(13, day=10, hour=5, id="x"), a.usage(2, day=10, hour=5, id="y"))
    log.add(a.usage(1, day=10, hour=6, account="beta"))
    log.each(*(a.tick(day + 1, 3, seen={"app": [day]}) for day in range(10, 14)))
    partition = a.play(log)
    # it keeps its last state, the stream goes on, and it is not judged
    assert (sums(partition), sums(partition, "beta")) == ({10: 1}, {10: 1})
    assert partition.failures == [("acme", "", "ArithmeticError: thirteen")]
    cut = partition.cut()
    assert a.told(cut.alerts) == [("beta", "silent", "activity", "raised", 12)]
    restored = Partition.restore(0, 1, a.store({}, cut))
    held = restored.accounts[ACME].quarantine
    assert held is not None
    assert (held.offset, held.error, held.held, held.overflow) == (
        3,
        "ArithmeticError: thirteen",
        [(3, 0), (3, 1)],
        0,
    )
    # the bug is mended, and what it held is sent again under its own origin
    monkeypatch.undo()
    again = [
        msgspec.structs.replace(one, origin=Origin(f"repair:{ACME}", 0, 3, place))
        for place, one in enumerate(log.entries[3])
    ]
    log.add(a.repaired(), *again, appended=a.at(14, 3))
    a.play(log.messages[-1:], restored)
    assert restored.accounts[ACME].quarantine is None
    assert sums(restored) == {10: 16}
    assert counts(restored, "repaired") == {("repaired", "subject"): 1}


@pytest.mark.parametrize("judged_at_once", [True, False])
def test_no_closing_that_was_open_when_it_was_repaired_judges_the_account(
    judged_at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _Bug(monkeypatch)
    log = a.Log().each(
        a.rules(a.silent(2)), a.tick(1, 3), a.usage(day=1), a.usage(13, day=2, hour=1)
    )
    log.each(*(a.tick(day, 3, seen={"app": [day - 1]}) for day in range(2, 5)), a.repaired())
    log.each(*(a.tick(day, 3, seen={"app": [day - 1]}) for day in range(5, 7)))
    partition = Partition.begin(0, 1)
    for message in log:
        partition.apply(*message)
        if judged_at_once or message is log.messages[-1]:
            a.settle(partition)
    assert a.told(partition.cut().alerts) == [("acme", "silent", "activity", "raised", 4)]


def test_an_account_that_is_well_is_not_repaired() -> None:
    log = began(a.usage(day=10)).add(a.repaired(), a.repaired("nobody"), appended=a.at(10, 13))
    assert counts(a.play(log), "repaired") == {}


def test_going_live_shows_the_last_months_of_history() -> None:
    log = a.Log().add(a.tick(28, 3, mode="importing"), a.usage(day=28, hour=3))
    partition = a.play(log)
    partition.cut()
    log.add(a.tick(28, 4))
    a.play(log.messages[-1:], partition)
    assert [key for key, _ in partition.cut().summaries] == [
        "acme/days/2026-01",
        "acme/days/2026-02",
    ]


def zone_story(*changes: Entry, until: float = 13) -> a.Log:
    """One unit at every full hour from day 8 on, ticks between them, and some changes of zone."""
    log = a.Log().add(a.tick(8, 0))
    waiting = sorted(changes, key=lambda one: one.time)
    hour = 0
    while (at := a.at(8, hour)) < a.at(until, 0):
        due = [one for one in waiting if one.time <= at]
        waiting = waiting[len(due) :]
        tick = ClockTicked(at=at + 1, mode="live", seen={"app": [at // a.HOUR_US]})
        system = Entry("", "ebbwatch", 0, (), tick)
        log.add(*due, a.usage(time=at), system, appended=at + 1)
        hour += 1
    return log


def test_an_account_in_a_zone_of_half_hours_has_its_own_days() -> None:
    log = zone_story(a.zone("Asia/Kolkata", day=8, hour=0))
    # day 9 begins there at 18:30 UTC of day 8: hours 0 to 18 are day 8, then 24 a day
    assert sums(a.play(log)) == {8: 19, 9: 24, 10: 24, 11: 24, 12: 24, 13: 5}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Pacific/Auckland"])
def test_a_change_of_zone_loses_nothing_and_judges_no_day_twice(zone: str) -> None:
    log = zone_story(a.zone(zone, day=10, hour=5), until=14)
    partition = a.apply(Partition.begin(0, 1), log.messages[:1])
    judged: list[tuple[str, int]] = []
    for message in log.messages[1:]:
        partition.apply(*message)
        profile = partition.accounts[ACME].facts.profile
        judged += [
            (one.zone, one.day - a.START)
            for one in partition.ledger.record.closings
            if profile.zone_of(one.day) == one.zone
        ]
        a.settle(partition)
    assert sum(sums(partition).values()) == len(log.messages) - 1
    days = [day for _, day in judged]
    assert days == list(range(8, 8 + len(days)))
    assert len({zone for zone, _ in judged}) == 2


@pytest.mark.parametrize(
    "on, hours",
    # the clocks go forward on 29 March, day 84, and back on 25 October, day 294
    [(84, 23), (294, 25)],
)
def test_a_day_on_which_the_clocks_change_has_as_many_hours_as_it_has(on: int, hours: int) -> None:
    log = a.Log().add(a.tick(on - 3, 12), a.zone("Europe/Berlin", day=on - 3, hour=12))
    for hour in range(-24, 60):
        at = a.at(on, hour)
        tick = Entry("", "ebbwatch", 0, (), ClockTicked(at=at, mode="live"))
        log.add(tick, a.usage(time=at), appended=at)
    partition = a.play(log)
    found = sums(partition)
    assert [found[day] for day in (on, on + 1)] == [hours, 24]


def test_zones_are_looked_after_by_an_event_of_the_account_alone() -> None:
    partition = a.play(began(a.zone("Asia/Kolkata", day=10)))
    assert partition.ledger.record.opened == {"UTC": a.START + 9, "Asia/Kolkata": a.START + 9}
    assert partition.accounts[ACME].facts.profile.timezone == "Asia/Kolkata"


def test_an_event_type_that_no_fact_takes_changes_nothing() -> None:
    event = FeatureFailed(feature="export")
    partition = a.play(began(a.entry(event, day=10)))
    assert partition.accounts[ACME].facts.buckets.lines == {}
    assert counts(partition, "folded", "rejected") == {("folded", "new"): 1}


def test_an_envelope_may_be_empty() -> None:
    partition = Partition.begin(0, 1)
    partition.apply(0, a.at(1), encode([]))
    assert (partition.stamp, partition.ledger.record.appended) == (0, a.at(1))
