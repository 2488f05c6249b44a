"""Frozen means that nothing fires and nothing clears (signals.md, Data states; issue 6)."""

from collections.abc import Callable, Collection
from datetime import date

import pytest

from schemas.envelope import Entry
from services.detector.partition import Partition
from tests import builders as a
from tests import playing

STOP = a.rule("stop", params={"metric": "@meaningful"})
DROP = a.rule("drop", params={"metric": "@meaningful"}, yields_to=["stop-rule"])
LEARNED = 140

Said = list[tuple[str, int]]


def play(
    usage: Callable[[int], float],
    until: int,
    dark: Collection[int] = (),
    before: tuple[Entry, ...] = (),
) -> tuple[Said, dict[int, str]]:
    """Play one account's days; of dark ones its source sent nothing for anybody.

    Returns:
        What was said of it, with the day; and its data state after each day.
    """
    partition = Partition.begin(0, 1, 1 << 12)
    partition.take(0, a.at(1, 1), [a.rules(STOP, DROP), a.tick(1), *before])
    states: dict[int, str] = {}
    for day in range(1, until + 1):
        lit = day not in dark
        told = [a.usage(usage(day), day=day, id=f"e{day}")] if lit and usage(day) else []
        seen = {"app": [day]} if lit else {}
        partition.take(2 * day - 1, a.at(day), told)
        partition.take(2 * day, a.at(day + 1, 2), [a.tick(day + 1, seen=seen)])
        playing.settle(partition)
        states[day] = partition.accounts["account:acme"].states.get("usage", "")
    said = [
        (type(one).__name__.removeprefix("Alert").lower(), (one.day - a.on(1)).days + 1)
        for one in partition.found()[0]
    ]
    return said, states


def number(on: date) -> int:
    return (on - a.on(1)).days + 1


def test_an_outage_of_the_source_fires_nothing() -> None:
    dark = range(LEARNED, LEARNED + 30)
    said, states = play(lambda _: 100, LEARNED + 44, dark)
    assert said == []
    assert {states[day] for day in dark} == {"no_data"}
    # 14 of the last 28 days must be open
    assert (states[LEARNED + 42], states[LEARNED + 43]) == ("holiday", "ok")


@pytest.mark.parametrize("gap", [1, 5])
def test_an_outage_while_an_alert_recovers_takes_its_time_out(gap: int) -> None:
    """Back at its level, it is over after seven days that say so; days without data say nothing."""

    def usage(day: int) -> float:
        return 0 if LEARNED <= day < LEARNED + 8 else 100

    (_, raised), (what, over) = play(usage, LEARNED + 60)[0]
    assert what == "cleared"
    dark = range(over - 3, over - 3 + gap)
    assert play(usage, LEARNED + 70, dark)[0] == [("raised", raised), ("cleared", over + gap)]


def test_an_outage_counts_no_day_of_an_open_alert() -> None:
    """Not even its expiry: it is told on the first day that can be judged again."""

    def usage(day: int) -> float:
        return 100 if day < LEARNED else 0

    raised = LEARNED + 6
    dark = range(raised + 80, raised + 90)
    said, _ = play(usage, raised + 95, dark)
    assert said[:2] == [("raised", raised), ("cleared", raised + 90)]


def test_the_years_end_fires_nothing_and_clears_nothing() -> None:
    """Who rests from 20 December to 3 January has not stopped; until 14 days are open all waits."""
    rest = range(number(date(2026, 12, 20)), number(date(2027, 1, 3)) + 1)
    said, states = play(lambda day: 0 if day in rest else 100, rest[-1] + 30)
    assert said == []
    waits = number(date(2027, 1, 16))
    assert (states[rest[-1]], states[waits], states[waits + 1]) == ("holiday", "holiday", "ok")


def test_a_stop_in_the_years_end_is_told_after_it() -> None:
    began = number(date(2026, 12, 18))
    said, _ = play(lambda day: 100 if day < began else 0, began + 60)
    # 18 and 19 December count, then 4 to 8 January: seven days that are open
    assert said[0] == ("raised", number(date(2027, 1, 8)))


def test_a_holiday_of_a_subdivision_is_left_out_there_only() -> None:
    """Epiphany is a holiday in Bavaria, none in Berlin."""
    epiphany = date(2027, 1, 6)
    began = number(date(2026, 12, 18))
    for country, last in (("DE-BY", date(2027, 1, 9)), ("DE-BE", date(2027, 1, 8))):
        said, _ = play(
            lambda day: 100 if day < began else 0,
            began + 60,
            before=(a.profile({"country": country}, day=1, hour=0),),
        )
        assert said[0] == ("raised", number(last)), country
    assert epiphany.weekday() < 5


def test_a_declared_closure_is_left_out_for_the_account() -> None:
    closed = range(LEARNED, LEARNED + 21)
    closure = a.closure(closed[0], closed[-1], day=1, hour=0)
    said, states = play(lambda day: 0 if day in closed else 100, LEARNED + 40, before=(closure,))
    assert said == []
    assert states[closed[-1]] == "holiday"
