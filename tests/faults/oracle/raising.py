"""Alerts of one account: evaluations taken into its episodes, and the records that people get."""

from typing import Any, NamedTuple

from schemas.alerts import (
    SEVERITIES,
    AccountNow,
    Alert,
    AlertCleared,
    AlertEased,
    AlertRaised,
    AlertWorsened,
)
from schemas.envelope import Entry

from . import days
from .accounts import Account
from .clocks import Closing
from .episodes import LIMIT, REMEMBERED, Episode, Told
from .judging import EVALUATES, WAKES, Evaluated, is_open_day, silence
from .rules import CORRECTION, Policy, Rule, RuleSet

YOUNG = 48 * days.HOUR
"""Rules woken by an event ask only about events younger than this."""

_RECORDS: dict[str, Any] = {
    "raised": AlertRaised,
    "worsened": AlertWorsened,
    "eased": AlertEased,
    "cleared": AlertCleared,
}


class When(NamedTuple):
    """When something is judged, by which rules, and up to which message the account is folded."""

    day: int
    at: int
    stamp: int
    historic: bool
    rules: RuleSet


def judge_event(account: Account, entry: Entry, when: When) -> list[Alert]:
    """Return what the rules say that an entry wakes, after it was folded."""
    alerts: list[Alert] = []
    for rule in when.rules.of(account.segment).values():
        what = rule.params.get("what", "")
        if rule.off or rule.primitive != "change" or not isinstance(entry.event, WAKES[what]):
            continue
        for evaluated in EVALUATES[what](rule, account, entry.event, when.day):
            alerts += _take(account, rule, evaluated, when)
    return alerts


def judge_day(account: Account, closing: Closing) -> list[Alert]:
    """Return what the rules say of an account when a day of it closes."""
    when = When(closing.day, closing.due, closing.offset, closing.historic, closing.rules)
    alerts: list[Alert] = []
    for rule in closing.rules.of(account.segment).values():
        if rule.primitive == "silence" and not rule.off:
            evaluated = silence(rule, account, closing, closing.day)
            if evaluated is not None:
                alerts += _take_day(account, rule, evaluated, closing, when)
            elif is_open_day(rule, account, closing):
                alerts += _expire(account, rule, when)
    return alerts + _retire(account, when)


def supersede(account: Account, when: When, objects: set[tuple[str, str]]) -> list[Alert]:
    """Close open alerts that nothing judges any more.

    Args:
        account: The account.
        when: When that became so.
        objects: Of which (rule, object).
    """
    alerts: list[Alert] = []
    for key, known in sorted(account.episodes.items(), key=lambda one: "|".join(one[0])):
        if not known.open or key not in objects:
            continue
        rule = when.rules.of(account.segment).get(known.rule)
        if rule is None:
            alerts.append(_retired(account, known, when))
            known.close("superseded", Policy())
        else:
            told = known.close("superseded", rule.policy)
            alerts.append(_record(account, rule, known, told, when, {}))
    return alerts


def _take_day(
    account: Account, rule: Rule, evaluated: Evaluated, closing: Closing, when: When
) -> list[Alert]:
    known = account.episodes.get((rule.id, evaluated.object))
    if known is not None and _is_withdrawn(account, rule, known, closing):
        told = known.close("withdrawn", rule.policy)
        return [_record(account, rule, known, told, when, evaluated.because)]
    return _take(account, rule, evaluated, when)


def _expire(account: Account, rule: Rule, when: When) -> list[Alert]:
    """End an alert in its time though its silence is so long that nothing can be told of it."""
    alerts = []
    for known in account.episodes.values():
        if known.rule == rule.id and known.is_old(when.day, rule.policy):
            told = known.close("new_normal", rule.policy)
            alerts.append(_record(account, rule, known, told, when, {}))
    return alerts


def _is_withdrawn(account: Account, rule: Rule, known: Episode, closing: Closing) -> bool:
    """Tell whether data that came after the raising day was judged take the alert back."""
    raised = known.raised_on
    if not known.open or not 0 < closing.day - raised <= CORRECTION:
        return False
    selector = str(rule.params.get("metric", "@meaningful"))
    corrected = any(
        line.corrected[0] <= raised <= line.corrected[1]
        for name, line in account.lines.items()
        if closing.rules.takes(selector, name) and line.corrected is not None
    )
    again = silence(rule, account, closing, raised) if corrected else None
    return again is not None and not again.fires


def _take(account: Account, rule: Rule, evaluated: Evaluated, when: When) -> list[Alert]:
    key = (rule.id, evaluated.object)
    known = account.episodes.get(key)
    if not evaluated.fires and (known is None or known.state == "pending"):
        account.episodes.pop(key, None)
        return []
    gone: list[Alert] = []
    if known is None and rule.primitive == "change":
        gone = _make_room(account, rule, when)
        if sum(id == rule.id for id, _ in account.episodes) >= LIMIT:
            return gone
    known = known or Episode(rule.id, evaluated.object, when.day)
    account.episodes[key] = known
    left = None if account.renewal is None else days.number(account.renewal) - when.day
    told = known.evaluate(
        f"account:{account.id}", evaluated.found(rule, left), when.day, rule.policy
    )
    if told is not None:
        return [*gone, _record(account, rule, known, told, when, evaluated.because)]
    if known.is_over(when.day, rule.policy):
        del account.episodes[key]
    return gone


def _make_room(account: Account, rule: Rule, when: When) -> list[Alert]:
    """Let the oldest episodes of a rule go where there are too many for one more."""
    mine = [one for one in account.episodes.values() if one.rule == rule.id]
    old = [one for one in mine if account.judged >= one.raised_on + REMEMBERED]
    old = sorted(old, key=lambda one: (one.open, one.raised_on, one.object))
    alerts: list[Alert] = []
    for one in old[: max(0, len(mine) + 1 - LIMIT)]:
        if one.open:
            told = one.close("superseded", rule.policy)
            alerts.append(_record(account, rule, one, told, when, {}))
        del account.episodes[rule.id, one.object]
    return alerts


def _retire(account: Account, when: When) -> list[Alert]:
    """Close what rules hold no longer, and forget what nothing will ask for again."""
    alerts: list[Alert] = []
    for key, known in list(account.episodes.items()):
        rule = when.rules.of(account.segment).get(known.rule)
        if rule is None:
            alerts += [_retired(account, known, when)] if known.open else []
            del account.episodes[key]
        elif known.waits_for_its_end and (
            rule.off or not _is_taken(account, rule, known, when.rules)
        ):
            if known.open:
                told = known.close("superseded", rule.policy)
                alerts.append(_record(account, rule, known, told, when, {}))
            # Nothing will ever tell that what it was about has ended.
            known.count = 1
        elif rule.primitive == "change" and known.is_over(when.day, rule.policy):
            del account.episodes[key]
    return alerts


def _is_taken(account: Account, rule: Rule, known: Episode, rules: RuleSet) -> bool:
    if rule.primitive != "silence":
        return True
    selector = str(rule.params.get("metric", "@meaningful"))
    names = account.lines if known.object == "activity" else (known.object,)
    return any(rules.takes(selector, name) for name in names)


def _record(
    account: Account, rule: Rule, known: Episode, told: Told, when: When, because: dict[str, Any]
) -> Alert:
    ended = {"reason": told.reason} if told.reason else {}
    if because:
        settled = REMEMBERED if rule.primitive == "change" else 0
        before = account.votes.history(rule.id, known.raised_on, settled)
        because = because | {"primitive": rule.primitive, "history": before}
    if told.kind == "raised":
        account.votes.raised.setdefault(rule.id, set()).add(known.raised_on)
    record: Alert = _RECORDS[told.kind](
        alert_id=known.alert_id,
        account=account.id,
        rule=rule.id,
        rule_set=when.rules.n,
        kind=rule.kind,
        object=known.object,
        day=days.on(when.day),
        fired_at=days.instant(when.at),
        severity=SEVERITIES[known.severity],
        category=rule.category,
        churn_kind=rule.churn_kind,
        historic=when.historic,
        account_now=account_now(account, when.stamp),
        because=because | {"title": rule.title, "play": rule.play},
        shadow=rule.shadow,
        **ended,
    )
    return record


def _retired(account: Account, known: Episode, when: When) -> AlertCleared:
    """Return the record of an alert whose rule has gone: nothing but its episode is left."""
    return AlertCleared(
        alert_id=known.alert_id,
        account=account.id,
        rule=known.rule,
        rule_set=when.rules.n,
        kind="retired",
        object=known.object,
        day=days.on(when.day),
        fired_at=days.instant(when.at),
        severity=SEVERITIES[known.severity],
        category="early_signals",
        churn_kind="voluntary",
        historic=when.historic,
        account_now=account_now(account, when.stamp),
        because={},
        reason="superseded",
    )


def account_now(account: Account, stamp: int) -> AccountNow:
    """Return what an alert says of the account."""
    told = {name: account.facts.get(name) for name in ("owner", "name", "arr", "currency")}
    return AccountNow(stamp=stamp, renewal_on=account.renewal, **told)
