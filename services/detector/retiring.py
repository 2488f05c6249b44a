"""What is left of rules that hold no longer: their alerts, and that they were off. Pure."""

from services.detector import alert_record
from services.detector.alert_record import Means
from services.detector.episode import Change, Episode
from services.detector.judgement import Judgement, When
from services.detector.subject import Account


def forget_off(out: Judgement, account: Account, rule_set: int) -> None:
    """Forget which rules an earlier rule set had switched off: nobody shall be told they still are.

    Args:
        out: Notes that the account changed.
        account: The account.
        rule_set: Number of the one that judges; of a newer one nothing is forgotten.
    """
    for rule in [rule for rule, n in account.off.items() if n < rule_set]:
        del account.off[rule]
        out.changed[account.id] = account


def close_retired(out: Judgement, account: Account, known: Episode, when: When) -> None:
    """Close the alert of a rule that has gone: what is left of it is its episode."""
    out.changed[account.id] = account
    about = alert_record.about(account, when.stamp)
    closed = Change("cleared", "superseded")
    out.alerts.append(alert_record.record(known, closed, when, Means("retired"), about, {}))
