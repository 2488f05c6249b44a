import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from schemas.cases import LogRecord
from services.alerts.cases import case as case_module
from services.alerts.cases import ledger
from services.alerts.cases.case import Answer
from services.alerts.cases.ledger import STRANGER_LIMIT
from services.alerts.cases.partition import Partition
from services.alerts.cases.reading import ALERT_BYTES
from services.alerts.cases.records import RECORD_BYTES, VERSION
from services.alerts.cases.standing import FEEDBACK_LIMIT
from tests.unit.alerts import builders as a

DAY: list[LogRecord] = [
    a.raised(),
    a.raised("b", "high"),
    a.raised("s", shadow=True),
    a.intended(a.notice(0, "opened"), "crm", "log"),
    a.failed(a.notice(0, "opened"), again=60),
    a.acknowledged(id="k1", by="bob"),
    a.assigned("kim", id="k2"),
    a.feedback("b", "known", id="k3"),
    a.commented("é\x1f\u2028", id="k4"),
    a.snoozed(id="k5"),
    a.worsened("a", "critical"),
    a.cleared("b"),
    a.raised(account="beta", historic=True),
    a.raised(account="a/b c", shadow=True),
    a.acknowledged(case="nobody", id="k6"),
]
"""One of everything."""


def kept(partition: Partition) -> dict[str, bytes]:
    return a.store({}, partition.cut())


def test_what_was_folded_is_not_folded_again_and_gaps_are_normal() -> None:
    partition = a.folded(*DAY)
    stamp, before = partition.stamp, kept(partition)
    log = a.Log()
    log.add(*DAY)
    a.apply(partition, log.messages)
    assert (partition.stamp, partition.appended) == (stamp, a.us(len(DAY) - 1))
    assert partition.counts["replayed", "offset"] == len(DAY)
    assert partition.cut() == [(ledger.KEY, before[ledger.KEY])]


def test_a_snapshot_restores_what_was_folded() -> None:
    partition = a.folded(*DAY)
    # A compacted topic holds its records in the order in which they were written last.
    restored = Partition.restore(0, 1, dict(sorted(kept(partition).items(), reverse=True)))
    assert restored.cases == partition.cases
    assert (restored.stamp, restored.appended) == (partition.stamp, partition.appended)
    assert list(restored.open_notices()) == sorted(
        partition.open_notices(), key=lambda one: (one[0].id, one[1].n)
    )
    for name, case in restored.cases.items():
        mine = partition.cases[name]
        assert list(case.standings) == list(mine.standings)
        assert list(case.answers) == list(mine.answers)
    assert restored.cut() == [(ledger.KEY, kept(partition)[ledger.KEY])]


def test_a_snapshot_has_the_same_bytes_wherever_it_was_cut() -> None:
    log = a.Log()
    log.add(*DAY)
    whole = kept(a.apply(Partition.begin(0, 1), log.messages))
    for first in range(len(DAY)):
        stored = kept(a.apply(Partition.begin(0, 1), log.messages[:first]))
        rest = a.apply(Partition.restore(0, 1, stored), log.messages)
        assert a.store(stored, rest.cut()) == whole


def test_the_records_of_a_snapshot_have_these_keys() -> None:
    second = a.notice(1, "added")
    third = a.notice(15, "reopened")
    first = a.notice(0, "opened")
    assert sorted(kept(a.folded(*DAY))) == sorted(
        [
            "a/b c",
            "a/b c\x1f000000",
            "a/b c\x1falert\x1fa",
            "acme",
            *[f"acme\x1f{n:06d}" for n in range(11)],
            *[f"acme\x1falert\x1f{id}" for id in ("a", "b", "s")],
            *[f"acme\x1fanswer\x1f{n}" for n in range(5)],
            *[f"acme\x1fnotice\x1f{id}" for id in (first, second, third)],
            "beta",
            "beta\x1f000000",
            "beta\x1falert\x1fa",
            "\x1fledger",
        ]
    )


def test_a_cut_holds_what_changed_and_what_has_gone() -> None:
    first = a.notice(0, "opened")
    partition = a.folded(a.raised())
    assert partition.dirty == 4
    partition.cut()
    assert partition.dirty == 0
    log = a.Log()
    log.add(a.raised(), a.intended(first))
    a.apply(partition, log.messages)
    cut = dict(partition.cut())
    assert cut.keys() == {"acme", "acme\x1f000001", f"acme\x1fnotice\x1f{first}", ledger.KEY}
    assert cut[f"acme\x1fnotice\x1f{first}"] is None


@pytest.mark.parametrize(
    "limit, story, gone",
    [
        ("ENTRY_LIMIT", [a.raised(), a.commented(), a.commented()], "acme\x1f000000"),
        (
            "ANSWER_LIMIT",
            [a.raised(), a.commented(), a.commented(), a.commented()],
            "acme\x1fanswer\x1f0",
        ),
        (
            "ENDED_LIMIT",
            [*[a.raised(one) for one in "abc"], *[a.cleared(one) for one in "bac"]],
            "acme\x1falert\x1fb",
        ),
    ],
)
def test_what_is_beyond_its_bound_goes_from_the_snapshot_too(
    monkeypatch: pytest.MonkeyPatch, limit: str, story: list[LogRecord], gone: str
) -> None:
    monkeypatch.setattr(case_module, limit, 2)
    log = a.Log()
    log.add(*story)
    partition = a.apply(Partition.begin(0, 1), log.messages[:-1])
    before = kept(partition)
    after = a.store(before, a.apply(partition, log.messages).cut())
    assert before.keys() - after.keys() == {gone}


@pytest.mark.parametrize("account", ["~", "~ledger", "ledger"])
def test_an_account_named_like_a_ledger_is_kept_beside_it(account: str) -> None:
    partition = a.folded(a.raised(account=account))
    restored = Partition.restore(0, 1, kept(partition))
    assert restored.cases == partition.cases
    assert [*restored.cases] == [account]


def test_the_position_behind_a_marker_is_kept_and_is_no_record() -> None:
    partition = a.folded(a.raised())
    assert (partition.position, partition.ahead) == (1, 1)
    partition.reach(2)
    assert (partition.stamp, partition.position, partition.ahead) == (0, 2, 2)
    restored = Partition.restore(0, 1, kept(partition))
    assert (restored.stamp, restored.position, restored.ahead) == (0, 2, 0)
    assert partition.ahead == 0
    restored.reach(1)
    assert (restored.position, restored.ahead) == (2, 0)


def test_what_waits_is_weighed_until_it_is_cut() -> None:
    partition = a.folded(a.raised())
    written = [one for one in partition.cut() if one[0] != ledger.KEY]
    assert partition.weight == 0
    again = a.folded(a.raised())
    assert again.weight == sum(len(key) + len(raw or b"") for key, raw in written)
    again.apply(9, a.us(9), "acme", b"x" * 100)
    again.cut()
    again.apply(12, a.us(12), "acme", b"y" * 70)
    assert again.weight == 70


def test_an_empty_snapshot_is_a_partition_that_folded_nothing() -> None:
    partition = Partition.restore(3, 8, {})
    assert (partition.number, partition.partitions, partition.stamp) == (3, 8, -1)
    assert Partition.restore(3, 12, kept(partition)).partitions == 8


@pytest.mark.parametrize(
    "change, message",
    [
        ({ledger.KEY: None}, "the snapshot has records but no ledger"),
        ({"acme": None}, "the snapshot has parts of case 'acme', but not the case"),
        ({ledger.KEY: b'{"v":9,"partitions":1}'}, "ledger of version 9, this code reads 1"),
        ({"acme": b'{"v":9,"state":"open"}'}, "case 'acme' is of version 9, this code reads 1"),
        ({"acme": b'{"v":1,"state":"lost"}'}, "Invalid enum value 'lost' - at `$.state`"),
        ({"acme\x1fvote\x1f1": b"{}"}, "case 'acme' has a part 'vote', which this code does not"),
        ({"acme\x1f000000": b"{"}, "Input data was truncated"),
        ({"acme\x1f000000": None}, r"'acme\x1f000000' is missing"),
        ({"acme\x1f000010": None}, r"'acme\x1f000010' is missing"),
        ({"acme\x1fanswer\x1f4": None}, r"'acme\x1fanswer\x1f4' is missing"),
        ({"acme\x1falert\x1fs": None}, r"a record 'acme\x1falert\x1f'… is missing"),
        ({f"acme\x1fnotice\x1f{a.notice(1, 'added')}": None}, r"'acme\x1fnotice\x1f'… is missing"),
    ],
)
def test_a_snapshot_that_cannot_be_used_is_refused(
    change: dict[str, bytes | None], message: str
) -> None:
    assert VERSION == ledger.VERSION == 1
    snapshot = a.store(kept(a.folded(*DAY)), change.items())
    with pytest.raises(ValueError, match=re.escape(message)):
        Partition.restore(0, 1, snapshot)


def test_the_view_is_told_which_cases_changed_and_how_actions_ended() -> None:
    partition = a.folded(
        a.raised(),
        a.raised(),
        a.commented(id="k"),
        a.commented(id="k"),
        a.acknowledged(id="l", case="nobody"),
        a.intended(a.notice(0, "opened"), "crm"),
        a.raised(account="beta"),
        a.acknowledged(id="m", case="beta"),
        a.acknowledged(id="n", case="beta"),
    )
    changed = partition.take_changed()
    assert {case: [one.n for one in new] for case, new in changed.items()} == {
        "acme": [0, 1],
        "beta": [0, 1],
    }
    told = [(one.id, one.status) for one in partition.take_answers()]
    assert told == [
        ("k", "applied"),
        ("k", "applied"),
        ("l", "unknown_case"),
        ("m", "applied"),
        ("n", "unchanged"),
    ]
    assert (partition.take_changed(), partition.take_answers()) == ({}, [])
    assert partition.counts == Counter(
        {
            ("folded", "alert.raised"): 2,
            ("repeated", "alert.raised"): 1,
            ("folded", "case.commented"): 1,
            ("repeated", "case.commented"): 1,
            ("folded", "notice.intended"): 1,
            ("folded", "case.acknowledged"): 2,
            ("action", "case.commented", "applied"): 1,
            ("action", "case.acknowledged", "unknown_case"): 1,
            ("action", "case.acknowledged", "applied"): 1,
            ("action", "case.acknowledged", "unchanged"): 1,
            ("notice", "opened"): 2,
        }
    )


def test_a_case_without_a_line_for_people_changes_too() -> None:
    partition = a.folded(a.raised())
    partition.take_changed()
    log = a.Log()
    log.add(a.raised(), a.intended(a.notice(0, "opened"), "crm"))
    a.apply(partition, log.messages)
    assert partition.take_changed() == {"acme": []}


def test_an_action_on_no_case_is_answered_so_for_ever_also_after_a_restart() -> None:
    early = a.acknowledged(id="k")
    log = a.Log()
    log.add(early, a.raised(), early, a.acknowledged(id="l"))
    partition = a.apply(Partition.begin(0, 1), log.messages[:1])
    restored = Partition.restore(0, 1, kept(partition))
    a.apply(restored, log.messages)
    unknown = Answer(id="k", case="acme", status="unknown_case", detail="there is no such case")
    applied = Answer(id="l", case="acme", status="applied", version=2, state="acknowledged")
    assert partition.take_answers() == [unknown]
    assert restored.take_answers() == [unknown, applied]


def test_so_many_actions_on_no_case_are_remembered() -> None:
    many = [a.acknowledged(id=f"k{n}") for n in range(STRANGER_LIMIT + 1)]
    partition = a.folded(*many, a.raised(), many[1], many[0])
    statuses = [one.status for one in partition.take_answers()]
    assert statuses[-2:] == ["unknown_case", "applied"]


def test_a_snooze_that_has_ended_is_due_until_it_is_folded() -> None:
    partition = a.folded(a.raised(), a.snoozed(3600), a.raised(account="beta"))
    assert partition.due(a.us(3600) - 1) == []
    (timer,) = partition.due(a.us(3600))
    assert partition.due(a.us(9999)) == [msgspec.structs.replace(timer, at=a.at(9999))]
    assert (timer.case, timer.by, timer.seen, timer.reason) == (
        "acme",
        "ebbwatch",
        2,
        "snooze_ended",
    )
    log = a.Log()
    log.add(a.raised(), a.snoozed(), a.raised(account="beta"), timer, timer)
    a.apply(partition, log.messages)
    assert partition.due(a.us(9999)) == []
    assert (partition.cases["acme"].state, partition.cases["acme"].version) == ("open", 3)
    assert [one.status for one in partition.take_answers()] == ["applied"] * 3


@pytest.mark.parametrize(
    "meanwhile, status",
    [
        (a.snoozed(7200), "conflict"),
        (a.resolved(), "conflict"),
        (a.raised("b", "critical"), "conflict"),
        (a.cleared(), "unchanged"),
        (a.commented(), "applied"),
    ],
)
def test_a_timer_whose_case_has_moved_on_changes_nothing(meanwhile: LogRecord, status: str) -> None:
    story: list[LogRecord] = [a.raised(), a.snoozed(3600)]
    (timer,) = a.folded(*story).due(a.us(3600))
    before, after = a.folded(*story, meanwhile), a.folded(*story, meanwhile, timer)
    assert after.take_answers()[-1].status == status
    if status != "applied":
        assert after.cases["acme"].entries == before.cases["acme"].entries


def test_timers_of_a_restored_partition_are_due_alike() -> None:
    partition = a.folded(a.raised(), a.snoozed(3600))
    restored = Partition.restore(0, 1, kept(partition))
    assert restored.due(a.us(3600)) == partition.due(a.us(3600))


def test_no_record_of_a_snapshot_is_too_large_for_its_topic() -> None:
    big = {"text": "𝄞" * 3_900, "series": ["\u0001" * 1_000] * 8}
    assert len(msgspec.json.encode(big)) < ALERT_BYTES
    id_ = "𝄞" * 200
    key = "𝄞" * 210
    # an alert's own id stands in a key as well as in each of its records
    acts: list[Any] = [a.raised(because=big, account=key), a.worsened(because=big, account=key)]
    acts += [a.cleared(because=big, account=key)]
    acts += [
        a.feedback("a", case=key, id=f"{n:03}{id_}"[:200], by=f"{n:03}{id_}"[:200])
        for n in range(FEEDBACK_LIMIT)
    ]
    acts += [
        a.commented("\u0001" * 4_000, case=key, id=f"c{id_}"[:200], by=id_),
        *[
            a.acknowledged(case=f"{n:03}{key}"[:210], id=f"{n:03}{id_}"[:200])
            for n in range(STRANGER_LIMIT)
        ],
    ]
    partition = a.folded(*acts)
    assert (partition.failures, partition.rejects) == ([], [])
    sizes = {k: len(k.encode()) + len(v or b"") for k, v in partition.cut()}
    assert 100_000 < max(sizes.values()) <= RECORD_BYTES


def test_every_record_counts_as_folded_or_repeated() -> None:
    told: Sequence[LogRecord] = [*DAY, *DAY]
    counts = a.folded(*told).counts
    assert sum(n for key, n in counts.items() if key[0] in ("folded", "repeated")) == len(told) - 2
