import pytest

from schemas.cases import Action, LogRecord
from services.alerts.cases.actions import take
from services.alerts.cases.case import (
    ANSWER_LIMIT,
    ENDED_LIMIT,
    ENTRY_LIMIT,
    Answer,
    Case,
    Place,
    Status,
)
from services.alerts.cases.standing import FEEDBACK_LIMIT, KNOWN_LIMIT, begin
from services.alerts.shown import CaseState
from tests.unit.alerts import builders as a

STORIES: dict[str, list[LogRecord]] = {
    "nothing": [],
    "shadow": [a.raised(shadow=True)],
    "open": [a.raised()],
    "acknowledged": [a.raised(), a.acknowledged()],
    "snoozed": [a.raised(), a.snoozed()],
    "resolved": [a.raised(), a.resolved("expected")],
    "over": [a.raised(), a.cleared()],
}
"""How a case came to where it is; its one alert is of medium severity."""

ALERTS: list[tuple[str, LogRecord, tuple[CaseState, int, int, str | None]]] = [
    # one more alert
    ("nothing", a.raised("b"), ("open", 1, 1, "opened")),
    ("shadow", a.raised("b"), ("open", 1, 1, "opened")),
    ("open", a.raised("b"), ("open", 1, 1, "added")),
    ("acknowledged", a.raised("b"), ("acknowledged", 2, 1, "added")),
    ("acknowledged", a.raised("b", "critical"), ("acknowledged", 2, 1, "added")),
    ("snoozed", a.raised("b"), ("snoozed", 2, 1, None)),
    ("snoozed", a.raised("b", "high"), ("open", 3, 1, "reopened")),
    ("resolved", a.raised("b", "low"), ("open", 3, 2, "reopened")),
    ("over", a.raised("b", "low"), ("open", 2, 2, "reopened")),
    # the alert gets worse
    ("nothing", a.worsened(), ("open", 1, 1, "opened")),
    ("open", a.worsened(), ("open", 1, 1, "worsened")),
    ("acknowledged", a.worsened(), ("open", 3, 1, "worsened")),
    ("acknowledged", a.worsened(severity="medium"), ("acknowledged", 2, 1, "worsened")),
    ("snoozed", a.worsened(), ("open", 3, 1, "reopened")),
    ("snoozed", a.worsened(severity="medium"), ("snoozed", 2, 1, None)),
    ("resolved", a.worsened(), ("open", 3, 2, "reopened")),
    ("resolved", a.worsened(severity="medium"), ("resolved", 2, 1, None)),
    ("over", a.worsened(), ("open", 2, 2, "reopened")),
    # it gets better
    ("open", a.eased(), ("open", 1, 1, None)),
    ("acknowledged", a.eased(), ("acknowledged", 2, 1, None)),
    ("snoozed", a.eased(), ("snoozed", 2, 1, None)),
    ("resolved", a.eased(), ("resolved", 2, 1, None)),
    # it is over
    ("nothing", a.cleared(), ("resolved", 0, 0, None)),
    ("open", a.cleared(), ("resolved", 1, 1, "cleared")),
    ("acknowledged", a.cleared(), ("resolved", 2, 1, "cleared")),
    ("snoozed", a.cleared(), ("resolved", 2, 1, "cleared")),
    ("resolved", a.cleared(), ("resolved", 2, 1, None)),
    ("over", a.cleared(reason="withdrawn"), ("resolved", 1, 1, None)),
    # a rule that is only measured
    ("nothing", a.raised("b", "critical", shadow=True), ("resolved", 0, 0, None)),
    ("shadow", a.worsened(shadow=True), ("resolved", 0, 0, None)),
    ("shadow", a.cleared(), ("resolved", 0, 0, None)),
    ("open", a.raised("b", "critical", shadow=True), ("open", 1, 1, None)),
    ("snoozed", a.raised("b", "critical", shadow=True), ("snoozed", 2, 1, None)),
    ("over", a.raised("b", "critical", shadow=True), ("resolved", 1, 1, None)),
    # a rule that is no longer only measured, and one that is from now on
    ("shadow", a.worsened(), ("open", 1, 1, "opened")),
    ("open", a.eased(shadow=True), ("resolved", 1, 1, "cleared")),
    # imported history
    ("nothing", a.raised(historic=True), ("open", 1, 1, None)),
    ("open", a.raised("b", historic=True), ("open", 1, 1, None)),
    ("open", a.cleared(historic=True), ("resolved", 1, 1, None)),
    ("over", a.raised("b", historic=True), ("open", 2, 2, None)),
    # a record that comes again
    ("open", a.raised(), ("open", 1, 1, None)),
    ("over", a.raised(), ("resolved", 1, 1, None)),
]

UNSEEN: list[tuple[str, Action, tuple[Status, CaseState | None, int | None]]] = [
    ("shadow", a.acknowledged(), ("unknown_case", "resolved", 0)),
    ("shadow", a.resolved(), ("unknown_case", "resolved", 0)),
    ("shadow", a.commented(), ("applied", "resolved", 0)),
    ("shadow", a.feedback(), ("applied", "resolved", 0)),
    ("open", a.acknowledged(), ("applied", "acknowledged", 2)),
    ("acknowledged", a.acknowledged(), ("unchanged", "acknowledged", 2)),
    ("snoozed", a.acknowledged(), ("unchanged", "snoozed", 2)),
    ("resolved", a.acknowledged(), ("unchanged", "resolved", 2)),
    ("over", a.acknowledged(), ("unchanged", "resolved", 1)),
    ("open", a.snoozed(), ("applied", "snoozed", 2)),
    ("open", a.snoozed(0), ("unchanged", "open", 1)),
    ("open", a.snoozed(-60), ("unchanged", "open", 1)),
    ("acknowledged", a.snoozed(), ("applied", "snoozed", 3)),
    ("snoozed", a.snoozed(), ("unchanged", "snoozed", 2)),
    ("snoozed", a.snoozed(7200), ("applied", "snoozed", 3)),
    ("resolved", a.snoozed(), ("unchanged", "resolved", 2)),
    ("over", a.snoozed(), ("unchanged", "resolved", 1)),
    ("open", a.resolved("churned"), ("applied", "resolved", 2)),
    ("acknowledged", a.resolved(), ("applied", "resolved", 3)),
    ("snoozed", a.resolved(), ("applied", "resolved", 3)),
    ("resolved", a.resolved("expected"), ("unchanged", "resolved", 2)),
    ("resolved", a.resolved("churned"), ("applied", "resolved", 3)),
    ("over", a.resolved("saved"), ("applied", "resolved", 2)),
    ("open", a.reopened(), ("unchanged", "open", 1)),
    ("acknowledged", a.reopened(), ("applied", "open", 3)),
    ("snoozed", a.reopened(), ("applied", "open", 3)),
    ("resolved", a.reopened(), ("applied", "open", 3)),
    ("over", a.reopened(), ("applied", "open", 2)),
    ("open", a.woken(), ("unchanged", "open", 1)),
    ("acknowledged", a.woken(), ("unchanged", "acknowledged", 2)),
    ("snoozed", a.woken(), ("applied", "open", 3)),
    ("resolved", a.woken(), ("unchanged", "resolved", 2)),
    ("open", a.assigned(None), ("unchanged", "open", 1)),
    ("open", a.feedback("z"), ("unknown_alert", "open", 1)),
]


OPEN_TO_ALL: list[tuple[str, CaseState, int]] = [
    ("open", "open", 1),
    ("acknowledged", "acknowledged", 2),
    ("snoozed", "snoozed", 2),
    ("resolved", "resolved", 2),
    ("over", "resolved", 1),
]


def begun(before: Case, after: Case) -> str | None:
    """The step of the notice that the last record began."""
    new = [one.step for id, one in after.notices.items() if id not in before.notices]
    assert len(new) <= 1
    return new[0] if new else None


def told(story: str) -> Case:
    return Case("acme") if story == "nothing" else a.case(*STORIES[story])


@pytest.mark.parametrize("story, record, expected", ALERTS)
def test_what_an_alert_does_to_a_case(
    story: str, record: LogRecord, expected: tuple[CaseState, int, int, str | None]
) -> None:
    before, after = told(story), a.case(*STORIES[story], record)
    assert (after.state, after.version, after.generation, begun(before, after)) == expected


@pytest.mark.parametrize("story, action, expected", UNSEEN)
def test_what_an_action_does_to_a_case_and_what_is_answered(
    story: str, action: Action, expected: tuple[Status, CaseState | None, int | None]
) -> None:
    case = told(story)
    answer = take(case, action, Place(99, a.us(99)))
    assert (answer.status, answer.state, answer.version) == expected
    assert (case.state, case.version) == expected[1:]
    assert bool(answer.detail) == (answer.status != "applied")
    assert case.entries[-1].type == action.__struct_config__.tag or answer.status != "applied"


@pytest.mark.parametrize("story, state, version", OPEN_TO_ALL)
def test_assigning_comments_and_feedback_are_taken_in_every_state(
    story: str, state: CaseState, version: int
) -> None:
    case = told(story)
    for action, then in (
        (a.commented(), version),
        (a.feedback(), version),
        (a.assigned(), version + 1),
    ):
        answer = take(case, action, Place(99, a.us(99)))
        assert (answer.status, answer.state, answer.version) == ("applied", state, then)


@pytest.mark.parametrize(
    "action, conflicts",
    [
        (a.snoozed(seen=1), True),
        (a.resolved(seen=3), True),
        (a.assigned(seen=1), True),
        (a.reopened(seen=1), True),
        (a.woken(seen=1), True),
        (a.snoozed(7200, seen=2), False),
        (a.resolved(seen=2), False),
        (a.assigned(seen=2), False),
        (a.reopened(seen=2), False),
        (a.acknowledged(seen=1), False),
        (a.commented(seen=1), False),
        (a.feedback(seen=1), False),
    ],
)
def test_who_saw_another_version_is_refused_only_where_it_matters(
    action: Action, conflicts: bool
) -> None:
    case = told("snoozed")
    before = case.copy()
    answer = take(case, action, Place(9, a.us(9)))
    assert (answer.status == "conflict") == conflicts
    if conflicts:
        assert answer.detail == f"version {action.seen} was seen, but 2 holds now"
        before.answer(answer)
        assert case == before


def test_a_known_id_gets_its_first_answer_and_changes_nothing() -> None:
    case = told("open")
    first = take(case, a.commented(id="k"), Place(9, a.us(9)))
    before = case.copy()
    assert take(case, a.resolved(id="k"), Place(10, a.us(10))) is first
    assert case == before
    assert first == Answer(id="k", case="acme", status="applied", version=1, state="open")


def test_of_too_many_answers_the_oldest_goes() -> None:
    case = told("open")
    for n in range(ANSWER_LIMIT + 2):
        take(case, a.commented(id=f"k{n}"), Place(9 + n, a.us(9)))
    assert list(case.answers) == [f"k{n}" for n in range(2, ANSWER_LIMIT + 2)]
    assert take(case, a.acknowledged(id="k1"), Place(999, a.us(999))).status == "applied"


def test_of_too_many_alerts_that_are_over_those_that_ended_first_go() -> None:
    names = [f"a{n:03}" for n in range(ENDED_LIMIT + 3)]
    story: list[LogRecord] = [a.raised(one) for one in names]
    story += [a.cleared(one) for one in reversed(names)]
    assert list(a.case(*story).standings) == names[:-3]


def test_alerts_that_are_open_never_go() -> None:
    names = [f"a{n:03}" for n in range(ENDED_LIMIT + 3)]
    assert list(a.case(*[a.raised(one) for one in names]).standings) == names


def test_of_too_many_lines_the_oldest_go_and_numbers_are_never_given_twice() -> None:
    case = told("open")
    for n in range(ENTRY_LIMIT):
        take(case, a.commented(f"{n}"), Place(9 + n, a.us(9)))
    assert [one.n for one in case.entries] == list(range(1, ENTRY_LIMIT + 1))
    assert case.entries[0].text == "0"


def test_a_case_is_as_severe_as_its_worst_open_alert_and_was_last() -> None:
    story: list[LogRecord] = [
        a.raised("a", "low"),
        a.raised("b", "high"),
        a.raised("c", "critical", shadow=True),
        a.eased("b", "medium"),
        a.cleared("b"),
        a.cleared("a"),
    ]
    severities = [a.case(*story[: n + 1]).severity for n in range(len(story))]
    assert severities == ["low", "high", "high", "medium", "low", "low"]


def test_what_people_said_outlives_what_alerts_do() -> None:
    case = a.case(
        a.raised("a"),
        a.assigned("bob"),
        a.commented("called them"),
        a.feedback("a", "known", by="kim"),
        a.resolved("saved", "all is well"),
        a.worsened("a", "critical"),
        a.cleared("a"),
        a.raised("b"),
    )
    assert (case.state, case.assignee, case.generation) == ("open", "bob", 3)
    assert case.standings["a"].feedback == {"kim": "known"}
    assert [one.text for one in case.entries if one.by] == [
        None,
        "called them",
        None,
        "all is well",
    ]
    assert [one.outcome for one in case.entries if one.outcome] == ["saved"]


def test_an_outcome_may_be_stated_after_the_alerts_are_over_and_stays_until_it_is_reopened() -> (
    None
):
    over = a.case(a.raised(), a.cleared(), a.resolved("saved"))
    assert (over.state, over.outcome, over.by) == ("resolved", "saved", "ana")
    again = a.case(a.raised(), a.cleared(), a.resolved("saved"), a.raised("b"))
    assert (again.state, again.outcome, again.by, again.handled) == ("open", None, None, None)


def test_a_note_on_a_case_that_is_resolved_so_already_is_kept() -> None:
    case = told("resolved")
    answer = take(case, a.resolved("expected", "holidays"), Place(9, a.us(9)))
    assert answer.status == "applied"
    assert case.entries[-1].text == "holidays"


def test_what_history_tells_happened_when_it_fired_and_not_when_it_was_imported() -> None:
    alert = a.raised(historic=True)
    fired = int(alert.fired_at.timestamp()) * a.SECOND_US
    case = a.case(alert)
    assert (case.opened_at, case.changed_at, case.entries[0].at) == (fired, fired, fired)


def test_a_case_opened_by_history_is_historic_until_something_new_happens() -> None:
    past = [a.raised("a", historic=True), a.raised("b", historic=True)]
    assert a.case(*past).historic
    assert a.case(*past, a.cleared("a")).historic
    assert not a.case(*past, a.raised("c")).historic
    assert not a.case(*past, a.cleared("a"), a.cleared("b")).historic


def test_of_history_only_what_is_new_is_told_and_its_end_only_to_those_who_were() -> None:
    past = a.raised("a", historic=True)
    assert begun(a.case(past), a.case(past, a.cleared("a"))) is None
    worse = a.worsened("a")
    assert begun(a.case(past), a.case(past, worse)) == "worsened"
    assert begun(a.case(past, worse), a.case(past, worse, a.cleared("a"))) == "cleared"


def test_the_end_is_told_only_to_those_who_were_told_of_this_generation() -> None:
    again: list[LogRecord] = [a.raised("a"), a.cleared("a"), a.raised("b", historic=True)]
    assert begun(a.case(*again), a.case(*again, a.cleared("b"))) is None


def test_the_end_of_a_snoozed_case_ends_its_snooze_and_of_an_acknowledged_one_its_by() -> None:
    over = a.case(a.raised(), a.snoozed(), a.cleared())
    assert (over.state, over.until, over.by, over.outcome) == ("resolved", None, None, None)


def test_the_end_of_one_of_several_alerts_is_told_to_nobody() -> None:
    two = [a.raised("a"), a.raised("b")]
    one = a.case(*two, a.cleared("a"))
    assert (one.state, begun(a.case(*two), one)) == ("open", None)


def test_a_snooze_compares_with_the_severity_that_was_snoozed() -> None:
    story: list[LogRecord] = [a.raised("a", "high"), a.snoozed(), a.eased("a", "low")]
    assert a.case(*story, a.worsened("a", "high")).state == "snoozed"
    assert a.case(*story, a.worsened("a", "critical")).state == "open"


def test_when_a_snooze_has_ended_the_worst_alert_is_told_again() -> None:
    story: list[LogRecord] = [
        a.raised("a", "high"),
        a.raised("b"),
        a.snoozed(),
        a.raised("c", "high"),
        a.raised("d", "high", historic=True),
    ]
    before, after = a.case(*story), a.case(*story, a.woken())
    assert begun(before, after) == "reopened"
    assert [*after.notices.values()][-1].alert.alert_id == "c"
    assert (after.state, after.until, after.generation, after.version) == ("open", None, 1, 3)


def test_the_account_is_as_its_newest_alert_by_stamp_says() -> None:
    case = a.case(a.raised("a", stamp=7, owner="bob"), a.raised("b", stamp=3, owner="ana"))
    assert case.account_now is not None
    assert case.account_now.owner == "bob"


def test_an_alert_knows_its_repeated_records_whatever_came_between() -> None:
    records: list[LogRecord] = [
        a.raised(),
        a.worsened(),
        a.eased(),
        a.worsened(severity="critical"),
    ]
    once = a.case(*records)
    for one in records:
        assert a.case(*records, one) == once
    assert a.case(*records, a.cleared(), *records) == a.case(*records, a.cleared())


def test_an_alert_remembers_so_many_of_its_records_and_so_many_opinions() -> None:
    standing = begin(a.raised(), a.us(0))
    for n in range(KNOWN_LIMIT):
        standing = standing.take(a.eased(day=2 + n), a.us(n))
    assert len(standing.known) == KNOWN_LIMIT
    assert standing.take(a.eased(day=2), a.us(99)) is standing
    assert standing.take(a.raised(), a.us(99)).latest == a.raised()
    for n in range(FEEDBACK_LIMIT + 1):
        standing = standing.judged(f"p{n}", "useful")
    assert list(standing.feedback) == [f"p{n}" for n in range(1, FEEDBACK_LIMIT + 1)]
    changed = standing.judged("p7", "known").feedback
    assert (len(changed), changed["p7"]) == (FEEDBACK_LIMIT, "known")


def test_a_case_changed_when_an_alert_or_a_person_changed_it_not_when_it_was_told() -> None:
    story: list[LogRecord] = [a.raised(), a.raised("b"), a.commented()]
    case = a.case(*story)
    assert (case.opened_at, case.changed_at) == (a.us(0), a.us(2))
    notice = next(iter(case.notices))
    assert a.case(*story, a.intended(notice), a.acknowledged()).changed_at == a.us(4)
    assert a.case(*story, a.intended(notice)).changed_at == a.us(2)
