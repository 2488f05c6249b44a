"""What is promised about sameness (design.md §5): cuts, partitions and order within a day."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.alerts import Alert
from schemas.config import MetricFlags
from schemas.envelope import Entry
from services.detector.partition import Partition
from services.detector.showing import shown
from tests import builders as a
from tests import playing

WHO = ("acme", "beta", "gamma", "delta", "eps")
LAST = 12

renewal = a.rule("deadline", "renewal", params={"what": "renewal_checklist", "days": 100})
DAY_RULES = a.rules(
    a.silent(2, clear_days=2),
    a.rule("silence", "second", params={"days": 1}, yields_to=["silent"]),
    renewal,
)
ALL_RULES = a.rules(a.silent(2), renewal, a.unpaid(2), a.gone(), a.no_admin())

told = st.lists(
    st.tuples(
        st.integers(1, LAST),
        st.sampled_from(WHO),
        st.sampled_from(["usage"] * 4 + ["late", "profile", "closure", "touch", "failed", "left"]),
        st.integers(0, 7),
    ),
    max_size=40,
)


def entry(number: int, day: int, who: str, kind: str, n: int) -> Entry:
    where = a.Where(account=who, day=day, hour=4 + number / 100, id=f"e{number:03}")
    person = f"u{n % 3}"
    match kind:
        case "late":
            where["day"] = max(1, day - n)
            return a.usage(1, person=person, **where)
        case "profile":
            data = {"segment": f"s{n % 2}", "renewal_on": a.on(40 + n), "country": "DE"}
            return a.profile(data, **where)
        case "closure":
            return a.closure(day - n, day + 1, **where)
        case "touch":
            return a.touch(person, **where)
        case "failed":
            return a.payment_failed(f"p{n % 2}", **where)
        case "left":
            return a.left(person, **where)
    return a.usage(n, metric=f"m{n % 2}", person=person, **where)


def alerts(partition: Partition) -> list[dict[str, Any]]:
    """Return all alerts; the stamp, which is a place in one partition, left out."""
    return sorted((plain(one) for one in partition.cut().alerts), key=lambda one: repr(one))


def plain(alert: Alert) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(alert)
    del found["account_now"]["stamp"]
    return found


def accounts(partitions: Sequence[Partition]) -> dict[str, Any]:
    return {
        account.id: shown(account, 0, 0, 0)
        for partition in partitions
        for account in partition.accounts.values()
    }


def tick(day: int) -> Entry:
    return a.tick(day + 1, 3, seen={"app": [day]})


@settings(max_examples=40)
@given(told, st.integers(1, 4), st.randoms(use_true_random=False))
def test_the_same_events_raise_the_same_alerts_in_one_partition_and_in_four(
    stories: list[tuple[int, str, str, int]], cut_at: int, random: Any
) -> None:
    entries = [entry(number, *one) for number, one in enumerate(stories)]
    one = playing.Log().add(ALL_RULES, a.tick(1, 3))
    four = [playing.Log().add(ALL_RULES, a.tick(1, 3)) for _ in range(4)]
    for day in range(1, LAST + 2):
        today = [e for e, story in zip(entries, stories, strict=True) if story[0] == day]
        for log, mine in [(one, today), *((four[n], _of(n, today)) for n in range(4))]:
            while mine:
                size = random.randint(1, cut_at)
                log.add(*mine[:size], appended=a.at(day, 20))
                mine = mine[size:]
            log.add(tick(day))
    whole, parts = playing.play(one), [playing.play(log) for log in four]
    assert accounts([whole]) == accounts(parts)
    apart = [found for partition in parts for found in alerts(partition)]
    assert alerts(whole) == sorted(apart, key=lambda found: repr(found))


def _of(number: int, entries: Sequence[Entry]) -> list[Entry]:
    places = {f"account:{who}": n % 4 for n, who in enumerate(WHO)}
    return [one for one in entries if places[one.subjects[0]] == number]


@settings(max_examples=40)
@given(told, st.randoms(use_true_random=False))
def test_events_between_two_closings_may_come_in_any_order(
    stories: list[tuple[int, str, str, int]], random: Any
) -> None:
    """Rules over days alone: one that an event wakes speaks at once, of what it knows then."""
    entries = [entry(number, *one) for number, one in enumerate(stories)]
    logs = [playing.Log().add(DAY_RULES, a.tick(1, 3)) for _ in range(2)]
    for day in range(1, LAST + 2):
        today = [e for e, story in zip(entries, stories, strict=True) if story[0] == day]
        permuted = random.sample(today, len(today))
        for log, order in zip(logs, (today, permuted), strict=True):
            log.add(*order, appended=a.at(day, 20)).add(tick(day))
    first, second = (playing.play(log) for log in logs)
    assert accounts([first]) == accounts([second])
    assert alerts(first) == alerts(second)


def test_when_a_snapshot_is_cut_decides_no_alert() -> None:
    """Rules ask for a long history, then for a short one, then for the long one again."""
    flags = {"sync": MetricFlags(meaningful=False)}
    log = playing.Log().each(
        *(a.rules(a.silent(100), metrics=flags), a.tick(1, 2), a.usage(day=1)),
        *map(tick, range(1, 94)),
        *(a.rules(a.silent(5, off=True), n=2, metrics=flags), a.usage(metric="sync", day=95)),
        a.rules(a.silent(100), n=3, metrics=flags),
        *map(tick, range(95, 103)),
    )
    rare, often = (_cut_after_every(log, messages) for messages in (1_000, 1))
    assert rare == often


def _cut_after_every(log: playing.Log, messages: int) -> tuple[dict[str, bytes], list[Alert]]:
    """Fold a log; return what is stored in the end, and all alerts."""
    partition, stored, found = Partition.begin(0, 1), dict[str, bytes](), list[Alert]()
    for number, message in enumerate(log, 1):
        playing.play([message], partition)
        if number % messages == 0 or number == len(log.messages):
            cut = partition.cut()
            stored = playing.store(stored, cut)
            found.extend(cut.alerts)
    return stored, found


def test_how_soon_a_closing_is_judged_decides_nothing_of_what_is_forgotten() -> None:
    """A closing of rules with a short history, judged while those of a long one hold again."""
    log = playing.Log().each(
        *(a.rules(a.silent(140)), a.tick(1, 2), a.usage(day=1)),
        *map(tick, range(1, 110)),
        *(a.rules(a.silent(2, off=True), n=2), tick(110), a.rules(a.silent(140), n=3)),
        a.usage(day=111),
    )
    soon = playing.play(log)
    late = playing.settle(playing.apply(playing.play(log.messages[:-4]), log.messages[-4:]))
    assert accounts([soon])["acme"]["buckets"] == {
        "usage": {a.on(1).isoformat(): 1, a.on(111).isoformat(): 1}
    }
    assert playing.store({}, late.cut()) == playing.store({}, soon.cut())


@pytest.mark.parametrize("apart", [False, True])
def test_what_feeds_a_metric_of_one_account_says_nothing_of_another(apart: bool) -> None:
    """The web, all that acme has, falls dark; beta's mobile app goes on, here or elsewhere."""
    logs = [playing.Log().add(a.rules(a.silent(12)), a.tick(1, 2)) for _ in range(1 + apart)]
    for day in range(1, 18):
        seen = {"mobile": [day]}
        if day < 4:
            logs[0].add(a.usage(day=day, source="web"))
            seen["web"] = [day]
        logs[-1].add(a.usage(day=day, account="beta", source="mobile"))
        for log in logs:
            log.add(a.tick(day + 1, 3, seen=seen))
    partitions = [playing.play(log) for log in logs]
    assert [partition.cut().alerts for partition in partitions] == [[]] * len(logs)
    states = {who: one["states"] for who, one in accounts(partitions).items()}
    assert states == {"acme": {"usage": "no_data"}, "beta": {"usage": "warming_up"}}


@pytest.mark.parametrize("together, every", [(1, 40), (2, 7), (7, 1)])
def test_an_account_is_judged_alike_whoever_is_judged_with_it(
    seed: int, together: int, every: int
) -> None:
    """Half a year of noise and a fall, so that the arrays of `drop` and `stop` are asked."""
    flagged = {"metric": "@meaningful"}
    rules = a.rules(
        a.rule("stop", "stopped", params=flagged),
        a.rule("drop", "fell", params=flagged, yields_to=["stopped"]),
        a.rule("silence", "quiet", params={}, severity="by_renewal"),
    )
    log = playing.Log().add(rules, a.tick(1, 3))
    state = seed
    for day in range(1, 171):
        today = []
        for n, who in enumerate(WHO):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            level = (0 if n == 1 else 40) if day > 140 and n < 3 else 100
            if level:
                today.append(a.usage(level + state // 2**60, account=who, day=day, hour=5))
        log.add(*today, appended=a.at(day, 6)).add(tick(day))
    eager = playing.play(log)
    lazy, store, found = Partition.begin(0, 1), dict[str, bytes](), list[Alert]()
    for number, message in enumerate(log):
        lazy.apply(*message)
        lazy.judge(together)
        if number % every == 0:
            cut = lazy.cut()
            store = playing.store(store, cut)
            found.extend(cut.alerts)
            lazy = Partition.restore(0, 1, store) if number % (5 * every) == 0 else lazy
    cut = playing.settle(lazy, together).cut()
    found.extend(cut.alerts)
    undisturbed = eager.cut()
    assert {one.rule for one in found} == {"stopped", "fell", "quiet"}
    assert sorted(map(repr, found)) == sorted(map(repr, undisturbed.alerts))
    assert playing.store(store, cut) == playing.store({}, undisturbed)
