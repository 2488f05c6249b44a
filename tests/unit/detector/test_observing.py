"""What is kept of every account for its page: the watch level, and what is usual."""

from collections.abc import Callable, Collection
from typing import NamedTuple

from schemas.events import TicketOpened
from services.detector.partition import Partition
from tests import builders as a
from tests import playing

LEARNED = 140
DROP = a.rule("drop", params={"metric": "@meaningful"})


class Kept(NamedTuple):
    """What was kept after the judgement of a day, and what had been said by then."""

    watch: list[str]
    usual: dict[str, list[int]]
    said: list[tuple[str, str, str, str, int]]


def played(
    usage: Callable[[int], float],
    until: int,
    *,
    dark: Collection[int] = (),
    brief: bool = False,
) -> dict[int, Kept]:
    """Play one account's days; of dark ones its source sent nothing for anybody."""
    partition = Partition.begin(0, 1, 1 << 12, brief=brief)
    partition.take(0, a.at(1, 1), [a.rules(DROP), a.tick(1)])
    found: dict[int, Kept] = {}
    said: list[tuple[str, str, str, str, int]] = []
    for day in range(1, until + 1):
        told = [] if day in dark else [a.usage(usage(day), day=day, id=f"e{day}")]
        seen = {} if day in dark else {"app": [day]}
        partition.take(2 * day - 1, a.at(day), told)
        partition.take(2 * day, a.at(day + 1, 2), [a.tick(day + 1, seen=seen)])
        playing.settle(partition)
        account = partition.accounts["account:acme"]
        said += playing.told(partition.found()[0])
        found[day] = Kept([*account.watch], dict(account.usual), [*said])
    return found


def fallen(level: float) -> Callable[[int], float]:
    return lambda day: 3 if day < LEARNED else level


def test_a_fall_is_on_watch_before_it_is_told_and_never_sent() -> None:
    kept = played(fallen(2.1), LEARNED + 24)
    watch = {day - LEARNED: one.watch for day, one in kept.items() if day >= LEARNED}
    # On the 24th day it is told.
    assert [day for day, names in watch.items() if names] == [23]
    assert watch[23] == ["usage"]
    assert [one.said for one in kept.values()][-2:] == [
        [],
        [("acme", "drop-rule", "usage", "raised", LEARNED + 24)],
    ]


def test_a_fall_that_is_no_surer_later_is_watched_and_forgotten() -> None:
    kept = played(fallen(2.3), LEARNED + 60)
    assert [day - LEARNED for day, one in kept.items() if one.watch] == [*range(30, 37)]
    assert kept[LEARNED + 60].said == []


def test_what_is_dark_is_not_watched() -> None:
    lit = played(fallen(2.3), LEARNED + 33)
    dark = played(fallen(2.3), LEARNED + 33, dark=[LEARNED + 32, LEARNED + 33])
    assert [one[LEARNED + 33].watch for one in (lit, dark)] == [["usage"], []]


def test_fewer_tickets_are_nothing_to_watch() -> None:
    partition = Partition.begin(0, 1, 1 << 12)
    partition.take(0, a.at(1, 1), [a.rules(DROP), a.tick(1)])
    watched: set[str] = set()
    for day in range(1, LEARNED + 30):
        many = 3 if day < LEARNED else (2, 2, 2, 3)[day % 4]
        tickets = [TicketOpened(ticket=f"t{day}-{n}", priority=3) for n in range(many)]
        told = [a.entry(one, day=day, id=f"{one.ticket}") for one in tickets]
        partition.take(2 * day - 1, a.at(day), [a.usage(many, day=day, id=f"e{day}"), *told])
        partition.take(2 * day, a.at(day + 1, 2), [a.tick(day + 1, seen={"app": [day]})])
        playing.settle(partition)
        watched.update(partition.accounts["account:acme"].watch)
    assert watched == {"usage"}


def test_what_is_usual_is_kept_on_sundays_and_is_in_the_snapshot() -> None:
    kept = played(lambda day: (100, 90, 80, 70, 60, 5, 0)[(day - 1) % 7], 126)
    # Day 1 is a Monday; 112 days are known on day 112, a Sunday.
    assert next(day for day, one in kept.items() if one.usual) == 112
    week = [100_000, 90_000, 80_000, 70_000, 60_000, 5_000, 0]
    assert kept[126].usual == {"usage": [*week, 500, 50]}


def test_where_nobody_looks_at_pages_nothing_is_kept_for_them() -> None:
    kept = played(fallen(2.3), LEARNED + 36, brief=True)
    assert [(one.watch, one.usual) for one in kept.values()] == [([], {})] * len(kept)


def test_both_are_in_the_snapshot_of_an_account() -> None:
    log = playing.Log().add(a.rules(DROP), a.usage(1, day=1))
    partition = playing.play(log)
    account = partition.accounts["account:acme"]
    account.usual, account.watch = {"usage": [1, 2, 3, 4, 5, 6, 7, 8, 9]}, ["usage"]
    restored = Partition.restore(0, 1, playing.store({}, partition.cut()))
    again = restored.accounts["account:acme"]
    assert (again.usual, again.watch) == (account.usual, account.watch)
