"""What people do to a case: told anew from the table in the documentation of actions."""

from dataclasses import dataclass, field
from datetime import datetime

from schemas.alerts import SEVERITIES, Severity
from schemas.cases import (
    Act,
    CaseAcknowledged,
    CaseAssigned,
    CaseCommented,
    CaseReopened,
    CaseResolved,
    CaseSnoozed,
    FeedbackRecord,
    Outcome,
)

_FOR_A_VERSION = (CaseSnoozed, CaseResolved, CaseAssigned, CaseReopened)


@dataclass
class Book:
    """What people did to a case, and where it stands.

    Attributes:
        generation: How often it was opened; 0 while all its alerts were only measured.
        handled: How bad it was when a person took its state into their hands.
        answered: Ids of actions that had their answer.
    """

    state: str = "resolved"
    version: int = 0
    generation: int = 0
    severity: Severity = "info"
    handled: Severity | None = None
    until: datetime | None = None
    outcome: Outcome | None = None
    assignee: str | None = None
    answered: set[str] = field(default_factory=set)

    def is_worse(self, severity: Severity) -> bool:
        """Tell whether something is worse than what a person has handled."""
        if self.handled is None:
            return True
        return SEVERITIES.index(severity) > SEVERITIES.index(self.handled)

    def wake(self) -> None:
        """Open it: what a person did about its state holds no longer."""
        self.state, self.version = "open", self.version + 1
        self.until = self.handled = None

    def open_anew(self) -> None:
        """Open it from nothing or from resolved."""
        self.generation += 1
        self.outcome = None
        self.wake()

    def handle(self, state: str, until: datetime | None = None) -> None:
        """Let a person change its state."""
        self.state, self.until = state, until
        self.handled, self.version = self.severity, self.version + 1


def act(case: Book, action: Act, alerts: set[str]) -> bool:
    """Take an action over; tell whether a snooze has ended by it.

    Args:
        case: The case; its generation tells whether it was opened anew.
        action: The action, which was not answered before.
        alerts: Ids of the alerts of the case.
    """
    if isinstance(action, CaseCommented | FeedbackRecord) or case.generation == 0:
        return False
    if isinstance(action, _FOR_A_VERSION) and action.seen not in (None, case.version):
        return False
    match action:
        case CaseAcknowledged() if case.state == "open":
            case.handle("acknowledged")
        case CaseSnoozed() if case.state != "resolved" and action.until > action.at:
            if case.until != action.until:
                case.handle("snoozed", action.until)
        case CaseResolved():
            if case.state != "resolved" or case.outcome != action.outcome or action.note:
                _resolve(case, action)
        case CaseAssigned() if case.assignee != action.to:
            case.assignee, case.version = action.to, case.version + 1
        case CaseReopened():
            return _reopen(case, action)
    return False


def _resolve(case: Book, action: CaseResolved) -> None:
    if case.state == "resolved" and case.outcome == action.outcome:
        # Only its note is new.
        return
    case.outcome = action.outcome
    case.handle("resolved")


def _reopen(case: Book, action: CaseReopened) -> bool:
    timer = action.reason == "snooze_ended"
    if case.state == "open" or (timer and case.state != "snoozed"):
        return False
    if case.state == "resolved":
        case.open_anew()
    else:
        case.wake()
    return timer
