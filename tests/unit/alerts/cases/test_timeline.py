from collections.abc import Sequence

import pytest

from schemas.cases import LogRecord
from services.alerts.cases.timeline import Entry, entry
from tests.unit.alerts import builders as a

LINES: list[tuple[Sequence[LogRecord], Entry]] = [
    (
        [a.raised(severity="high")],
        Entry(
            n=0,
            at=a.us(0),
            type="alert.raised",
            alert_id="a",
            rule="usage-drop",
            severity="high",
            headline="Usage fell 31 %",
            text="It fell.",
            state="open",
        ),
    ),
    (
        [a.raised(), a.cleared(because={"title": "t" * 999, "text": "x" * 9999})],
        Entry(
            n=1,
            at=a.us(1),
            type="alert.cleared",
            alert_id="a",
            rule="usage-drop",
            severity="medium",
            headline="t" * 300,
            text="x" * 4000,
            reason="recovered",
            state="resolved",
        ),
    ),
    (
        [a.raised(historic=True, shadow=True, because={})],
        Entry(
            n=0,
            at=a.us(0),
            type="alert.raised",
            alert_id="a",
            rule="usage-drop",
            severity="medium",
            headline="usage-drop",
            historic=True,
            shadow=True,
        ),
    ),
    (
        [a.raised(), a.acknowledged(by="kim")],
        Entry(n=1, at=a.us(1), type="case.acknowledged", by="kim", state="acknowledged"),
    ),
    (
        [a.raised(), a.snoozed(60)],
        Entry(n=1, at=a.us(1), type="case.snoozed", by="ana", until=a.at(60), state="snoozed"),
    ),
    (
        [a.raised(), a.resolved("churned", "gone")],
        Entry(
            n=1,
            at=a.us(1),
            type="case.resolved",
            by="ana",
            outcome="churned",
            text="gone",
            state="resolved",
        ),
    ),
    (
        [a.raised(), a.assigned("bob")],
        Entry(n=1, at=a.us(1), type="case.assigned", by="ana", person="bob"),
    ),
    (
        [a.raised(), a.commented("hm")],
        Entry(n=1, at=a.us(1), type="case.commented", by="ana", text="hm"),
    ),
    (
        [a.raised(), a.snoozed(), a.woken()],
        Entry(
            n=2,
            at=a.us(2),
            type="case.reopened",
            by="ebbwatch",
            reason="snooze_ended",
            state="open",
        ),
    ),
    (
        [a.raised(), a.feedback("a", "too_late")],
        Entry(n=1, at=a.us(1), type="feedback.given", by="ana", alert_id="a", verdict="too_late"),
    ),
]


@pytest.mark.parametrize("story, expected", LINES)
def test_a_timeline_says_what_happened(story: Sequence[LogRecord], expected: Entry) -> None:
    assert a.case(*story).entries[-1] == expected


def test_an_intent_has_nothing_to_say_but_its_type() -> None:
    told = entry(a.intended("n", "crm"), 0, 7)
    assert told == Entry(n=0, at=7, type="notice.intended")
