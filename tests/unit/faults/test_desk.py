"""The oracle of cases and deliveries, on records that are followed by hand."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import replace

from schemas import cases
from schemas.alerts import (
    AccountNow,
    Alert,
    AlertCleared,
    AlertRaised,
    AlertWorsened,
    Severity,
)
from schemas.cases import (
    CaseAcknowledged,
    CaseCommented,
    CaseReopened,
    CaseResolved,
    CaseSnoozed,
    FeedbackRecord,
    LogRecord,
    NoticeDelivered,
    NoticeFailed,
    NoticeIntended,
    Target,
)
from schemas.envelope import Entry, Origin, encode
from schemas.events import FeedbackGiven
from tests.faults.oracle import Arrived, Desk, desk_differences, recount_desk, votes
from tests.unit.faults.stories import Message, at

NOTICES = UUID("8a7bb5d0-2f4e-5c1b-9c57-0d3e6a1f4b92")
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOOK = frozenset({"hook"})


def alert(id: str = "a1", severity: Severity = "medium", **changes: Any) -> AlertRaised:
    raised = AlertRaised(
        alert_id=id,
        account="acme",
        rule="silence",
        rule_set=1,
        kind="policy_silence",
        object="activity",
        day=date(2026, 3, 3),
        fired_at=NOW,
        severity=severity,
        category="early_signals",
        churn_kind="voluntary",
        historic=False,
        account_now=AccountNow(stamp=1),
        because={},
    )
    return replace(raised, **changes)


def as_(kind: type[Any], one: Alert, **more: Any) -> Any:
    told = {name: getattr(one, name) for name in one.__struct_fields__ if name != "reason"}
    return kind(**told | more)


def cleared(id: str = "a1") -> Alert:
    ended: Alert = as_(AlertCleared, alert(id), reason="recovered")
    return ended


def act(kind: type[Any], id: str, **more: Any) -> Any:
    return kind(id=id, case="acme", by="ana", at=NOW, **more)


def desk(*records: LogRecord) -> Desk:
    """Recount records that were appended one a minute; gaps are markers of transactions."""
    log = [
        Message(2 * n, at(3, n / 60), cases.encode(one), b"acme") for n, one in enumerate(records)
    ]
    return recount_desk({0: log})


def steps(found: Desk) -> list[tuple[str, str]]:
    return [(told.step, told.alert) for told in found.notices.values()]


def state(found: Desk) -> tuple[str, int, str, Sequence[str]]:
    case = found.cases["acme"]
    return case.state, case.version, case.severity, case.open_alerts


def notice(n: int, step: str) -> str:
    """Return the id of a notice that the record number `n` caused."""
    return str(uuid5(NOTICES, f"acme\x1f{2 * n}\x1f{at(3, n / 60)}\x1f{step}"))


def test_alerts_open_a_case_join_it_and_leave_it() -> None:
    found = desk(alert(), alert("a2", "high"), cleared(), cleared("a2"))
    # opened: version 1; that one of two ended is told to nobody
    assert steps(found) == [("opened", "a1"), ("added", "a2"), ("cleared", "a2")]
    assert state(found) == ("resolved", 1, "high", [])
    assert list(found.notices) == [notice(0, "opened"), notice(1, "added"), notice(3, "cleared")]


def test_a_record_that_came_before_changes_nothing() -> None:
    found = desk(alert(), alert(), cleared(), cleared())
    assert steps(found) == [("opened", "a1"), ("cleared", "a1")]


def test_alerts_that_are_only_measured_or_of_the_past_are_told_to_nobody() -> None:
    shadow = desk(alert(shadow=True))
    assert (steps(shadow), shadow.cases["acme"].generation) == ([], 0)
    past = desk(alert(historic=True))
    assert (steps(past), state(past)[0]) == ([], "open")


def test_what_gets_worse_than_it_was_handled_opens_the_case_again() -> None:
    acknowledged = act(CaseAcknowledged, "1")
    worse = as_(AlertWorsened, alert(severity="high"))
    found = desk(alert(), acknowledged, worse)
    # opened 1, acknowledged 2, open again 3
    assert (steps(found)[1:], state(found)[:3]) == ([("worsened", "a1")], ("open", 3, "high"))
    resolved = desk(alert(), act(CaseResolved, "1", outcome="saved"), worse)
    assert (steps(resolved)[1:], state(resolved)[:2]) == ([("reopened", "a1")], ("open", 3))
    as_bad = desk(alert(), act(CaseResolved, "1", outcome="saved"), as_(AlertWorsened, alert()))
    assert (steps(as_bad)[1:], state(as_bad)[:2]) == ([], ("resolved", 2))


def test_a_snooze_hides_what_is_no_worse_and_its_end_tells_the_worst() -> None:
    snoozed = act(CaseSnoozed, "1", until=NOW + timedelta(hours=1))
    found = desk(alert("a1", "high"), snoozed, alert("a2"))
    assert (steps(found)[1:], state(found)[:2]) == ([], ("snoozed", 2))
    ended = act(CaseReopened, "2", reason="snooze_ended", seen=2)
    found = desk(alert("a1", "high"), snoozed, alert("a2"), ended)
    assert (steps(found)[1:], state(found)[:2]) == ([("reopened", "a1")], ("open", 3))
    late = act(CaseReopened, "2", reason="snooze_ended", seen=1)
    assert state(desk(alert("a1", "high"), snoozed, late))[:2] == ("snoozed", 2)


def test_an_action_counts_once_and_only_for_the_version_that_was_seen() -> None:
    stale = act(CaseResolved, "1", outcome="saved", seen=7)
    again = act(CaseResolved, "1", outcome="saved", seen=1)  # its id has had its answer
    assert state(desk(alert(), stale, again))[:2] == ("open", 1)
    stranger = act(CaseAcknowledged, "1")
    assert state(desk(stranger, alert(), stranger))[:2] == ("open", 1)
    assert state(desk(alert(), act(CaseCommented, "1", text="hm")))[:2] == ("open", 1)


TARGET = [Target(channel="hook", person="ana", why="owner")]
FIRST = notice(0, "opened")
INTENDED = NoticeIntended(id=FIRST, case="acme", at=NOW, targets=TARGET)
DELIVERED = NoticeDelivered(
    id=FIRST, case="acme", at=NOW, channel="hook", attempt=1, answer="204", took_ms=3
)
TRIED = NoticeFailed(
    id=FIRST, case="acme", at=NOW, channel="hook", attempt=1, reason="timeout", retry_at=NOW
)


def body(id: str = FIRST, alert_id: str = "a1") -> bytes:
    data = {
        "notice": id,
        "step": "opened",
        "case": {"account": "acme"},
        "recipient": {"id": "ana"},
        "alert": {"alert_id": alert_id},
    }
    return msgspec.json.encode({"type": "alert.raised", "data": data})


def arrived(raw: bytes, taken: bool = True, id: str = FIRST) -> Arrived:
    return Arrived(f"msg_{id.replace('-', '')}", raw, taken)


def test_every_notice_needs_an_intent_and_every_target_an_outcome() -> None:
    def said(*records: LogRecord) -> list[str]:
        return desk_differences(desk(alert(), *records), None)

    what = f"notice {FIRST} (opened, alert a1 of acme)"
    assert said() == [f"{what} was never intended for anybody"]
    assert said(INTENDED) == [f"{what} has no outcome by hook"]
    assert said(INTENDED, TRIED) == [f"{what} has no outcome by hook"]
    assert said(INTENDED, TRIED, replace(TRIED, attempt=2, retry_at=None)) == []
    assert said(replace(INTENDED, targets=[])) == []
    # An outcome that nobody intended ends nothing.
    assert said(DELIVERED, INTENDED) == [f"{what} has no outcome by hook"]


def test_what_counts_as_delivered_must_have_come_and_nothing_else_may() -> None:
    told = desk(alert(), INTENDED, DELIVERED)

    def said(*requests: Arrived) -> list[str]:
        return desk_differences(told, None, requests, HOOK)

    id = arrived(b"").id
    assert said() == [f"{id} of acme counts as delivered and never arrived"]
    assert said(arrived(body(), taken=False)) == said()
    assert said(arrived(body(), taken=False), arrived(body())) == []
    assert said(arrived(body()), arrived(body() + b" ")) == [
        f"{id} arrived again with another body"
    ]
    assert "tells of" in said(arrived(body(alert_id="a2")))[0]
    foreign = said(arrived(body()), arrived(body(), id="0"))
    assert "nobody intended it" in foreign[0]


def test_cases_are_listed_as_the_log_leaves_them() -> None:
    told = desk(alert(), replace(INTENDED, targets=[]))
    line = {
        "account": "acme",
        "state": "open",
        "version": 1,
        "severity": "medium",
        "assignee": None,
        "alerts": [{"alert_id": "a1"}],
    }
    assert desk_differences(told, [line]) == []
    assert desk_differences(told, []) == ["the case of acme is open in the log and not listed"]
    assert desk_differences(told, [line | {"version": 2, "alerts": []}]) == [
        "case acme: version is 2, the log says 1",
        "case acme: alerts is [], the log says ['a1']",
    ]
    assert desk_differences(Desk(), [line]) == [
        "the case of acme is listed as open, in the log it is of nobody"
    ]


def said(id: str, verdict: Any, alert: str = "a1") -> FeedbackRecord:
    return FeedbackRecord(id=id, case="acme", by="ana", at=NOW, alert_id=alert, verdict=verdict)


def vote(n: int, verdict: Any) -> Entry:
    """Return what the detector must hear of the record number `n`."""
    given = FeedbackGiven(alert="a1", verdict=verdict, author="ana", rule="silence")
    # `desk` appends the first record at midnight.
    origin = Origin(f"alerts.v1~{at(3, 0)}", 0, 2 * n, 0)
    id, subjects = f"feedback~{at(3, 0)}-0-{2 * n}", ("account:acme",)
    return Entry(id, "ebbwatch", at(3, n / 60), subjects, given, origin)


def test_the_detector_hears_of_every_verdict_that_is_news_once() -> None:
    found = desk(
        alert(),
        said("1", "useful"),
        said("1", "known"),  # answered before
        said("2", "useful"),  # said before
        said("3", "useful", alert="a9"),  # of another case
        said("4", "false_alarm"),
    )
    assert found.votes == {0: [vote(1, "useful"), vote(5, "false_alarm")]}


def test_verdicts_may_come_again_and_may_not_be_skipped_lost_or_made_up() -> None:
    one, two, three = vote(2, "useful"), vote(4, "known"), vote(6, "useful")

    def wrong(*there: Entry) -> list[str]:
        log = [Message(n, at(4), encode([each])) for n, each in enumerate(there)]
        return list(votes({0: [one, two]}, {0: log}))

    assert wrong(one, two) == wrong(one, one, two) == wrong(one, two, one, two) == []
    assert wrong(one) == [f"events 0: 1 votes are missing: {two}"]
    assert wrong(two, one, two) == [f"events 0, offset 0, entry 0: 1 votes are skipped: {one}"]
    (made_up,) = wrong(one, two, three)
    assert "feedback that nobody gave" in made_up
