"""What a person's action does to a case, and what the person is answered. Pure.

| action | open | acknowledged | snoozed | resolved |
|---|---|---|---|---|
| acknowledge | acknowledged | unchanged | unchanged | unchanged |
| snooze | snoozed | snoozed | snoozed, until the new moment | unchanged |
| resolve | resolved | resolved | resolved | the outcome is set or corrected |
| reopen | unchanged | open | open | open, a new generation |
| assign, comment, feedback | done | done | done | done |

Each change of state, of the assignee or of an outcome is one version more. Snooze, resolve, assign
and reopen conflict if the person saw another version than the one that holds; acknowledging does so
only if it was held (see `held`), comments and feedback never do. `unchanged` says that it was so
already, or why it cannot be.
"""

from schemas.alerts import SEVERITIES, Alert
from schemas.cases import (
    Act,
    Action,
    CaseAcknowledged,
    CaseAssigned,
    CaseCommented,
    CaseReopened,
    CaseResolved,
    CaseSnoozed,
    FeedbackRecord,
)
from services.alerts.cases.case import Answer, Case, Place, Status

EXPLICIT = (CaseSnoozed, CaseResolved, CaseAssigned, CaseReopened)
"""Actions that hold only for the version that the person saw."""

LATE = (*EXPLICIT, CaseAcknowledged)
"""Those of actions that are folded long after they came: nobody has seen what holds by now."""

UNLISTED = (CaseCommented, FeedbackRecord)
"""Actions on a case whose alerts were all in shadow: what they are worth is measured so."""


def take(case: Case, action: Action, at: Place) -> Answer:
    """Fold an action into its case.

    Args:
        case: The case; it changes.
        action: The action.
        at: Where it stands.

    Returns:
        What became of it; of one whose id is known, what was answered first.
    """
    known = case.answers.get(action.id)
    if known is not None:
        return known
    status, detail = _verdict(case, action, at)
    answer = Answer(
        id=action.id,
        case=case.id,
        status=status,
        version=case.version,
        state=case.state,
        detail=detail,
    )
    case.answer(answer)
    return answer


def _verdict(case: Case, action: Action, at: Place) -> tuple[Status, str]:
    if not case.listed and not isinstance(action, UNLISTED):
        return "unknown_case", "all alerts of this account were only measured: there is no case"
    if isinstance(action, FeedbackRecord) and action.alert_id not in case.standings:
        return "unknown_alert", "this alert is not among those of the case"
    bound = LATE if at.late else EXPLICIT
    if isinstance(action, bound) and action.seen not in (None, case.version):
        return "conflict", f"version {action.seen} was seen, but {case.version} holds now"
    former = case.state
    unchanged = _act(action, case, at)
    if unchanged is not None:
        return "unchanged", unchanged
    case.changed_at = at.appended
    case.note(action, at, former)
    return "applied", ""


def _act(action: Action, to: Case, at: Place) -> str | None:
    """Do it, or tell why nothing is to be done."""
    match action:
        case CaseAcknowledged():
            return _acknowledge(action, to)
        case CaseSnoozed():
            return _snooze(action, to)
        case CaseResolved():
            return _resolve(action, to)
        case CaseAssigned():
            return _assign(action, to)
        case CaseReopened():
            return _reopen(action, to, at)
        case FeedbackRecord():
            return _judge(action, to)
        case CaseCommented():
            return None


def _acknowledge(action: CaseAcknowledged, case: Case) -> str | None:
    if case.state != "open":
        return f"the case is {case.state} already"
    case.state = "acknowledged"
    _handled(case, action)
    return None


def _snooze(action: CaseSnoozed, case: Case) -> str | None:
    if case.state == "resolved":
        return "the case is resolved already: there is nothing to hear of it"
    if action.until <= action.at:
        return "a snooze must end after it begins"
    if case.until == action.until:
        return "the case is snoozed until then already"
    case.state, case.until = "snoozed", action.until
    _handled(case, action)
    return None


def _resolve(action: CaseResolved, case: Case) -> str | None:
    if case.state == "resolved" and case.outcome == action.outcome:
        # The note is the person's own word: it is kept although nothing else is new.
        return None if action.note else "the case is resolved so already"
    case.state, case.until, case.outcome = "resolved", None, action.outcome
    _handled(case, action)
    return None


def _assign(action: CaseAssigned, case: Case) -> str | None:
    if case.assignee == action.to:
        return "the case is assigned so already"
    case.assignee = action.to
    case.version += 1
    return None


def _reopen(action: CaseReopened, case: Case, at: Place) -> str | None:
    timer = action.reason == "snooze_ended"
    if timer and case.state != "snoozed":
        return "no snooze is in force"
    if case.state == "open":
        return "the case is open already"
    if case.state == "resolved":
        case.begin(at)
    else:
        case.wake()
    alert = _worst(case) if timer else None
    if alert is not None:
        case.tell("reopened", alert, at)
    return None


def _judge(action: FeedbackRecord, case: Case) -> str | None:
    standing = case.standings[action.alert_id]
    if standing.feedback.get(action.by) == action.verdict:
        return "this person said so already"
    case.put(standing.judged(action.by, action.verdict))
    return None


def _handled(case: Case, action: Act) -> None:
    """Note who changed the state, and how bad it was then."""
    case.by, case.handled = action.by, case.severity
    case.version += 1


def _worst(case: Case) -> Alert | None:
    """Return the alert to tell of when a snooze has ended: the worst, of equals the newest."""
    told = [one for one in case.counted() if not one.latest.historic]
    if not told:
        return None
    return max(told, key=lambda one: (SEVERITIES.index(one.latest.severity), one.n)).latest
