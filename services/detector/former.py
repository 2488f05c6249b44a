"""What came before an alert: the last one of its rule, and what people called false (§7). Pure.

An alert that an event wakes counts only what is older than the order in which events may come:
so the record is the same however they were mixed between two closings (design.md §5, sameness).
"""

from typing import Any

from services.detector.calendars import DAY_US, to_date
from services.detector.episode import KEEP_DAYS
from services.detector.subject import Account

DAYS_LIMIT = 8
"""Days of raising that are kept of one rule, the newest."""
RULE_LIMIT = 200
"""Rules of which they are kept; of more, the one that was quiet for longest goes."""


def history(account: Account, rule: str, raised_on: int, woken: bool) -> dict[str, Any]:
    """Return what stands under `history` in an alert's evidence.

    Args:
        account: The account.
        rule: The rule's id.
        raised_on: The day on which the alert was raised.
        woken: Whether an event wakes the rule.

    Returns:
        `last_alert`, the day on which the rule raised the alert before, ISO, or None; and
        `false_alarm_votes`, how many people called alerts of the rule false.

    Source:
        detection.md §7.
    """
    until = raised_on - KEEP_DAYS if woken else raised_on
    earlier = [day for day in account.raised.get(rule, ()) if day < until]
    known = account.facts.feedback
    # Of a day that has ended all is folded, or nothing of it, by the closing's place in the log.
    before = until * DAY_US if woken else 1 << 63
    return {
        "last_alert": to_date(max(earlier)).isoformat() if earlier else None,
        "false_alarm_votes": known.false_alarms(rule, before),
    }


def note(account: Account, rule: str, day: int) -> None:
    """Remember that a rule has raised an alert.

    Args:
        account: The account; it changes.
        rule: The rule's id.
        day: The day on which it did.
    """
    days = sorted({*account.raised.get(rule, ()), day})
    account.raised[rule] = days[-DAYS_LIMIT:]
    if len(account.raised) > RULE_LIMIT:
        del account.raised[min(account.raised, key=lambda one: (account.raised[one][-1], one))]
