"""From a case, its alerts and its account to what people are shown. Pure.

Nothing is escaped here: whoever writes a page does that. What is too long is cut.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from schemas.accounts import AccountSummary, LeftOut
from schemas.alerts import SEVERITIES, AccountNow
from services import wording
from services.alerts import daily
from services.alerts.cases.case import Answer, Case
from services.alerts.cases.standing import Standing
from services.alerts.cases.timeline import Entry
from services.alerts.moments import TEXT_LIMIT, at, cut, moment
from services.alerts.shown import (
    AccountPage,
    AccountShown,
    ActionAnswer,
    AlertShown,
    CaseShown,
    Change,
    Moment,
    UsualShown,
)

NAME_LIMIT: Final = 120
HEADLINE_LIMIT: Final = 300
LINE_ALERTS: Final = 50
"""Alerts of one case that a list holds, the worst ones; its page has all."""

_TOLD: Final = frozenset({"headline", "text", "title", "play"})
"""What stands beside the evidence in a record, and in fields of its own here."""


@dataclass(frozen=True, slots=True)
class ShownCase:
    """What the view writes of one case, at once.

    Attributes:
        account: The account's id.
        case: Its line in lists; None for a case that is in none (only shadow alerts).
        alerts: Alerts that are new or changed, with evidence.
        kept: Ids of all alerts of the case; what else the view holds of it goes.
        moments: New entries of the timeline, in order.
        first: Number of the oldest entry that is kept; older ones go.
        whole: `moments` are all there are, so that no other stays.
    """

    account: str
    case: CaseShown | None
    alerts: Sequence[AlertShown] = ()
    kept: frozenset[str] = frozenset()
    moments: Sequence[Moment] = ()
    first: int = 0
    whole: bool = False


def shown(case: Case, summary: AccountSummary | None, entries: Iterable[Entry]) -> ShownCase:
    """Return what changed of a case.

    Args:
        case: The case as it is now.
        summary: The newest summary of its account.
        entries: What is new in its timeline; their alerts are those that changed.
    """
    new = list(entries)
    # In the order in which they changed, each once.
    changed = dict.fromkeys(one.alert_id for one in new if one.alert_id in case.standings)
    return ShownCase(
        account=case.id,
        case=case_shown(case, summary),
        alerts=[alert_shown(case.standings[id]) for id in changed],
        kept=frozenset(case.standings),
        moments=[moment(one) for one in new],
        first=case.entries[0].n if case.entries else 0,
    )


def whole(case: Case, summary: AccountSummary | None) -> ShownCase:
    """Return all of a case, to write the view anew."""
    return ShownCase(
        account=case.id,
        case=case_shown(case, summary),
        alerts=[alert_shown(one) for one in case.standings.values()],
        kept=frozenset(case.standings),
        moments=[moment(one) for one in case.entries],
        whole=True,
    )


def changes(case: Case, entries: Iterable[Entry]) -> list[Change]:
    """Return what the live stream says of new entries; their ids are given by the stream."""
    return [
        Change(
            id="",
            type=one.type,
            account=case.id,
            version=case.version if case.listed else None,
            severity=case.severity if case.listed else None,
            raised=_unseen(one),
        )
        for one in entries
    ]


def _unseen(entry: Entry) -> bool:
    fresh = entry.type == "alert.raised" or entry.state == "open"
    return entry.type.startswith("alert.") and fresh and not (entry.shadow or entry.historic)


def case_shown(case: Case, summary: AccountSummary | None) -> CaseShown | None:
    """Return a case's line in lists; None if it is in none.

    Args:
        case: The case.
        summary: The newest summary of its account. Of this and of what the alerts say of the
            account the one with the greater stamp tells owner, name, revenue and renewal.
    """
    if not case.listed:
        return None
    alerts = sorted((alert_shown(one) for one in case.counted()), key=_worst_first)
    segment = summary.segment if summary else None
    return CaseShown(
        account=case.id,
        state=case.state,
        version=case.version,
        severity=case.severity,
        assignee=case.assignee,
        by=case.by,
        segment=None if segment is None else cut(segment, NAME_LIMIT),
        country=summary.country if summary else None,
        opened_at=at(case.opened_at),
        changed_at=at(case.changed_at),
        until=case.until,
        outcome=case.outcome,
        historic=case.historic,
        alerts=[one.model_copy(update={"because": None}) for one in alerts[:LINE_ALERTS]],
        **_profile(case.account_now, summary),
    )


def _profile(now: AccountNow | None, summary: AccountSummary | None) -> dict[str, Any]:
    newer = now if summary is None or (now and now.stamp > summary.stamp) else summary
    if newer is None:
        return {}
    return {
        "name": None if newer.name is None else cut(newer.name, NAME_LIMIT),
        "owner": newer.owner,
        "arr": newer.arr,
        "currency": newer.currency,
        "renewal_on": newer.renewal_on,
    }


def _worst_first(alert: AlertShown) -> tuple[int, float, str]:
    worst = -SEVERITIES.index(alert.severity)
    return worst, -alert.fired_at.timestamp(), alert.alert_id


def alert_shown(standing: Standing) -> AlertShown:
    """Return an alert with its evidence: since its first record, as its latest one says."""
    latest, cleared = standing.latest, standing.cleared
    because = latest.because
    title = str(because.get("title") or latest.rule)
    return AlertShown(
        alert_id=latest.alert_id,
        account=latest.account,
        rule=latest.rule,
        rule_set=latest.rule_set,
        kind=latest.kind,
        object=latest.object,
        title=cut(title, HEADLINE_LIMIT),
        day=latest.day,
        fired_at=standing.first.fired_at,
        severity=latest.severity,
        category=latest.category,
        churn_kind=latest.churn_kind,
        historic=latest.historic,
        shadow=latest.shadow,
        cleared_at=None if cleared is None else cleared.fired_at,
        reason=None if cleared is None else cleared.reason,
        headline=cut(wording.capital(str(because.get("headline") or title)), HEADLINE_LIMIT),
        text=cut(str(because.get("text") or ""), TEXT_LIMIT),
        play=cut(str(because.get("play") or ""), NAME_LIMIT),
        feedback=dict(standing.feedback),
        because={name: value for name, value in because.items() if name not in _TOLD},
    )


def answer_shown(answer: Answer) -> ActionAnswer:
    """Return the verdict on an action."""
    return ActionAnswer(
        id=answer.id,
        account=answer.case,
        status=answer.status,
        version=answer.version,
        state=answer.state,
        detail=cut(answer.detail, TEXT_LIMIT),
    )


def account_shown(summary: AccountSummary, case: CaseShown | None) -> AccountShown:
    """Return an account's line in lists.

    Args:
        summary: Its summary.
        case: Its case; without one the summary says how many alerts are open.
    """
    return AccountShown(
        account=summary.account,
        name=None if summary.name is None else cut(summary.name, NAME_LIMIT),
        owner=summary.owner,
        segment=None if summary.segment is None else cut(summary.segment, NAME_LIMIT),
        arr=summary.arr,
        currency=summary.currency,
        renewal_on=summary.renewal_on,
        last_event_at=summary.last_event_at,
        open_alerts=summary.open_alerts if case is None else len(case.alerts),
        state=None if case is None else case.state,
    )


def account_page(
    account: str,
    summary: AccountSummary | None,
    case: CaseShown | None,
    alerts: Sequence[AlertShown],
    timeline: Sequence[Moment],
    months: daily.Months,
    now: datetime,
    left_out: Mapping[str, LeftOut] | None = None,
) -> AccountPage:
    """Return all about an account.

    Args:
        account: Its id.
        summary: Its summary; None if there is none.
        case: Its case; None if lists show none.
        alerts: All its alerts with evidence, in any order.
        timeline: The newest first.
        months: Its daily series.
        now: Aware; days that are not over are not told.
        left_out: Per month, its days that are no ordinary ones.
    """
    timezone = summary.timezone if summary else None
    ended = daily.ended_day(now, timezone)
    open_ones = sorted((one for one in alerts if one.open), key=_worst_first)
    over = [one for one in alerts if not one.open]
    over.sort(key=lambda one: (one.cleared_at or one.fired_at, one.alert_id), reverse=True)
    return AccountPage(
        account=account,
        timezone=timezone,
        seats=summary.seats if summary else None,
        last_event_at=summary.last_event_at if summary else None,
        quarantined=summary.quarantined if summary else False,
        states=dict(summary.states) if summary else {},
        least=dict(summary.least) if summary else {},
        usual=_usual(summary) if summary else {},
        watch=list(summary.watch) if summary else [],
        case=case,
        alerts=[*sorted(open_ones, key=lambda one: one.shadow), *over],
        timeline=list(timeline),
        days=daily.by_date(months, ended),
        left_out=daily.left_out(left_out or {}, ended),
        **_page_profile(summary, case),
    )


def _usual(summary: AccountSummary) -> dict[str, UsualShown]:
    return {
        name: UsualShown(week=one.week, dispersion=one.dispersion, swing=one.swing)
        for name, one in summary.usual.items()
    }


def _page_profile(summary: AccountSummary | None, case: CaseShown | None) -> dict[str, Any]:
    # A case's line was made of the newest of what is known.
    told = ("name", "owner", "segment", "country", "arr", "currency", "renewal_on")
    known = {name: getattr(case, name, None) for name in told}
    if summary is not None:
        line = account_shown(summary, None).model_dump() | {"country": summary.country}
        known = {name: line[name] if value is None else value for name, value in known.items()}
    return known
