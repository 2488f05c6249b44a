"""What an alert's record does to a case. Pure.

An alert *counts* while it is open and its rule is not in shadow. What a record does depends on
whether its alert counted before and counts after it, and on the case's state:

| the alert | open | acknowledged | snoozed | resolved |
|---|---|---|---|---|
| counts from now on | added | added | worse: open, reopened; else silent | open, reopened |
| is worse than before | worsened | worsened; worse: open | worse: open, reopened; else silent | worse: open, reopened; else silent |
| counts no longer, the last | resolved, cleared | resolved, cleared | resolved, cleared | nothing |

*Worse* compares with the severity at which a person handled the case last. A case that never was
open is opened, with step `opened` in the place of `reopened`. `cleared` is told only to those who
were told of this generation before, and nothing is told because of a record of history. That an
alert eased, or that one of several ended, is told to nobody; the severity follows.
"""  # noqa: E501

from schemas.alerts import SEVERITIES, Alert, AlertWorsened
from schemas.cases import Step
from services.alerts.cases.case import Case, Place, worse
from services.alerts.cases.standing import Standing, begin


def take(case: Case, alert: Alert, at: Place) -> bool:
    """Fold a record of an alert into its case.

    Args:
        case: The case; it changes.
        alert: The record.
        at: Where it stands.

    Returns:
        Whether anything changed; not if the record is known.
    """
    known = case.standings.get(alert.alert_id)
    if known is None:
        standing = begin(alert, at.appended, at.offset)
    else:
        standing = known.take(alert, at.appended)
    if standing is known:
        return False
    former = case.state
    case.put(standing)
    _update(case, alert, at)
    step = _step(case, known, standing, at)
    _rate(case)
    if step is not None and not alert.historic and (step != "cleared" or case.told):
        case.tell(step, alert, at)
    case.note(alert, at, former)
    return True


def _update(case: Case, alert: Alert, at: Place) -> None:
    case.changed_at = at.appended
    if case.account_now is None or alert.account_now.stamp >= case.account_now.stamp:
        case.account_now = alert.account_now


def _step(case: Case, known: Standing | None, standing: Standing, at: Place) -> Step | None:
    """Change the case's state as the table says, and return what there is to tell."""
    counted = known is not None and known.counts
    if standing.counts and not counted:
        return _added(case, standing, at)
    if known is not None and counted and standing.counts and _is_worse(known, standing.latest):
        return _worsened(case, standing, at)
    if counted and not standing.counts:
        return _ended(case)
    return None


def _is_worse(known: Standing, record: Alert) -> bool:
    return isinstance(record, AlertWorsened) or worse(record.severity, known.latest.severity)


def _added(case: Case, standing: Standing, at: Place) -> Step | None:
    if case.state == "resolved":
        first = not case.listed
        case.begin(at)
        return "opened" if first else "reopened"
    if case.state != "snoozed":
        return "added"
    return _woken(case, standing)


def _worsened(case: Case, standing: Standing, at: Place) -> Step | None:
    if case.state == "snoozed":
        return _woken(case, standing)
    if case.state == "open":
        return "worsened"
    if not worse(standing.latest.severity, case.handled):
        return "worsened" if case.state == "acknowledged" else None
    if case.state == "acknowledged":
        case.wake()
        return "worsened"
    case.begin(at)
    return "reopened"


def _woken(case: Case, standing: Standing) -> Step | None:
    """End a snooze for something worse than what was snoozed."""
    if not worse(standing.latest.severity, case.handled):
        return None
    case.wake()
    return "reopened"


def _ended(case: Case) -> Step | None:
    if case.state == "resolved" or any(case.counted()):
        return None
    case.state = "resolved"
    case.by = case.until = None
    return "cleared"


def _rate(case: Case) -> None:
    """Let the severity follow the open alerts; without any it stays as it was last."""
    counted = [SEVERITIES.index(one.latest.severity) for one in case.counted()]
    if counted:
        case.severity = SEVERITIES[max(counted)]
