"""Alert records: what the alert log says of an episode that changed for people. Pure."""

from typing import Any, Final, NamedTuple

from schemas.alerts import (
    SEVERITIES,
    AccountNow,
    Alert,
    AlertCleared,
    AlertEased,
    AlertRaised,
    AlertWorsened,
    Category,
    ChurnKind,
)
from services.detector.calendars import instant, to_date
from services.detector.episode import Change, Episode
from services.detector.judgement import When
from services.detector.subject import Account

_RECORDS: Final[dict[str, type[Alert]]] = {
    "raised": AlertRaised,
    "worsened": AlertWorsened,
    "eased": AlertEased,
    "cleared": AlertCleared,
}


class Means(NamedTuple):
    """What an alert means, whomever it is about.

    Attributes:
        kind: Its kind.
        category: Of its rule.
        churn_kind: Of its rule.
        shadow: Whether it notifies nobody.
    """

    kind: str
    category: Category = "early_signals"
    churn_kind: ChurnKind = "voluntary"
    shadow: bool = False


class About(NamedTuple):
    """Whom an alert is about.

    Attributes:
        account: Their id.
        now: What routing needs to know of them.
    """

    account: str
    now: AccountNow


def record(
    known: Episode,
    change: Change,
    when: When,
    means: Means,
    about: About,
    because: dict[str, Any],
) -> Alert:
    """Return the record of a change of an episode.

    Args:
        known: The episode after the change.
        change: What changed for people.
        when: When it did.
        means: What the alert means.
        about: Whom it is about.
        because: The evidence, and its words.
    """
    reason: dict[str, Any] = {} if change.reason is None else {"reason": change.reason}
    return _RECORDS[change.kind](
        alert_id=known.alert_id,
        account=about.account,
        rule=known.rule,
        rule_set=when.rule_set,
        kind=means.kind,
        object=known.object,
        day=to_date(when.day),
        fired_at=instant(when.fired_at),
        severity=SEVERITIES[known.severity],
        category=means.category,
        churn_kind=means.churn_kind,
        historic=when.historic,
        account_now=about.now,
        because=because,
        shadow=means.shadow,
        **reason,
    )


def about(account: Account, stamp: int) -> About:
    """Return whom an alert of an account is about.

    Args:
        account: The account as it is judged.
        stamp: Offset up to which it is folded.
    """
    profile = account.facts.profile
    now = AccountNow(
        stamp=stamp,
        owner=profile.owner,
        name=profile.name,
        arr=profile.arr,
        currency=profile.currency,
        renewal_on=profile.renewal_on,
    )
    return About(account.id, now)
