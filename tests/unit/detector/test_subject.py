import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.envelope import Entry
from services.detector import facts
from services.detector.episode import Episode
from services.detector.facts.buckets import BLOCK_DAYS
from services.detector.showing import shown
from services.detector.subject import (
    HELD_LIMIT,
    SEPARATOR,
    Account,
    Key,
    Quarantine,
    order_of,
    records,
    restore,
    restore_all,
)
from tests import builders as a

HISTORY = 120

Store = dict[str, bytes]
SUBJECT = "account:acme"


def fold(account: Account, one: Entry) -> None:
    oldest = account.judged - HISTORY + 1
    known = a.Known(clock=one.time, judged=account.judged, oldest=oldest)
    facts.fold(account.facts, one, a.moment(one, account.facts.buckets, **known))


def judge_up_to(account: Account, day: int) -> None:
    """Do what closings do to an account, without any verdict."""
    account.judged = a.START + day
    account.facts.buckets.trim(account.judged - HISTORY + 1)


def saved(account: Account, store: Store) -> Store:
    account.facts.buckets.settle(account.judged)
    for key, raw in records(account):
        if raw is None:
            store.pop(key, None)
        else:
            store[key] = raw
    return store


def state(account: Account) -> tuple[object, ...]:
    """Everything about an account that judging can see."""
    lines = {
        name: (
            (line.start, line.active, line.revised, line.revised_after, line.week, line.sources),
            [repr(swing) for swing in line.swings],
        )
        for name, line in account.facts.buckets.lines.items()
    }
    people = [dict(page) for page in account.facts.people.pages]
    return shown(account, 0, 0, 0), lines, people, account.judged, account.last_hour, account.since


events = st.lists(
    st.tuples(
        st.sampled_from(["usage"] * 6 + ["contact", "payment", "swing", "save", "load"]),
        st.integers(0, 45),
        st.integers(0, 2),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(events)
def test_an_account_survives_its_records_at_any_point(told: list[tuple[str, int, int]]) -> None:
    """Time goes on by up to 90 days a step; usage may be late, a metric may stop for good."""
    day = 200
    disturbed, undisturbed, store = Account("acme", 3), Account("acme", 3), Store()
    for n, (what, step, which) in enumerate(told):
        day += 2 * step if what == "usage" and which == 0 else 0
        if what == "save":
            saved(disturbed, store)
        elif what == "load":
            disturbed = restore_all(saved(disturbed, store).items())[SUBJECT]
        for account in (disturbed, undisturbed):
            judge_up_to(account, day - 1)
            _apply(account, what, day, n, step, which)
    saved(disturbed, store)
    undisturbed.facts.buckets.settle(undisturbed.judged)
    assert state(restore_all(store.items())[SUBJECT]) == state(undisturbed)
    assert store == saved(undisturbed, Store())


def _apply(account: Account, what: str, day: int, n: int, step: int, which: int) -> None:
    if what == "usage":
        back = step if which else 0
        where = a.Where(day=day - back, source=f"s{step % 3}")
        fold(account, a.usage(1, metric=f"m{which}", person=f"u{n % 3}", **where))
    elif what == "contact":
        fold(account, a.touch(f"u{which}", day=day, id=str(n)))
    elif what == "payment":
        fold(account, a.payment_failed(f"p{which}", day=day, id=str(n)))
    elif what == "swing":
        for line in account.facts.buckets.lines.values():
            line.swing(a.START + day, step / 7)
    account.episodes[f"r|{which}"] = Episode("r", str(which), "firing", day, severity=2)


def test_only_what_changed_is_written_again() -> None:
    account, store = Account("acme", 0), Store()
    for day in range(1, 200):
        judge_up_to(account, day - 1)
        fold(account, a.usage(1, person=f"u{day % 7}", day=day))
    saved(account, store)
    first = account.facts.buckets.hot_from
    # day 199 - 1 - 16 lies in the hot blocks; those before it, kept for 120 days, are cold
    cold = [key for key in store if Key.parse(key).part == "cold"]
    assert sorted(Key.parse(key).number for key in cold) == list(
        range(account.facts.buckets.lines["usage"].first, first, BLOCK_DAYS)
    )
    fold(account, a.usage(1, day=199))
    assert [key for key, _ in records(account)] == [SUBJECT]
    fold(account, a.usage(1, day=100))
    block = first - (first - a.START - 100 + BLOCK_DAYS - 1) // BLOCK_DAYS * BLOCK_DAYS
    late = str(Key(SUBJECT, "cold", block))
    assert [key for key, _ in records(account)] == [SUBJECT, late]


def test_more_than_two_thousand_people_are_restored() -> None:
    account, store = Account("acme", 0), Store()
    for n in range(4_500):
        fold(account, a.usage(1, person=f"u{n}", day=5 + n % 3))
    restored = restore_all(saved(account, store).items())[SUBJECT]
    assert state(restored) == state(account)
    assert len(restored.facts.people.pages) == 4
    assert max(len(raw) for raw in store.values()) < 64 * 1024
    fold(restored, a.usage(1, person="u6", day=5))
    assert restored.facts.buckets.lines["@people"].at(a.START + 5) == 1500 * 1000


def test_a_quarantine_lists_what_it_holds_up_to_a_bound() -> None:
    account = Account("acme", 0)
    account.quarantine = Quarantine(5, "ZeroDivisionError: division by zero")
    for place in range(HELD_LIMIT + 3):
        account.quarantine.hold(5, place)
    account.off["usage-drop"] = 4
    restored = restore_all(saved(account, Store()).items())[SUBJECT]
    assert restored.quarantine == account.quarantine
    assert (len(account.quarantine.held), account.quarantine.overflow) == (HELD_LIMIT, 3)
    assert restored.off == {"usage-drop": 4}


@pytest.mark.parametrize(
    "key, parsed",
    [
        ("account:acme", Key("account:acme", "hot", 0)),
        (f"account:acme{SEPARATOR}cold{SEPARATOR}20580", Key("account:acme", "cold", 20580)),
        (f"account:a/b c{SEPARATOR}people{SEPARATOR}3", Key("account:a/b c", "people", 3)),
        (f"account:a{SEPARATOR}cold{SEPARATOR}-30", Key("account:a", "cold", -30)),
    ],
)
def test_a_key_is_taken_apart_as_it_was_put_together(key: str, parsed: Key) -> None:
    assert (Key.parse(key), str(parsed)) == (parsed, key)


def test_a_snapshot_that_lacks_a_record_is_refused() -> None:
    account, store = Account("acme", 0), Store()
    for day in range(1, 100):
        fold(account, a.usage(1, day=day))
    judge_up_to(account, 99)
    saved(account, store)
    parts = {Key.parse(key)[1:]: raw for key, raw in store.items()}
    cold = sorted(part for part in parts if part[0] == "cold")
    with pytest.raises(ValueError, match="'account:acme' has no hot record"):
        restore(SUBJECT, {cold[0]: parts[cold[0]]})
    with pytest.raises(ValueError, match=f"cold block {cold[1][1]} of 'usage' is missing"):
        restore(SUBJECT, {part: raw for part, raw in parts.items() if part != cold[1]})


def test_hash_order_tells_subjects_apart() -> None:
    assert order_of("account:a") == order_of("account:a")
    assert len({order_of(f"account:{n}")[0] for n in range(1000)}) == 1000
    assert Account("a", 0).subject == "account:a"
