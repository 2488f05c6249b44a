from collections.abc import Sequence
from datetime import date

from schemas.cloudevents import Incoming, Refused
from schemas.config import RuleSetRecord
from schemas.envelope import Entry, Origin, decode, join
from schemas.events import ClockTicked, ClosureDeclared, RulesApplied, UsageRecorded
from services.ingest.history.play import DAY, HOUR, QUARTER, Item, Play
from tests.unit.ingest.test_history import NOW, at, micros, number


def usage(day: int, **fields: object) -> Incoming:
    event = UsageRecorded(**{"metric": "usage", "quantity": 1} | fields)  # type: ignore[arg-type]
    return Incoming(f"u:{day}", "import/u", at(day), "acme", event, number(day))


def entries(items: Sequence[Item], partition: int) -> list[Entry]:
    found, unreadable = decode(join([raw for place, raw in items if place == partition]))
    assert unreadable == []
    return [entry for _, entry in found]


def ticks(items: Sequence[Item], partition: int = 0) -> list[ClockTicked]:
    return [e.event for e in entries(items, partition) if isinstance(e.event, ClockTicked)]


def test_the_clock_of_history_ticks_every_quarter_into_every_partition() -> None:
    play = Play(3, 1, micros(NOW), ticking=True)
    items: list[Item] = []
    for day in (4, 5):
        items += play.ticks(at(day))
        outcome = play.event(usage(day))
        assert not isinstance(outcome, Refused)
        items += outcome
    items += play.end(micros(NOW))
    # From the first event's quarter to 38 hours after the last day began: 2.5 days and a bit.
    expected = list(range(at(4), at(5, 0) + 38 * HOUR + 1, QUARTER))
    for partition in range(3):
        assert [tick.at for tick in ticks(items, partition)] == expected
    seen = {tick.at: tick.seen for tick in ticks(items) if tick.seen}
    assert seen == {
        at(4) + QUARTER: {"import/u": [at(4) // HOUR]},
        at(5) + QUARTER: {"import/u": [at(5) // HOUR]},
    }
    assert {tick.mode for tick in ticks(items)} == {"importing"}


def test_a_tick_stands_before_the_event_of_the_same_time_and_both_are_numbered() -> None:
    play = Play(1, 7, micros(NOW), ticking=True)
    items = list(play.ticks(at(4)))
    outcome = play.event(usage(4))
    assert not isinstance(outcome, Refused)
    first, second = entries([*items, *outcome], 0)
    assert (first.origin, second.origin) == (Origin("import", 0, 7, 0), Origin("import", 0, 7, 1))
    assert first == Entry(
        "import-7-0", "ebbwatch", at(4), (), ClockTicked(at=at(4), mode="importing"), first.origin
    )
    assert second == Entry(
        "u:4", "import/u", at(4), ("account:acme",), usage(4).event, second.origin, number(4)
    )


def test_the_last_tick_does_not_lie_in_the_future() -> None:
    play = Play(1, 1, micros(NOW), ticking=True)
    items = [*play.ticks(at(31)), *(play.event(usage(31)))]
    items += play.end(micros(NOW))
    # 31 May is due everywhere on 1 June at 14:00, but it is only 12:00.
    assert ticks(items)[-1].at == micros(NOW)


def test_after_a_month_without_rows_one_tick_a_day_is_enough() -> None:
    play = Play(1, 1, micros(NOW), ticking=True)
    start = at(1) - 60 * DAY
    items = [*play.ticks(start), *play.ticks(at(1))]
    times = [tick.at for tick in ticks(items)]
    assert len(times) == 1 + 31 * 96 + 1 + 29
    assert {b - a for a, b in zip(times[-29:], times[-28:], strict=False)} == {DAY}


def test_a_back_fill_plays_no_ticks() -> None:
    play = Play(2, 1, micros(NOW), ticking=False)
    assert [*play.ticks(at(4)), *play.end(micros(NOW))] == []


def test_an_event_for_everybody_goes_into_every_partition_under_one_number() -> None:
    play = Play(3, 1, micros(NOW), ticking=False)
    closure = ClosureDeclared(from_=date(2026, 5, 4), to=date(2026, 5, 5))
    outcome = play.event(Incoming("c", "ops", at(4), None, closure))
    assert not isinstance(outcome, Refused)
    expected = Entry("c", "ops", at(4), (), closure, Origin("import", 0, 1, 0))
    assert [entries(outcome, partition) for partition in range(3)] == [[expected]] * 3


def test_an_event_too_long_for_an_envelope_is_refused_and_takes_no_number() -> None:
    play = Play(1, 1, micros(NOW), ticking=False)
    assert isinstance(play.event(usage(4)._replace(id="x" * 600_000)), Refused)
    outcome = play.event(usage(4))
    assert not isinstance(outcome, Refused)
    assert entries(outcome, 0)[0].origin == Origin("import", 0, 1, 0)


def test_the_rule_set_goes_into_every_partition_without_a_number() -> None:
    record = RuleSetRecord(n=3, content="{}", applied_at=NOW)
    items = Play(2, 1, micros(NOW), ticking=True).rules(record)
    for partition in range(2):
        [entry] = entries(items, partition)
        assert (entry.event, entry.origin) == (RulesApplied(n=3, content="{}"), None)
