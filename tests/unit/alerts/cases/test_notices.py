from typing import Any, NamedTuple

import pytest

from schemas import cases
from schemas.cases import LogRecord
from services.alerts.cases import ledger
from services.alerts.cases.notices import Delivery, Notice
from services.alerts.cases.partition import Partition
from services.alerts.cases.timeline import Entry
from tests.unit.alerts import builders as a

RAISED = a.raised()
ID = a.notice(0, "opened")
BEGUN = Notice(
    id=ID, case="acme", step="opened", alert=RAISED, caused_at=a.us(0), generation=1, n=0
)


class Left(NamedTuple):
    """What some records leave of a notice with the channels crm and log."""

    deliveries: dict[str, Delivery]
    closed: str | None


def crm(**changed: object) -> Delivery:
    return Delivery(channel="crm", person="ana", why="owner", **changed)  # type: ignore[arg-type]


def log(**changed: object) -> Delivery:
    return Delivery(channel="log", person="ana", why="owner", **changed)  # type: ignore[arg-type]


OUTCOMES: list[tuple[list[cases.NoticeDelivered | cases.NoticeFailed], Left]] = [
    ([], Left({"crm": crm(), "log": log()}, None)),
    (
        [a.delivered(ID)],
        Left({"crm": crm(attempts=1, done="delivered"), "log": log()}, None),
    ),
    (
        [a.failed(ID, attempt=1, again=60)],
        Left({"crm": crm(attempts=1, retry_at=a.at(60)), "log": log()}, None),
    ),
    (
        # the same failure again, with another moment: the first one stands
        [a.failed(ID, attempt=1, again=60), a.failed(ID, attempt=1, again=90)],
        Left({"crm": crm(attempts=1, retry_at=a.at(60)), "log": log()}, None),
    ),
    (
        [a.failed(ID, attempt=1, again=60), a.failed(ID, attempt=2, again=90)],
        Left({"crm": crm(attempts=2, retry_at=a.at(90)), "log": log()}, None),
    ),
    (
        [a.failed(ID, attempt=1, again=60), a.delivered(ID, attempt=2)],
        Left({"crm": crm(attempts=2, done="delivered"), "log": log()}, None),
    ),
    (
        # switched off: no attempt at all, so the number is not a new one
        [a.failed(ID, attempt=3, again=60), a.failed(ID, attempt=3, again=None)],
        Left({"crm": crm(attempts=3, done="failed"), "log": log()}, None),
    ),
    (
        # whoever was fenced had sent it nevertheless
        [a.failed(ID, attempt=1, again=None), a.delivered(ID, attempt=1)],
        Left({"crm": crm(attempts=1, done="delivered"), "log": log()}, None),
    ),
    (
        [a.delivered(ID), a.failed(ID, attempt=2, again=None)],
        Left({"crm": crm(attempts=1, done="delivered"), "log": log()}, None),
    ),
    (
        [a.failed(ID, attempt=1, again=None), a.failed(ID, attempt=2, again=60)],
        Left({"crm": crm(attempts=1, done="failed"), "log": log()}, None),
    ),
    (
        # a channel that nobody intended
        [a.delivered(ID, "pager")],
        Left({"crm": crm(), "log": log()}, None),
    ),
    (
        [a.delivered(ID, "log"), a.delivered(ID)],
        Left(
            {"crm": crm(attempts=1, done="delivered"), "log": log(attempts=1, done="delivered")},
            "delivered",
        ),
    ),
    (
        [a.delivered(ID, "log"), a.failed(ID, attempt=10, again=None)],
        Left(
            {"crm": crm(attempts=10, done="failed"), "log": log(attempts=1, done="delivered")},
            "failed",
        ),
    ),
]


@pytest.mark.parametrize("outcomes, expected", OUTCOMES)
def test_a_notice_goes_on_by_its_outcomes_and_closes_with_the_last(
    outcomes: list[cases.NoticeDelivered | cases.NoticeFailed], expected: Left
) -> None:
    notice = BEGUN.intend(a.intended(ID, "crm", "log").targets)
    for one in outcomes:
        notice = notice.take(one)
    closed = notice.outcome if notice.closed else None
    assert Left(dict(notice.deliveries or {}), closed) == expected


@pytest.mark.parametrize("outcomes, expected", OUTCOMES)
def test_a_case_keeps_a_notice_until_it_is_closed(
    outcomes: list[cases.NoticeDelivered | cases.NoticeFailed], expected: Left
) -> None:
    partition = a.folded(RAISED, a.intended(ID, "crm", "log"), *outcomes)
    known = [one for _, one in partition.open_notices()]
    assert known == ([] if expected.closed else [_with(expected.deliveries)])
    counted = {key[1]: n for key, n in partition.counts.items() if key[0] == "closed"}
    assert counted == ({expected.closed: 1} if expected.closed else {})


def _with(deliveries: dict[str, Delivery]) -> Notice:
    fields = {name: getattr(BEGUN, name) for name in Notice.__struct_fields__}
    return Notice(**fields | {"deliveries": deliveries})


def test_a_notice_is_told_of_the_record_that_caused_it_and_begins_without_targets() -> None:
    partition = a.folded(RAISED)
    assert [one for _, one in partition.open_notices()] == [BEGUN]
    assert not BEGUN.closed


def test_with_no_channel_a_notice_is_closed_at_once_and_the_timeline_says_so() -> None:
    partition = a.folded(RAISED, a.intended(ID))
    assert list(partition.open_notices()) == []
    assert partition.cases["acme"].entries[1:] == [Entry(n=1, at=a.us(1), type="notice.intended")]
    assert partition.counts["closed", "no_target"] == 1


def test_the_first_intent_stands_with_one_target_a_channel() -> None:
    twice = a.intended(ID, "crm", "crm")
    partition = a.folded(RAISED, twice, a.intended(ID, "pager"))
    assert [one.deliveries for _, one in partition.open_notices()] == [{"crm": crm()}]


@pytest.mark.parametrize(
    "record",
    [
        a.delivered(ID),  # before the intent
        a.failed(ID, again=None),
        a.intended("another", "crm"),
        a.delivered("another"),
        a.delivered(ID, case="nobody"),
        a.intended(ID, case="nobody"),
    ],
)
def test_what_is_not_expected_of_a_notice_changes_nothing(record: LogRecord) -> None:
    partition = a.folded(RAISED)
    snapshot = a.store({}, partition.cut())
    log = a.Log()
    log.add(RAISED, record)
    a.apply(partition, log.messages)
    assert partition.counts["repeated", str(record.__struct_config__.tag)] == 1
    again = a.store(snapshot, partition.cut())
    assert {key for key in again if again[key] != snapshot[key]} == {ledger.KEY}


def test_outcomes_after_the_end_change_nothing() -> None:
    end: list[LogRecord] = [RAISED, a.intended(ID, "crm"), a.delivered(ID)]
    once = a.folded(*end).cases
    assert a.folded(*end, a.failed(ID, attempt=2), a.intended(ID, "crm")).cases == once


def test_the_timeline_says_to_whom_a_delivery_went_and_when_it_is_tried_again() -> None:
    partition = a.folded(
        RAISED, a.intended(ID, "crm"), a.failed(ID, again=60), a.delivered(ID, attempt=2)
    )
    to: Any = {"channel": "crm", "person": "ana", "why": "owner"}
    assert partition.cases["acme"].entries[1:] == [
        Entry(
            n=1,
            at=a.us(2),
            type="notice.failed",
            reason="timeout",
            attempt=1,
            until=a.at(60),
            **to,
        ),
        Entry(n=2, at=a.us(3), type="notice.delivered", answer="204", attempt=2, **to),
    ]


def test_each_change_has_a_notice_of_its_own_and_a_repeated_record_has_none() -> None:
    partition = a.folded(RAISED, RAISED, a.worsened(), RAISED, a.raised("b"), a.worsened())
    assert [(one.step, one.n) for _, one in partition.open_notices()] == [
        ("opened", 0),
        ("worsened", 3),
        ("added", 6),
    ]
    assert partition.counts["repeated", "alert.raised"] == 2


def test_a_notice_of_an_older_generation_can_be_told() -> None:
    partition = a.folded(RAISED, a.resolved(), a.raised("b"))
    found = [(case.generation, one.generation) for case, one in partition.open_notices()]
    assert found == [(2, 1), (2, 2)]


def test_notices_stand_at_hand_only_while_they_are_open() -> None:
    partition = Partition.begin(0, 1)
    log_ = a.Log()
    log_.add(a.raised(account="x"), a.raised(account="y"))
    a.apply(partition, log_.messages)
    first = [one.id for case, one in partition.open_notices() if case.id == "x"]
    log_.add(a.intended(first[0], case="x"))
    a.apply(partition, log_.messages)
    assert [case.id for case, _ in partition.open_notices()] == ["y"]
