"""What a partition refuses: it is kept with its reason and its place, and the stream goes on."""

import msgspec
import pytest

from schemas.envelope import Entry, Origin
from schemas.rejects import Reject
from services.detector import persons
from services.detector.facts import contacts, portfolio
from services.detector.facts.buckets import LINE_LIMIT
from services.detector.partition import Partition
from tests import builders as a
from tests import playing
from tests.unit.detector.views import began, counts, sums


def refused(partition: Partition) -> list[tuple[str, int | None, int | None, str]]:
    """Return rejects as (reason, offset, place, source)."""
    return [(one.reason, one.offset, one.index, one.source) for one in partition.cut().rejects]


@pytest.mark.parametrize("value", [b"", b"\xc1", b"no envelope", b"\x92\x02\x90", None])
def test_a_message_that_is_no_envelope_is_refused_and_the_stream_goes_on(
    value: bytes | None,
) -> None:
    log = began(a.usage(day=10))
    partition = playing.apply(Partition.begin(3, 8), log.messages[:1])
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
    partition = playing.apply(Partition.begin(0, 1), began().messages[:1])
    partition.apply(1, a.at(10), message)
    assert sums(partition) == {10: 3}
    (reject,) = partition.cut().rejects
    assert (reject.reason, reject.offset, reject.index, reject.raw) == ("unreadable", 1, 1, bad)


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
    partition = playing.play(began(entry))
    found = refused(partition)
    assert found == ([] if reason is None else [(reason, 1, 0, "app")])
    # no clock moves
    assert partition.ledger.record.clock == a.at(10, 3)


def test_what_is_refused_is_kept_as_it_was() -> None:
    entry = a.zone("Mars/Olympus", day=10, id="z")
    (reject,) = playing.play(began(entry)).cut().rejects
    assert msgspec.json.decode(reject.raw, type=Entry) == entry
    assert "unknown_timezone" in reject.detail


@pytest.mark.parametrize("day, folded", [(10 - 60, True), (10 - 61, False)])
def test_what_is_older_than_the_buckets_is_counted_as_too_late(day: int, folded: bool) -> None:
    # without rules 60 days up to the judged day 9 are kept: -50 to 9
    partition = playing.play(began(a.usage(day=day)))
    found = counts(partition, "folded", "rejected")
    assert found == ({("folded", "late"): 1} if folded else {("rejected", "too_late"): 1})


def test_a_tick_ahead_of_its_message_is_refused_and_an_older_one_ignored() -> None:
    log = playing.Log().add(a.tick(10, 3)).add(a.tick(9, 3))
    log.add(a.tick(10, 4), appended=a.at(10, 4) - 120_000_000)
    log.add(a.tick(10, 5), appended=a.at(10, 5) - 120_000_001)
    partition = playing.play(log)
    assert partition.ledger.record.clock == a.at(10, 4)
    assert refused(partition) == [("tick_ahead", 3, 0, "ebbwatch")]


def test_only_so_many_metrics_of_an_account_are_taken() -> None:
    many = [a.usage(metric=f"m{n}", day=10) for n in range(LINE_LIMIT + 1)]
    partition = playing.play(began(*many, a.usage(metric="m0", day=10, account="beta")))
    assert refused(partition) == [("too_many_metrics", 1, LINE_LIMIT, "app")]


def test_a_sum_that_would_not_fit_is_refused() -> None:
    # 10^12 units are 10^15 thousandths; 2^62 of them hold 4611 times that
    most = a.usage(10**12, day=10)
    log = began()
    for _ in range(10):
        log.add(*[most] * 500)
    partition = playing.play(log)
    assert sums(partition) == {10: 4611 * 10.0**12}
    assert counts(partition, "rejected") == {("rejected", "sum_too_large"): 5000 - 4611}


@pytest.mark.parametrize(
    "entry",
    [
        a.usage(time=-a.HOUR_US, person="u"),
        # the first moment of the year 1, and one that no calendar has
        a.usage(time=-62_135_596_800_000_000),
        a.usage(time=-(2**60)),
        a.usage(day=10, on=-(10**6)),
        # what separates the parts of a record's key
        a.usage(day=10, account="a\x1fb"),
        a.usage(day=10, account="a\n"),
    ],
)
def test_what_no_calendar_and_no_key_can_hold_is_refused(entry: Entry) -> None:
    partition = playing.play(began(a.zone("America/New_York", day=10, hour=3), entry))
    assert refused(partition) == [("invalid", 1, 1, "app")]
    assert list(partition.accounts) == ["account:acme"]


def test_a_refusal_names_the_subject_that_refused_and_none_where_none_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contacts, "CONTACT_LIMIT", 0)
    monkeypatch.setattr(persons, "WAITING_LIMIT", 0)
    monkeypatch.setattr(portfolio, "MONTHS_LIMIT", 0)
    touch = a.touch("u1", day=10)
    entries = {
        "account:acme": a.about(touch, "account:acme", "colleague:ana"),
        "person:u1": a.about(touch, "person:u1", "colleague:ana"),
        "company": a.deal(day=10),
        "": a.about(a.usage(day=30), "account:acme", "company"),
    }
    partition = playing.play(began(*entries.values(), a.merged("acme", day=10)))
    assert [one.field for one in partition.cut().rejects] == [*entries, "account:acme"]


def test_a_circle_of_accounts_and_a_person_of_no_account_are_named_too() -> None:
    log = began(a.merged("beta", day=10))
    going_round = Origin("forward/4", 0, 1, 0)
    log.add(a.usage(day=10, origin=going_round), a.of_person(a.usage(day=10), "u7"))
    log.each(*(a.tick(day, 3) for day in (17, 25)))
    assert [(one.reason, one.field) for one in playing.play(log).cut().rejects] == [
        ("merged_in_a_circle", "account:acme"),
        ("unattributed", "person:u7"),
    ]


def test_an_event_before_1970_and_before_the_first_tick_is_refused() -> None:
    log = playing.Log().add(a.usage(time=-a.HOUR_US, person="u"), appended=a.at(1))
    assert refused(playing.play(log)) == [("invalid", 0, 0, "app")]


def test_any_account_that_is_taken_can_be_restored() -> None:
    names = ("a b", "a|b", "a/b", "~ledger", "account:a", "\u00e4\u4e2d", "a" * 200)
    partition = playing.play(began(*(a.usage(day=10, account=name) for name in names)))
    restored = Partition.restore(0, 1, playing.store({}, partition.cut()))
    assert sorted(restored.accounts) == sorted(f"account:{name}" for name in names)
