"""What people are shown: the shapes of the view, the API's answers and the console's pages."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.alerts import Category, ChurnKind, ClearReason, Severity
from schemas.cases import Outcome, Verdict

CaseState = Literal["open", "acknowledged", "snoozed", "resolved"]


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class AlertShown(_Shown):
    """One alert, as its records leave it.

    Attributes:
        alert_id: Kept from raising to clearing.
        account: Whose alert it is; also the id of its case.
        object: What it is about: a metric, a person, a payment.
        day: The local day that was judged last.
        fired_at: When it was raised.
        severity: As of now.
        cleared_at: When it ended; None while it is open.
        reason: Why it ended.
        headline: One line that says what happened.
        text: The paragraph of detection.md §7.
        play: What to do next.
        feedback: What people said it was worth, by person.
        because: The evidence; absent in lists.
    """

    alert_id: str
    account: str
    rule: str
    rule_set: int
    kind: str
    object: str
    title: str = ""
    day: date
    fired_at: datetime
    severity: Severity
    category: Category
    churn_kind: ChurnKind
    historic: bool = False
    shadow: bool = False
    cleared_at: datetime | None = None
    reason: ClearReason | None = None
    headline: str = ""
    text: str = ""
    play: str = ""
    feedback: dict[str, Verdict] = Field(default_factory=dict)
    because: dict[str, Any] | None = None

    @property
    def open(self) -> bool:
        """Whether its condition still holds."""
        return self.cleared_at is None


class CaseShown(_Shown):
    """One case in a list.

    Attributes:
        account: The account's id, which is the case's.
        version: Counts changes of state by people, and reopenings; the `ETag`.
        severity: The worst of its open alerts; of a resolved case, as it was last.
        owner: Who owns the account, as far as is known.
        assignee: Who works on it in the owner's place.
        by: Who acknowledged, snoozed or resolved it last; None if nobody did, or it opened anew.
        arr: Annual recurring revenue, minor units of `currency`.
        opened_at: Since when it has been open.
        changed_at: When anything happened last.
        until: When a snooze ends.
        outcome: What a person said of a resolved one; None if its alerts cleared by themselves.
        historic: All its open alerts are of imported history.
        alerts: Open alerts that are not in shadow, the worst first; without evidence.
        spark: Daily values of the worst alert's metric, the newest last; only in pages of lists.
    """

    account: str
    name: str | None = None
    state: CaseState
    version: int
    severity: Severity
    owner: str | None = None
    assignee: str | None = None
    by: str | None = None
    segment: str | None = None
    country: str | None = None
    arr: int | None = None
    currency: str | None = None
    renewal_on: date | None = None
    opened_at: datetime
    changed_at: datetime
    until: datetime | None = None
    outcome: Outcome | None = None
    historic: bool = False
    alerts: list[AlertShown] = Field(default_factory=list)
    spark: list[float | None] = Field(default_factory=list)


class Moment(_Shown):
    """One entry of a case's timeline.

    Attributes:
        n: Its number in the case, from 0.
        at: When it entered the log.
        type: The record's type, such as `alert.raised`, `case.commented`, `notice.delivered`.
        by: Who did it; None for what rules and channels do.
        title: One line for a person.
        text: What somebody wrote, or the alert's paragraph; empty where there is no more to say.
        alert_id: The alert that it is about.
        severity: Of that alert then.
    """

    n: int
    at: datetime
    type: str
    by: str | None = None
    title: str
    text: str = ""
    alert_id: str | None = None
    severity: Severity | None = None


class Freshness(_Shown):
    """How far what is shown can be relied on.

    Attributes:
        as_of: Up to when everything is known; the oldest partition's.
        partitions: How many there are.
        current: How many of them are written at the moment.
        complete: False while the view is being rebuilt, so that something may be missing.
        stale: True if a person should be warned.
        reason: Why, and what to do, for a person; empty if all is well.
    """

    as_of: datetime | None = None
    partitions: int
    current: int
    complete: bool
    stale: bool
    reason: str = ""


class AccountShown(_Shown):
    """One account in a list."""

    account: str
    name: str | None = None
    owner: str | None = None
    segment: str | None = None
    arr: int | None = None
    currency: str | None = None
    renewal_on: date | None = None
    last_event_at: datetime | None = None
    open_alerts: int = 0
    state: CaseState | None = None


class UsualShown(_Shown):
    """What is usual of a metric, as its falls are judged.

    Attributes:
        week: Units of an ordinary Monday, Tuesday ... Sunday.
        dispersion: Variance of its weeks over their mean.
        swing: The natural swing of its four-week level, a share of 1.
    """

    week: list[float]
    dispersion: float
    swing: float


class AccountPage(_Shown):
    """Everything about one account.

    Attributes:
        case: Its case; None if nothing was ever raised.
        alerts: With evidence: open ones first, then the newest that are over, shadow ones marked.
        timeline: The newest first.
        days: Per metric and ISO date, units a day, the last thirteen months at most.
        states: Per metric, whether its data can be judged.
        least: Per metric, the smallest drop of four weeks that would show, whole percent.
        usual: Per metric, what is usual, as of last Sunday.
        watch: Metrics that seem to fall, not yet so surely that it is told.
        left_out: Per metric, an empty name for all of them, and ISO date, why a day is no ordinary
            one and is not judged.
    """

    account: str
    name: str | None = None
    owner: str | None = None
    segment: str | None = None
    country: str | None = None
    timezone: str | None = None
    arr: int | None = None
    currency: str | None = None
    renewal_on: date | None = None
    seats: int | None = None
    last_event_at: datetime | None = None
    quarantined: bool = False
    states: dict[str, str] = Field(default_factory=dict)
    least: dict[str, int] = Field(default_factory=dict)
    usual: dict[str, UsualShown] = Field(default_factory=dict)
    watch: list[str] = Field(default_factory=list)
    case: CaseShown | None = None
    alerts: list[AlertShown] = Field(default_factory=list)
    timeline: list[Moment] = Field(default_factory=list)
    days: dict[str, dict[str, float]] = Field(default_factory=dict)
    left_out: dict[str, dict[str, str]] = Field(default_factory=dict)


class ActionAnswer(_Shown):
    """What became of an action.

    Attributes:
        id: The action's.
        account: Its case.
        status: applied · unchanged: it was so already · conflict: the case had moved on ·
            unknown_case, unknown_alert: there is none · pending: not known yet, ask again.
        version: The case's version after it.
        state: The case's state after it.
        detail: For a person: why it was not applied.
    """

    id: str
    account: str
    status: Literal["applied", "unchanged", "conflict", "unknown_case", "unknown_alert", "pending"]
    version: int | None = None
    state: CaseState | None = None
    detail: str = ""


class Change(_Shown):
    """One message of the live stream.

    Attributes:
        id: Its place in the stream, for `Last-Event-ID`.
        type: The record's type that changed the case, or `account.updated`.
        account: Whose case changed.
        version: The case's version; None where there is no case.
        severity: The case's, if any.
        raised: True if it is an alert that a person has not seen yet.
    """

    id: str
    type: str
    account: str
    version: int | None = None
    severity: Severity | None = None
    raised: bool = False
