"""`ebbwatch rules report`: what rules raised, what people said of it, and who left afterwards."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from schemas import topics
from schemas.config import RuleSetContent, RuleSetRecord
from services import wording
from services.backtest.horizon import HORIZON_DAYS, LATE_DAYS
from services.commands.rule_figures import (
    Figures,
    Period,
    figures,
    in_force,
    left,
    raisings,
)
from services.commands.rule_sets import RuleSets
from services.commands.terminal import fail
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from services.alerts.cases.case import Case
    from services.detector.rules import RuleSet

AT_ONCE: Final = 4
"""Partitions whose snapshots are read side by side."""
REVIEW_DAYS: Final = 365
"""After so long limits are to be looked at again. Source: signals.md C15."""
_LIMITS: Final = ("id", "rule", "segment", "primitive", "params", "severity", "off", "shadow")


class Report(NamedTuple):
    """What is known of all rules.

    Attributes:
        period: The days that it is about.
        rows: Rules, each followed by its rule sets.
        titles: By rule of the newest rule set, for a person.
        states: By rule of the newest rule set: `on`, `shadow` or `off`.
        churns: How many leavings are known.
        limits: What the figures leave out, for a person.
    """

    period: Period
    rows: list[Figures]
    titles: dict[str, str]
    states: dict[str, str]
    churns: int
    limits: list[str]

    def plain(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "from": self.period.first,
            "to": self.period.last,
            "churns": self.churns,
            "rules": [
                one.plain() | {"state": self.states.get(one.rule, "gone")} for one in self.rows
            ],
            "limits": self.limits,
        }


async def report(
    known: ServiceSettings, days: int, today: date, truth: Path | None, events: bool
) -> Report:
    """Return what is known of the rules of a deployment.

    Args:
        known: Which deployment.
        days: How far back, >= 1.
        today: The last day.
        truth: A file of customers that left; None for none.
        events: Read `events.v1` for contracts that ended and revenue that was lost.

    Raises:
        services.config_log.ConfigUnavailable: Kafka does not answer.
    """
    from services.alerts.cases.case import Case
    from services.commands.rule_text import summaries

    period = Period(today - timedelta(days=days - 1), today)
    rule_sets = await RuleSets.read(known)
    sets = rule_sets.records()
    applied = {n: one.applied_at.date() for n, one in sets.items()}
    found: list[Case] = [case async for case in _cases(known)]
    churns = [one for case in found for one in left(case)]
    if truth is not None:
        churns += _churns(truth)
    if events:
        from services.commands.leaving import leavings

        churns += await leavings(known)
    rules = {str(one["id"]): one for one in summaries(_newest(rule_sets, sets))}
    rows = figures(
        [one for case in found for one in raisings(case)],
        churns,
        in_force(applied, period),
        period,
        list(rules),
    )
    states = {name: _state(one) for name, one in rules.items()}
    titles = {name: str(one["title"]) for name, one in rules.items()}
    limits = [*_limits(truth, events), *_review(sets, today)]
    return Report(period, rows, titles, states, len(set(churns)), limits)


def lines(found: Report) -> list[str]:
    """Return a report for a person.

    Args:
        found: The report.
    """
    from services.backtest.columns import aligned

    header = (
        *("RULE", "SET", "STATE", "ALERTS", "A WEEK", "OPEN"),
        *("USEFUL", "FALSE", "KNOWN", "TOO LATE", "PRECISION (95 %)", "LEFT", "LEAD DAYS", "LATE"),
    )
    rows = [_row(one, found.states) for one in found.rows]
    return [
        f"Rules from {wording.days(found.period.first, found.period.last)}; "
        f"{wording.counted(found.churns, 'customer')} known to have left",
        "",
        *aligned([header, *rows]),
        "",
        *found.limits,
    ]


def _row(one: Figures, states: dict[str, str]) -> tuple[str, ...]:
    from services.backtest.words import count, figure, interval, lead, share

    whole = one.rule_set is None
    said = [count(one.verdicts.get(name, 0)) for name in _VERDICTS]
    return (
        one.rule if whole else "",
        "all" if whole else str(one.rule_set),
        states.get(one.rule, "gone") if whole else "shadow" if one.shadow else "",
        *(count(one.alerts), figure(one.per_week), count(one.open)),
        *said,
        share(one.precision) + interval(one.interval),
        *(count(len(one.leads)), lead(one.lead), count(one.late)),
    )


_VERDICTS: Final = ("useful", "false_alarm", "known", "too_late")


async def _cases(known: ServiceSettings) -> "AsyncIterator[Case]":
    """Yield the cases of all partitions, as the newest snapshots have them."""
    for first in range(0, known.partitions, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, known.partitions))
        for some in await asyncio.gather(*(_partition(known, number) for number in numbers)):
            for case in some:
                yield case


async def _partition(known: ServiceSettings, number: int) -> "Sequence[Case]":
    from services.alerts.cases import ledger
    from services.alerts.cases.records import restore_all
    from services.snapshots import LoadTooSlow, load

    topic = topics.full_name(topics.CASES, known.prefix)
    try:
        snapshot = await load(known.kafka, topic, number)
        kept = ((key, raw) for key, raw in snapshot.items() if key != ledger.KEY)
        return list(restore_all(kept).values())
    except LoadTooSlow as error:
        fail(f"{topic} cannot be read at {known.kafka}: {error}")
    except ValueError as error:
        fail(f"{topic} partition {number}: {error}; once more, in case it is being written now")


def _newest(rule_sets: RuleSets, numbers: Collection[int]) -> "RuleSet":
    """Return the newest rule set; an empty one before the first."""
    from services.detector.rules import RuleSet

    if not numbers:
        return RuleSet(n=0)
    return rule_sets.get(max(numbers)) or fail(rule_sets.missing(max(numbers)))


def _state(rule: dict[str, Any]) -> str:
    return "off" if rule["off"] else "shadow" if rule["shadow"] else "on"


def _churns(path: Path) -> Iterator[tuple[str, date]]:
    from services.backtest import truth_file
    from services.ingest.history.files import HistoryError

    try:
        found = truth_file.read(path)
    except HistoryError as error:
        fail(str(error))
    return ((one.account, one.on) for one in found.churns)


def _review(sets: Mapping[int, RuleSetRecord], today: date) -> list[str]:
    """Say so where nobody has looked at the limits for a year (signals.md, C15)."""
    last, before = None, None
    for _, one in sorted(sets.items()):
        limits = _limits_of(msgspec.json.decode(one.content, type=RuleSetContent))
        if limits != before:
            last, before = one.applied_at.date(), limits
    if last is None or (today - last).days < REVIEW_DAYS:
        return []
    return [
        f"The limits of the rules were changed last on {wording.day(last)}, more than a year ago: "
        "`ebbwatch rules propose` tries others on your history."
    ]


def _limits_of(content: RuleSetContent) -> bytes:
    """Return what a rule set asks for: titles, plays, metrics and inputs are no limits."""
    asked = [
        [{name: one.get(name) for name in _LIMITS} for one in some]
        for some in (content.rules, content.overrides)
    ]
    return msgspec.json.encode(asked, order="sorted")


def _limits(truth: Path | None, events: bool) -> list[str]:
    sources = ["cases that were resolved as churned"]
    sources += [f"{truth}"] if truth is not None else []
    sources += ["contracts that ended and revenue lost, of the last 14 days"] if events else []
    return [
        "Counted from cases.v1, which keeps of each customer all open alerts and the last 200 that "
        "are over.",
        "PRECISION is useful ÷ judged alerts, by the last word on each; A WEEK leaves out imported "
        "history.",
        f"LEFT: customers that left up to {HORIZON_DAYS} days after an alert of the rule, by "
        f"{wording.listed(sources)}; LEAD DAYS from its first alert until then: median and "
        "quartiles.",
        f"LATE: the first high alert of a customer came less than {LATE_DAYS} days before the "
        "renewal.",
        "Rules in shadow are judged and counted, and tell nobody.",
    ]
