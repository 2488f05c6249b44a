"""A day waits for late inputs, and is judged without them after six hours (design.md §4)."""

from collections.abc import Mapping

import msgspec
import pytest

from schemas.config import Input, RuleSetContent
from schemas.envelope import Entry, Origin
from schemas.events import ClockTicked, RulesApplied
from services.detector.completeness import FED_LIMIT, PARTITION_LIMIT, TOLD_DAYS
from services.detector.partition import Partition
from tests import builders as a
from tests import playing
from tests.faults.oracle.clocks import Clock
from tests.faults.oracle.rules import RuleSet

MINUTES = 1 / 60
Until = Mapping[str, float]
"""Per "input/partition", the day and its share up to which it is complete: 4.5 is noon of day 4."""


def rules(n: int = 1, *names: str, topic: str = "topic", source: str = "app") -> Entry:
    inputs = {
        name: Input(topic=topic + name, format="cloudevents", source=source) for name in names
    }
    rule_set = RuleSetContent(rules=[a.silent(2)], inputs=inputs)
    content = msgspec.json.encode(rule_set).decode()
    return Entry("", "ebbwatch", 0, (), RulesApplied(n=n, content=content))


def tick(day: float, hour: float, until: Until | None = None, mode: str = "live") -> Entry:
    complete = {key: a.at(one, 0) for key, one in (until or {}).items()}
    event = ClockTicked(
        at=a.at(day, hour),
        mode="live" if mode == "live" else "importing",
        complete_until=complete,
        # Every source is seen at noon of every day: what is dark here is dark by its input.
        seen={
            source: [a.at(day) // a.HOUR_US for day in range(1, 40)]
            for source in ("app", "usage", "web", "billing", "other")
        },
    )
    return Entry("", "ebbwatch", 0, (), event)


def steady(day: float, hours: tuple[float, float], until: Until | None = None) -> list[Entry]:
    """Ticks every ten minutes, from one hour of a day to another, both included."""
    first, last = (round(hour * 6) for hour in hours)
    return [tick(day, n / 6, until) for n in range(first, last + 1)]


def fed(name: str, offset: int, **where: object) -> Entry:
    """Usage that an input has sent, of a source of its own unless one is told."""
    told = {"origin": Origin(name, 0, offset, 0), "source": name, "day": 4, **where}
    return a.usage(**told)  # type: ignore[arg-type]


def began(*entries: Entry, names: tuple[str, ...] = ("usage",)) -> playing.Log:
    """A log at noon of day 4, with an account that no input feeds, and whatever is told."""
    other = a.usage(account="other", source="other", day=4, hour=11.9)
    return playing.Log().each(rules(1, *names), tick(4, 11.9), other, tick(4, 12), *entries)


def opened(partition: Partition) -> list[int]:
    """Return the days that are being judged or have been, in UTC, from day 4 on."""
    return list(range(4, partition.ledger.record.opened["UTC"] - a.START + 1))


def played(log: playing.Log) -> list[int]:
    return opened(playing.play(log))


def masked(log: playing.Log) -> list[dict[str, list[int]]]:
    """Return, for each closing that a log opens, the days from day 1 on that a source lacks."""
    closings = playing.apply(Partition.begin(0, 1), log).ledger.record.closings
    return [
        {
            source: days
            for source, spans in one.outages.items()
            if (
                days := [
                    day - a.START for a_, b in spans for day in range(a_, b + 1) if day > a.START
                ]
            )
        }
        for one in closings
    ]


def test_a_day_whose_inputs_are_complete_is_judged_when_it_is_due() -> None:
    log = began(*steady(5, (0, 2 - 1 / 6), {"usage/0": 5, "usage/1": 4.999}))
    assert played(log) == []
    # the last partition passes the end of the day: complete until its very last moment
    log.add(tick(5, 2, {"usage/0": 5.05, "usage/1": 5}))
    assert played(log) == [4]


def test_a_day_waits_for_a_late_partition_and_counts_what_it_brings() -> None:
    late = {"usage/0": 5.1, "usage/1": 4.2}
    log = began(fed("usage", 1), *steady(5, (0, 4), late))
    assert played(log) == []
    log.add(fed("usage", 2, hour=20)).add(tick(5, 4.1, {"usage/1": 5.15}))
    partition = playing.play(log)
    account = partition.accounts["account:acme"]
    assert (opened(partition), account.facts.buckets.lines["usage"].revised) == ([4], None)
    assert account.states == {"usage": "warming_up"}


def test_after_six_hours_a_day_is_judged_with_the_sources_of_the_late_input_masked() -> None:
    late = {"usage/0": 6, "usage/1": 3.5, "billing/0": 6}
    log = began(
        *(fed("usage", 1), fed("usage", 2, source="web"), fed("billing", 1, day=3)),
        *steady(5, (0, 8 - 1 / 6), late),
        names=("usage", "billing"),
    )
    assert played(log) == []
    log.add(tick(5, 8, late))
    assert played(log) == [4]
    # complete to noon of day 3, which is not whole; app is the source that the rule set names
    assert masked(log) == [{"app": [3, 4], "usage": [3, 4], "web": [3, 4]}]
    account = playing.play(log).accounts["account:acme"]
    assert account.states == {"usage": "warming_up"}  # billing feeds it too, and is there


def test_what_only_a_late_input_feeds_has_no_data() -> None:
    late = {"usage/0": 4.5}
    log = began(fed("usage", 1), a.usage(account="beta", source="web", day=4))
    log.each(*steady(5, (0, 8), late))
    states = {who: one.states for who, one in playing.play(log).accounts.items()}
    assert states["account:acme"] == {"usage": "no_data"}
    # complete again: the next day is judged with everything, the day before included
    log.each(*steady(5, (8, 24), {"usage/0": 6}), tick(6, 2, {"usage/0": 6.05}))
    account = playing.play(log).accounts["account:acme"]
    assert account.states == {"usage": "warming_up"}


def test_a_late_input_holds_no_silence_against_a_customer() -> None:
    """Two days of nothing are an alert where the input is there, and none while it is late."""
    silent = []
    for until in (4.5, 9):
        log = began(fed("usage", 1))
        for day in (5, 6, 7):
            log.each(*steady(day, (0, 24 - 1 / 6), {"usage/0": until}))
        silent.append(playing.told(playing.play(log).cut().alerts))
    other, acme = ((who, "silent", "activity", "raised", 6) for who in ("other", "acme"))
    assert [set(each) for each in silent] == [{other}, {other, acme}]


def test_a_tick_after_an_outage_gives_late_inputs_six_hours_from_then() -> None:
    """Everything was down from noon of day 4 to 11:00 of day 6: days 4 and 5 are due long ago."""
    behind = {"usage/0": 4.5}
    log = began(tick(4, 12.1, behind), *steady(6, (11, 17 - 1 / 6), behind))
    assert played(log) == []
    caught_up = playing.Log().each(*log_entries(log), tick(6, 16.9, {"usage/0": 6.7}))
    assert played(caught_up) == [4, 5]
    late = playing.Log().each(*log_entries(log), tick(6, 17, behind))
    assert masked(late) == [{"app": [4]}, {"app": [4, 5]}]


def log_entries(log: playing.Log) -> list[Entry]:
    return [one for entries in log.entries for one in entries]


def test_ticks_ten_minutes_apart_are_no_outage() -> None:
    late = {"usage/0": 4.5}
    ten = [tick(5, n / 6, late) for n in range(49)]
    eleven = [*ten[:20], *(tick(5, 20 / 6 + n * 11 * MINUTES, late) for n in range(26))]
    # 08:00 in steps of ten minutes; in steps of eleven the wait begins anew with every tick
    assert [played(began(tick(4, 23.9, late), *one)) for one in (ten, eleven)] == [[4], []]


LATE = {"usage/0": 4.5}


def ticking(*spans: tuple[float, float]) -> list[Entry]:
    """Ticks every ten minutes from hour to hour of day 5, both included, and none in between."""
    spoken = (steady(5, span, LATE) for span in ((0.0, 0.0), *spans))
    return [tick(4, 23.9, LATE), *(one for span in spoken for one in span)]


def openings(log: playing.Log) -> dict[int, float]:
    """Return at which hour of day 5 each day from day 4 on opens; the oracle says the same."""
    partition, when = playing.play(log.messages[:4]), dict[int, float]()
    for message in log.messages[4:]:
        playing.play([message], partition)
        for day in opened(partition):
            when.setdefault(day, _hour(partition.ledger.record.clock))
    assert {day: hour for day, hour in _told_anew(log).items() if day > 3} == when
    return when


def _told_anew(log: playing.Log) -> dict[int, float]:
    topic = Input(topic="topicusage", format="cloudevents", source="app")
    clock = Clock(rules=RuleSet(inputs={"usage": topic}), opened={"UTC": -1})
    when = dict[int, float]()
    for number, one in enumerate(log_entries(log)):
        if isinstance(one.event, ClockTicked):
            clock.hear(one.event, 1 << 40)
            for closing in clock.advance(one.event, number):
                when[closing.day - a.START] = _hour(clock.now)
    return when


def _hour(clock: int) -> float:
    return round((clock - a.at(5, 0)) / a.HOUR_US, 1)


def test_outages_in_a_row_let_a_day_wait_no_longer_than_a_day() -> None:
    """A quarter of an hour each two hours, for days: the wait never lasts six hours undisturbed."""
    log = began(*ticking(*((hour, hour + 10 / 6) for hour in range(0, 76, 2))))
    # Hours from day 5 on. Days are due at 2, 26 and 50.
    assert openings(log) == {4: 26.0, 5: 50.0, 6: 74.0}


def test_an_outage_before_others_in_a_row_does_not_count_beside_them() -> None:
    spans = [(0.0, 7.5), *((hour, hour + 10 / 6) for hour in range(19, 40, 2))]
    assert openings(began(*ticking(*spans))) == {4: 26.0}


def test_a_single_outage_of_up_to_twelve_hours_leaves_the_six_hours_whole() -> None:
    before_the_end = 8 - 1 / 6
    back = before_the_end + 12
    assert openings(began(*ticking((0, before_the_end), (back, 30)))) == {4: round(back + 6, 1)}


def test_after_a_long_outage_a_day_waits_anew_in_any_case() -> None:
    """Whatever else was out before, or is after it."""
    broken = [(hour, hour + 10 / 6) for hour in range(0, 22, 2)]
    again = [(hour, hour + 10 / 6) for hour in range(107, 126, 2)]
    # Back at 107; day 8 was due at 98, and has 24 hours in any case.
    expected = {4: 113.0, 5: 113.0, 6: 113.0, 7: 113.0, 8: 122.0}
    assert openings(began(*ticking(*broken, *again))) == expected


@pytest.mark.parametrize("hours", [10, 13, 14, 15, 17])
def test_the_ticks_of_an_import_are_no_outages_that_use_the_wait_up(hours: int) -> None:
    """It ticks each quarter of an hour; the first outage after it lets late inputs come in."""
    ends = 22 - 1 / 6
    history = (tick(4, ends - n / 4, mode="importing") for n in range(hours * 4, -1, -1))
    log = playing.Log().each(rules(1, "usage"), a.usage(source="other", day=3, hour=1), *history)
    log.each(*steady(4, (22, 23.5), {"usage/0": 4.9}))
    # Day 4 is due at 2:00 of day 5; nobody ticks until more than six hours after that.
    assert 4 not in opened(playing.play(log.each(tick(5, 8.1, {"usage/0": 4.9}))))
    assert 4 in opened(playing.play(log.each(tick(5, 8.2, {"usage/0": 5.3}))))


def test_an_input_that_no_tick_has_told_of_is_waited_for_and_then_masked() -> None:
    """Its topic may be missing, or nobody have been assigned it yet: its data are not there."""
    mine = fed("missing", 1, source="web")
    log = began(tick(4, 20, {"usage/0": 4.8}), mine, names=("usage", "missing"))
    log.each(*steady(5, (0, 8 - 1 / 6), {"usage/0": 6}))
    assert (played(log), playing.play(log).days_waiting) == ([], {"missing": 1, "usage": 0})
    log.add(tick(5, 8, {"usage/0": 6}))
    # from the day on which its rule set came, and not the history before
    assert (played(log), masked(log)) == ([4], [{"app": [4], "web": [4]}])
    assert playing.play(log).days_waiting == {"missing": 0, "usage": 0}


def test_once_a_tick_has_told_of_an_input_it_is_one_like_others() -> None:
    log = began(*steady(5, (0, 3)), tick(5, 3.1, {"usage/1": 4.9}))
    assert playing.play(log).ledger.record.complete == {"usage/1": a.at(4.9, 0)}
    assert played(log) == []
    assert played(log.add(tick(5, 3.2, {"usage/1": 5}))) == [4]


def test_what_came_before_an_input_is_history_and_not_missing() -> None:
    log = playing.Log().each(rules(1, "usage"), a.usage(source="other", day=2, on=2))
    log.each(tick(3, 12, mode="importing"), *steady(5, (12, 20)))
    # the history ends at noon of day 3
    assert masked(log) == [{"app": [3]}, {"app": [3, 4]}]


def test_an_input_that_is_stopped_for_good_is_masked_for_good() -> None:
    log = began(tick(4, 13, {"usage/0": 4.5, "usage/1": 4.5}))
    for day in range(5, 15):
        log.each(*steady(day, (0, 23.9)))
    partition = playing.play(log)
    assert (opened(partition)[-1], len(partition.ledger.record.complete)) == (13, 2)
    assert masked(log)[-1] == {"app": list(range(4, 14))}


def test_days_that_wait_are_counted_in_every_zone_and_per_input() -> None:
    log = began(
        a.zone("Asia/Kolkata", account="k", day=3),
        tick(4, 13, {"usage/0": 4.5}),
        names=("usage", "billing"),
    )
    counted = []
    # day 4 ends in Kolkata at 18:30 of day 4, and is due at 20:30
    for day, hour in ((4, 20), (4, 21), (5, 1), (5, 2)):
        log.each(*steady(day, (hour, hour), {"billing/0": 9}))
        counted.append(playing.play(log).days_waiting)
    assert counted == [{"billing": 0, "usage": days} for days in (0, 1, 1, 2)]


def test_history_waits_for_nothing() -> None:
    log = playing.Log().each(
        rules(1, "usage"), tick(4, 12, mode="importing"), tick(6, 2, {}, "importing")
    )
    assert playing.play(log).days_waiting == {"usage": 0}


def test_an_input_that_the_rule_set_drops_is_no_longer_waited_for() -> None:
    late = {"usage/0": 6, "billing/0": 4.5}
    log = began(*steady(5, (0, 3), late), names=("usage", "billing"))
    assert played(log) == []
    log.each(rules(2, "usage"), tick(5, 3.1, late))
    partition = playing.play(log)
    assert (opened(partition), partition.ledger.record.complete) == ([4], {"usage/0": a.at(5, 3.1)})


def test_an_input_of_another_topic_is_another_input() -> None:
    log = began(fed("usage", 1), tick(4, 12.1, {"usage/0": 4.5, "usage/1": 4.5}))
    log.each(rules(2, "usage"), tick(4, 12.2, {"usage/0": 4.55}))
    assert sorted(playing.play(log).ledger.record.complete) == ["usage/0", "usage/1"]
    log.each(rules(3, "usage", topic="other"))
    record = playing.play(log).ledger.record
    assert (record.complete, record.told, record.fed) == ({}, {}, {})


def test_ticks_of_several_replicas_count_together_whichever_comes_last() -> None:
    log = began(
        tick(5, 2, {"usage/0": 5.05}),
        # an older tick of another replica, and one of a replica that has lost the partition
        *(tick(5, 1.9, {"usage/1": 5.04}), tick(5, 2.01, {"usage/0": 4.2})),
    )
    record = playing.play(log).ledger.record
    assert record.complete == {"usage/0": a.at(5.05, 0), "usage/1": a.at(5.04, 0)}


def test_no_tick_calls_complete_what_lies_ahead_of_it() -> None:
    """A producer's clock may be days ahead; what is to come tomorrow is not there."""
    record = playing.play(began(tick(4, 13, {"usage/0": 7}))).ledger.record
    assert record.complete == {"usage/0": a.at(4, 13)}


def test_history_does_not_wait() -> None:
    log = playing.Log().each(rules(1, "usage"), a.usage(source="other", day=4))
    log.each(tick(4, 12, {"usage/0": 4.5}, "importing"), tick(5, 2, mode="importing"))
    assert (played(log), masked(log)) == ([4], [{}])


def test_zones_are_opened_in_order_of_due_and_wait_alike() -> None:
    zones = ["Asia/Kolkata", "UTC", "America/New_York"]
    log = began(
        *(a.zone(one, account=one, day=3) for one in zones),
        *(tick(4, 13, {"usage/0": 4.5}), *steady(4, (13, 24), {"usage/0": 4.5})),
        # day 4 has ended in Kolkata at 18:30 of day 4, in UTC at 24:00, in New York at 05:00
        tick(5, 0.1, {"usage/0": 4.8}),
    )
    partition = playing.apply(Partition.begin(0, 1), log)
    assert _zones(partition) == ["Asia/Kolkata"]
    playing.apply(
        partition, playing.Log().each(*log_entries(log), *_rest()).messages[partition.stamp + 1 :]
    )
    assert _zones(partition) == zones


def _rest() -> list[Entry]:
    return [*steady(5, (0.2, 7), {"usage/0": 4.9}), tick(5, 7.1, {"usage/0": 5.29})]


def _zones(partition: Partition) -> list[str]:
    return [one.zone for one in partition.ledger.record.closings]


def test_a_partition_that_nobody_tells_of_for_a_week_is_forgotten() -> None:
    """The topic was created anew with fewer partitions: no tick will ever speak of the others."""
    log = began(*steady(4, (12.1, 23.9), {"usage/0": 4.5, "usage/7": 4.5}))
    waited = []
    for day in range(5, 15):
        log.each(*steady(day, (0, 2), {"usage/0": day}), tick(day, 2.1, {"usage/0": day + 0.05}))
        waited.append(opened(playing.play(log))[-1:] != [day - 1])
        log.each(*steady(day, (2.2, 23.9), {"usage/0": day + 0.05}))
    assert waited == [True] * TOLD_DAYS + [False] * 3


def test_after_an_outage_of_weeks_nothing_is_forgotten_at_once() -> None:
    log = began(tick(4, 12.1, {"usage/0": 4.5}), *steady(30, (11, 12), {}))
    partition = playing.play(log)
    assert (opened(partition), list(partition.ledger.record.complete)) == ([], ["usage/0"])


def test_so_many_partitions_and_sources_are_remembered() -> None:
    many = {f"usage/{n}": 4.5 for n in range(PARTITION_LIMIT + 5)}
    sources = (fed("usage", n, source=f"s{n}") for n in range(FED_LIMIT + 5))
    record = playing.play(began(tick(4, 13, many), *sources)).ledger.record
    assert (len(record.complete), len(record.told), len(record.fed["usage"])) == (
        PARTITION_LIMIT,
        PARTITION_LIMIT,
        FED_LIMIT,
    )


@pytest.mark.parametrize("input_", ["import", "forward/1", "repair:account:acme", "unknown"])
def test_what_is_no_input_of_the_rule_set_feeds_nothing(input_: str) -> None:
    assert playing.play(began(fed(input_, 1))).ledger.record.fed == {}
