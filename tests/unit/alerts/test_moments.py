from typing import Any, get_args

import pytest
from msgspec.structs import replace

from schemas import cases
from schemas.cases import LogRecord
from services.alerts import moments
from services.alerts.cases.case import Case, Place
from services.alerts.cases.notices import Delivery
from services.alerts.cases.timeline import Entry
from services.alerts.shown import Moment
from tests.unit.alerts import builders as b

BECAUSE = {"headline": "usage fell 31 % in 28 days", "text": "It fell.", "title": "Usage fell"}
RAISED = b.raised(because=BECAUSE)
TITLES: list[tuple[LogRecord, str]] = [
    (RAISED, "Usage fell 31 % in 28 days (medium)"),
    (b.raised("b", "high", because={}), "Usage-drop (high)"),
    (b.raised("c", historic=True), "Usage fell 31 % (medium, imported history)"),
    (b.raised("d", shadow=True), "Usage fell 31 % (medium, only measured)"),
    (b.worsened(), "Worse: Usage fell 31 % (high)"),
    (b.eased(), "Better: Usage fell 31 % (low)"),
    (b.cleared(), "Over, it recovered: Usage fell 31 %"),
    (b.cleared(reason="new_normal"), "Over, it is the new normal: Usage fell 31 %"),
    (b.acknowledged(), "ana acknowledged it"),
    (b.snoozed(86_400), "ana snoozed it until 5 May 2026, 08:00 UTC"),
    (b.resolved("saved"), "ana resolved it: saved"),
    (b.resolved("expected"), "ana resolved it: expected, nothing to do"),
    (b.assigned("bob"), "ana assigned it to bob"),
    (b.assigned(None), "ana gave it back to the account's owner"),
    (b.commented("called them"), "ana commented"),
    (b.reopened(), "ana reopened it"),
    (b.woken(), "The snooze has ended"),
    (b.feedback(verdict="false_alarm"), "ana called the alert a false alarm"),
    (b.feedback(verdict="too_late"), "ana called the alert too late"),
    (b.intended("n"), "Nobody was told: no channel is set up"),
    (b.delivered("n"), "Delivered by crm to ana (owner)"),
    (b.failed("n", again=60), "crm did not answer in time; tried again at 4 May 2026, 08:01 UTC"),
    (b.failed("n", again=None), "crm did not answer in time; not tried again"),
]


def entry(record: LogRecord, **fields: Any) -> Entry:
    made = Case("acme")
    delivery = Delivery(channel="crm", person="ana", why="owner")
    told = record.__struct_config__.tag
    made.note(record, Place(0, b.us(0)), delivery=delivery if "notice." in str(told) else None)
    return replace(made.entries[0], **fields)


@pytest.mark.parametrize("record, title", TITLES, ids=[title for _, title in TITLES])
def test_each_record_is_one_plain_line(record: LogRecord, title: str) -> None:
    assert moments.moment(entry(record)).title == title


def test_every_type_of_the_log_has_its_line() -> None:
    kinds = {type(record) for record, _ in TITLES}
    assert kinds == set(get_args(cases.LogRecord))


@pytest.mark.parametrize(
    "reason, title",
    [
        ("status 503", "crm did not take it (status 503); not tried again"),
        ("connection", "crm could not be reached; not tried again"),
        ("channel_disabled", "crm is switched off; not tried again"),
        ("gone", "crm said that it is gone; not tried again"),
        ("something_new", "crm did not take it (something new); not tried again"),
    ],
)
def test_a_reason_that_is_not_known_is_quoted(reason: str, title: str) -> None:
    failed = entry(b.failed("n", again=None), reason=reason)
    assert moments.moment(failed).title == title


def test_a_delivery_to_nobody_says_so() -> None:
    delivered = entry(b.delivered("n"), person=None, why="nobody")
    title = "Delivered by crm; nobody owns the account"
    assert moments.moment(delivered).title == title


def test_what_a_record_did_to_the_case_is_said() -> None:
    opened = entry(RAISED, n=4, state="open")
    resolved = entry(b.cleared(), n=5, state="resolved")
    titles = [moments.moment(one).title for one in (opened, resolved)]
    assert titles == [
        "Usage fell 31 % in 28 days (medium); the case is open",
        "Over, it recovered: Usage fell 31 %; the case is resolved",
    ]


def test_a_moment_is_all_that_its_entry_knows() -> None:
    assert moments.moment(entry(RAISED, n=3)) == Moment(
        n=3,
        at=b.START,
        type="alert.raised",
        title="Usage fell 31 % in 28 days (medium)",
        text="It fell.",
        alert_id="a",
        severity="medium",
    )


def test_a_type_of_a_later_version_is_named() -> None:
    assert moments.moment(Entry(n=0, at=0, type="case.merged")).title == "case.merged"
