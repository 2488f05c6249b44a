"""What partitions say to each other of an ended day (design.md §5.4, Summaries)."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.envelope import Entry, encode
from schemas.events import PartClosed
from services.detector.ledger import ROOT
from services.detector.partition import Partition
from services.detector.parts import KEEP_DAYS
from services.detector.peers import SEGMENT_LIMIT, Values
from tests import builders as a
from tests import playing

DAY = 112
"""The first day on which 84 days of baseline lie before four weeks."""
BEFORE = DAY - 28
WHO = ("acme", "beta", "gamma", "delta", "eps", "zeta")
ZONES = ("UTC", "Asia/Kolkata", "Europe/Berlin", "Europe/Paris")

Mode = Literal["live", "importing"]

DROP = a.rule("drop", params={"metric": "@meaningful"})
"""It asks for half a year: without it too little is kept to tell what is usual."""


def fell(who: str, earlier: float, later: float, **profile: Any) -> list[Entry]:
    """Twelve weeks of some usage a day, then four of another, up to day 112."""
    return [
        a.profile(profile, account=who, day=1),
        *(
            a.usage(count, account=who, day=day, hour=3)
            for day in range(1, DAY + 1)
            if (count := earlier if day <= BEFORE else later)
        ),
    ]


def began(*stories: Sequence[Entry], mode: Mode = "live") -> playing.Log:
    """A log up to noon of day 112; a zone counts from the day after it became known."""
    log = playing.Log().add(a.rules(DROP), a.tick(DAY - 2, 12, mode=mode))
    for story in stories:
        log.add(*story)
    # Seen every day: in a partition of one account its silence would be an outage of the source.
    return log.add(a.tick(DAY, 12, mode=mode, seen={"app": range(1, DAY + 1)}))


def said(partition: Partition, day: int = DAY) -> list[Entry]:
    """Take what a partition has to say, and return what it says of a day."""
    return [one for one in playing.forwards(partition) if told(one).day == a.on(day)]


def told(entry: Entry) -> PartClosed:
    assert isinstance(entry.event, PartClosed)
    return entry.event


def part(
    scope: str = "company",
    day: int = DAY,
    partition: int = 0,
    revision: int = 1,
    values: dict[str, Any] | None = None,
) -> Entry:
    told = (
        {"accounts": 1, "told": 1, "fallen": 0, "ratios": {"90": 1}} if values is None else values
    )
    event = PartClosed(
        scope=scope, day=a.on(day), partition=partition, values=told, revision=revision
    )
    return Entry("", "ebbwatch", 0, (), event)


def known(*entries: Entry, partitions: int = 4) -> Partition:
    log = playing.Log().add(a.tick(DAY + 2)).each(*entries)
    return playing.play(log, Partition.begin(0, partitions))


def merged(partition: Partition, scope: str = "company", day: int = DAY) -> Values:
    return partition.ledger.part(scope, a.START + day)


def plain(accounts: int, **ratios: int) -> dict[str, Any]:
    """Values as they are sent; `p90=2` says that the ratio of two is told, and 90 %."""
    told = {name.removeprefix("p"): n for name, n in ratios.items()}
    fallen = sum(n for percent, n in told.items() if int(percent) <= 85)
    return {"accounts": accounts, "told": sum(ratios.values()), "fallen": fallen, "ratios": told}


def test_when_a_day_is_judged_its_partition_says_how_its_accounts_did() -> None:
    log = began(
        fell("acme", 10, 5, segment="smb"),
        fell("beta", 10, 10, segment="smb"),
        fell("gamma", 0.1, 5),
    )
    partition = playing.play(log)
    assert said(partition) == []
    playing.play(log.add(a.tick(DAY + 1, 2)).messages[-1:], partition)
    due = a.at(DAY + 1, 2)
    assert said(partition) == [
        Entry(
            f"part-{scope}-{a.on(DAY)}-0-{due}",
            "ebbwatch",
            due,
            (),
            PartClosed(scope=scope, day=a.on(DAY), partition=0, values=values, revision=due),
        )
        for scope, values in (
            ("company", plain(3, p50=1, p100=1)),
            ("segment:smb", plain(2, p50=1, p100=1)),
        )
    ]
    # it says so once, and to everybody
    playing.play(log.add(a.tick(DAY + 1, 3)).messages[-1:], partition)
    assert partition.forwards() == []


def test_it_goes_to_every_partition() -> None:
    partition = playing.play(began(fell("acme", 10, 5)).add(a.tick(DAY + 1, 2)))
    assert {subject for subject, _ in partition.forwards()} == {""}


@pytest.mark.parametrize(
    "rules, told_",
    [
        ([DROP], plain(1, p50=1)),
        # one metric, or payments: no rule has the sums of all metrics ready
        ([a.rule("stop", params={"metric": "usage"})], plain(1, p50=1)),
        ([a.unpaid(), DROP], plain(1, p50=1)),
        # where only some weeks are kept, what is usual is not known
        ([a.rule("deadline", "due", params={"what": "payment_method", "days": 9})], plain(1)),
    ],
)
def test_the_ratio_does_not_depend_on_which_rules_ask(
    rules: Sequence[Any], told_: dict[str, Any]
) -> None:
    log = playing.Log().each(a.rules(*rules), a.tick(DAY, 12), *fell("acme", 10, 5))
    (only,) = said(playing.play(log.add(a.tick(DAY + 1, 2))))
    assert told(only).values == told_


def test_of_history_nothing_is_said() -> None:
    log = began(fell("acme", 10, 5), mode="importing").add(a.tick(DAY + 1, 2, mode="importing"))
    assert playing.forwards(playing.play(log)) == []


def test_of_history_that_all_play_together_it_is_said() -> None:
    log = began(fell("acme", 10, 5), mode="importing").add(a.tick(DAY + 1, 2, mode="importing"))
    partition = playing.play(log, Partition.begin(0, 1, in_step=True))
    assert [told(one).values for one in said(partition)] == [plain(1, p50=1)]


def test_an_account_that_came_after_the_day_was_opened_is_not_counted() -> None:
    log = began(fell("acme", 10, 5)).each(a.tick(DAY + 1, 2), a.usage(account="new", day=DAY + 1))
    (counted,) = said(playing.settle(playing.apply(Partition.begin(0, 1), log)))
    assert told(counted).values["accounts"] == 1


def test_a_zone_in_which_nobody_is_says_nothing() -> None:
    """Accounts begin in UTC, and its days go on being opened when the last one has moved."""
    log = began(fell("acme", 10, 5, timezone="Asia/Kolkata")).add(a.tick(DAY + 1, 2))
    assert [told(one).revision for one in said(playing.play(log))] == [a.at(DAY, 20.5)]


def test_zones_add_up_and_each_revision_is_larger_also_where_days_end_at_once() -> None:
    stories = [
        fell(who, 10, n, timezone=zone)
        for n, (who, zone) in enumerate(zip(WHO, ZONES, strict=False))
    ]
    partition = playing.play(began(*stories).add(a.tick(DAY + 1, 2)))
    # due: Kolkata 20:30 of day 112, Berlin and Paris midnight, UTC 02:00 of day 113
    found = [(told(one).values["ratios"], told(one).revision) for one in said(partition)]
    assert found == [
        ({"10": 1}, a.at(DAY, 20.5)),
        ({"10": 1, "20": 1}, a.at(DAY + 1, 0) + 1),
        ({"10": 1, "20": 1, "30": 1}, a.at(DAY + 1, 0) + 2),
        ({"0": 1, "10": 1, "20": 1, "30": 1}, a.at(DAY + 1, 2) + 3),
    ]


def test_a_newer_revision_replaces_an_older_one_and_no_other() -> None:
    two = plain(2, p80=1)
    partition = known(
        part(revision=5, values=plain(1, p90=1)),
        part(revision=7, values=two),
        *(part(revision=7), part(revision=6)),
        part(partition=3, values=plain(5, p80=2, p10=1)),
    )
    assert merged(partition) == Values(7, 4, 4, {80: 3, 10: 1})
    assert partition.counts["duplicate", "revision"] == 2


def test_the_newest_four_days_are_kept() -> None:
    partition = known(
        *(part(day=day) for day in range(DAY - 5, DAY + 1)), part(day=DAY - KEEP_DAYS)
    )
    days = [day for day in range(DAY - 9, DAY + 2) if merged(partition, day=day).accounts]
    assert days == list(range(DAY - 3, DAY + 1))
    assert partition.counts["duplicate", "old"] == 1
    stored = playing.store({}, partition.cut())
    assert sorted(key for key in stored if key.startswith(f"{ROOT}/parts")) == [
        f"{ROOT}/parts/{a.START + day}/company" for day in days
    ]


def test_what_a_day_says_goes_once_the_day_is_too_old() -> None:
    partition = known(part(day=DAY))
    stored = playing.store({}, partition.cut())
    playing.play([playing.Message(2, a.at(DAY + 9), encode([part(day=DAY + 9)]))], partition)
    stored = playing.store(stored, partition.cut())
    assert [key for key in stored if "/parts/" in key] == [
        f"{ROOT}/parts/{a.START + DAY + 9}/company"
    ]


def test_segments_beyond_the_limit_are_refused_by_name() -> None:
    names = [f"segment:s{n:02}" for n in range(SEGMENT_LIMIT + 2)]
    partition = known(*(part(scope) for scope in ("company", *reversed(names))))
    found = [scope for scope in ("company", *names) if merged(partition, scope).accounts]
    assert found == ["company", *names[:SEGMENT_LIMIT]]
    partition = known(*(part(scope) for scope in ("company", *names)))
    assert partition.counts["duplicate", "scope"] == 2


@pytest.mark.parametrize(
    "broken",
    [
        part(values={"accounts": -1}),
        part(values={"accounts": 1, "told": "many"}),
        part(values={"ratios": {"201": 1}}),
        part(values={"ratios": {"-1": 1}}),
        part(values={"ratios": {"ninety": 1}}),
        part(values={"ratios": [90]}),
        part(values={"fallen": -1}),
        part(partition=4),
        # a day that cannot have ended
        part(day=DAY + 9),
    ],
)
def test_what_is_no_summary_of_this_log_is_refused(broken: Entry) -> None:
    partition = known(broken, part())
    assert merged(partition) == Values(1, 1, 0, {90: 1})
    assert [(one.reason, one.offset) for one in partition.cut().rejects] == [("invalid", 1)]


def test_a_restored_partition_knows_and_says_the_same() -> None:
    stories = [fell(who, 10, 5, timezone=zone) for who, zone in zip(WHO, ZONES, strict=False)]
    log = began(*stories, [part(day=DAY - 1)]).each(
        a.tick(DAY, 21), part(scope="segment:a/b", day=DAY - 1), a.tick(DAY + 1, 2)
    )
    undisturbed = playing.play(log, Partition.begin(0, 2))
    partition, store, sent = Partition.begin(0, 2), dict[str, bytes](), []
    for message in log:
        partition.apply(*message)
        more = True
        while more:
            more = partition.judge(1)
            sent += playing.forwards(partition)
            store = playing.store(store, partition.cut())
            partition = Partition.restore(0, 2, store)
    assert sent == playing.forwards(undisturbed)
    assert store == playing.store({}, undisturbed.cut())
    assert merged(partition, "segment:a/b", DAY - 1) == Values(1, 1, 0, {90: 1})


accounts = st.lists(
    st.tuples(st.sampled_from(["smb", "large", None]), st.sampled_from(ZONES), st.integers(0, 9)),
    min_size=1,
    max_size=len(WHO),
)


@settings(max_examples=30)
@given(accounts, st.integers(1, 4), st.integers(1, 3))
def test_what_all_partitions_say_is_what_one_would_say(
    kinds: Sequence[tuple[str | None, str, int]], count: int, together: int
) -> None:
    stories = [
        fell(who, 10, later, segment=segment, timezone=zone)
        for who, (segment, zone, later) in zip(WHO, kinds, strict=False)
    ]
    whole = _said([stories], 250)
    parts = _said([stories[n::count] for n in range(count)], together)
    for scope in ("company", "segment:smb", "segment:large"):
        assert [merged(one, scope) for one in parts] == [merged(whole[0], scope)] * count
    assert merged(whole[0]).accounts == len(kinds)


def _said(parts: Iterable[Sequence[Sequence[Entry]]], together: int) -> list[Partition]:
    """Fold each part's accounts in a partition of its own, and tell all what each says."""
    logs = [began(*part) for part in parts]
    partitions = [Partition.begin(n, len(logs)) for n in range(len(logs))]
    for log, partition in zip(logs, partitions, strict=True):
        # Some accounts are judged one by one, since an entry of theirs has come.
        log.each(
            a.tick(DAY + 1, 3), *(a.usage(account=who, day=DAY + 1, hour=3) for who in WHO[::2])
        )
        playing.settle(playing.apply(partition, log), together)
    said = [one for partition in partitions for one in playing.forwards(partition)]
    for log, partition in zip(logs, partitions, strict=True):
        playing.play(log.add(a.tick(DAY + 2, 1), *said).messages[-1:], partition)
    return partitions
