"""Plays a case of a rule through a partition, as the live log would, and judges the outcome."""

from collections.abc import Iterator, Sequence

import msgspec

from schemas.alerts import Alert, AlertCleared, AlertRaised
from schemas.config import RuleSetContent
from schemas.envelope import Entry, encode
from schemas.events import ClockTicked, RulesApplied
from services.detector.calendars import DAY_US, HOUR_US, to_day
from services.detector.cases import NOON_US, SOURCE, START, Case, Expected, feature_flags, flags
from services.detector.partition import Partition

TICK_HOURS = (2, 7, 12, 17, 22)
"""Enough ticks a day: the first is when a day in UTC is due, and one comes with the events."""

BATCH = 500
HORIZON = 1 << 16
"""Ids that a rehearsal remembers: more than a story has."""


def rehearse(content: RuleSetContent, rule_id: str, case: Case) -> str | None:
    """Play a case and tell what is wrong with its outcome.

    Args:
        content: A rule set that compiles; its metrics' flags hold beside those of the case.
        rule_id: The rule of the case.
        case: The story.

    Returns:
        None if the rule does what the case expects, else what it does instead.
    """
    return judge(case, play(content, rule_id, case))


def play(content: RuleSetContent, rule_id: str, case: Case) -> list[Alert]:
    """Return what the rule says in a story, in order.

    Args:
        content: A rule set that compiles.
        rule_id: The rule. The others are judged too: it may yield to them, and how many days are
            kept depends on all of them.
        case: The story.
    """
    partition = Partition.begin(0, 1, HORIZON)
    for offset, (at, entries) in enumerate(messages(content, rule_id, case)):
        partition.apply(offset, at, encode(entries))
        while partition.judge(BATCH):
            pass
    return [alert for alert in partition.cut().alerts if alert.rule == rule_id]


def messages(
    content: RuleSetContent, rule_id: str, case: Case
) -> Iterator[tuple[int, list[Entry]]]:
    """Yield the messages of a story: append time in microseconds, and the entries."""
    rules = _json(_around(content, rule_id, case))
    yield START * DAY_US, [_system("rules", RulesApplied(n=1, content=rules))]
    for day in range(1, case.last_day + 2):
        for hour in TICK_HOURS:
            at = (START + day) * DAY_US + hour * HOUR_US
            noon = hour * HOUR_US == NOON_US
            # The source is seen every day: a customer's silence is no outage of the source.
            seen = {SOURCE: [at // HOUR_US]} if noon else {}
            tick = _system(f"tick-{at}", ClockTicked(at=at, mode="live", seen=seen))
            told = case.entries(day) if noon and day <= case.last_day else []
            yield at, [tick, *told]


def judge(case: Case, alerts: Sequence[Alert]) -> str | None:
    """Tell what is wrong with the alerts of a rule, or None."""
    raised = [alert for alert in alerts if isinstance(alert, AlertRaised)]
    told = [f"{alert.severity} for {alert.object!r} on day {_number(alert)}" for alert in raised]
    if not isinstance(case.expect, Expected):
        return f"expected nothing, it raised {'; '.join(told)}" if raised else None
    if not raised:
        return f"expected an alert by day {case.expect.fires_by}, it raised nothing"
    wrong = _wrong(case.expect, raised, alerts)
    return f"expected {wrong}, it raised {'; '.join(told)}" if wrong else None


def _wrong(expect: Expected, raised: Sequence[Alert], alerts: Sequence[Alert]) -> str | None:
    first = raised[0]
    if len(raised) != expect.alerts:
        return f"alerts = {expect.alerts}"
    if not expect.not_before <= _number(first) <= expect.fires_by:
        return f"an alert on a day from {expect.not_before} to {expect.fires_by}"
    if expect.severity not in (None, first.severity):
        return f"severity {expect.severity}"
    if expect.object not in (None, first.object):
        return f"object {expect.object!r}"
    return _late(expect.clears_by, [one for one in alerts if one.alert_id == first.alert_id])


def _late(clears_by: int | None, story: Sequence[Alert]) -> str | None:
    if clears_by is None:
        return None
    ends = [one for one in story if isinstance(one, AlertCleared) and one.reason == "recovered"]
    if not ends:
        return f"recovery by day {clears_by} (it stayed open)"
    end = _number(ends[0])
    return None if end <= clears_by else f"recovery by day {clears_by} (it came on day {end})"


def _around(content: RuleSetContent, rule_id: str, case: Case) -> RuleSetContent:
    """Return the rule set without overrides, with the rule on and the flags of the case."""
    rules = [rule | {"off": False} if rule["id"] == rule_id else rule for rule in content.rules]
    return RuleSetContent(
        rules=rules,
        metrics=content.metrics | flags(case.metrics),
        features=content.features | feature_flags(case.features),
    )


def _system(id_: str, event: ClockTicked | RulesApplied) -> Entry:
    return Entry(id_, "ebbwatch", 0, (), event)


def _json(content: RuleSetContent) -> str:
    return msgspec.json.encode(content).decode()


def _number(alert: Alert) -> int:
    return to_day(alert.day) - START
