"""Judging: rules over accounts, at the end of a day or after an event. Pure."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from schemas.alerts import SEVERITIES
from schemas.envelope import Entry
from services.detector import episode as episodes
from services.detector.calendars import to_date, to_day, weekday
from services.detector.episode import Episode, over
from services.detector.facts.buckets import CORRECTION_DAYS
from services.detector.ledger import Closing
from services.detector.peers import SPAN, Scopes, ratios
from services.detector.primitives import EVENT
from services.detector.primitives.arrays import pick
from services.detector.primitives.baseline import states
from services.detector.primitives.day import DayPrimitive, Series, Verdicts
from services.detector.primitives.drop import weekly_swing
from services.detector.primitives.finding import DatePrimitive, Finding
from services.detector.raising import (
    Applied,
    Because,
    Judgement,
    When,
    close_retired,
    forget_off,
)
from services.detector.rules import Rule, RuleSet, Variant
from services.detector.subject import Account
from services.detector.window import COMBINED, Row, Window, combined_rows

MEANINGFUL = "@meaningful"
SUNDAY = 6
SWING_DIGITS = 9
"""Swings are kept rounded, so that they are the same whatever was computed together."""


def judge_event(rules: RuleSet, account: Account, entry: Entry, when: When) -> Judgement:
    """Judge one account after an entry has been folded into it."""
    out = Judgement()
    forget_off(out, account, when.rule_set)
    for rule, primitive in rules.event_rules:
        variant = rule.variant(account.facts.profile.segment)
        if type(entry.event) not in primitive.wakes(variant.params):
            continue
        applied = Applied(out, account, rule, variant, when)
        asked = (account.facts, entry, when.day, variant.params)
        for finding in applied.ask(partial(primitive.judge, *asked)) or ():
            applied.contain(finding.object, partial(applied.take, finding))
    return out


def judge_day(
    rules: RuleSet, accounts: Sequence[Account], closing: Closing, tally: Scopes | None = None
) -> Judgement:
    """Judge accounts at the end of a day.

    Args:
        rules: The rule set of the closing.
        accounts: Accounts of the closing's zone, as they are at the end of the day.
        closing: The day, and what is masked in it.
        tally: Counts them, for the day's summaries.

    Returns:
        What was found, account by account in the order given; each account's part depends on
        that account alone.
    """
    day = _Day(rules, accounts, closing)
    found = day.judge()
    if tally is not None:
        day.count(tally)
    return found


class _Day:
    """One batch of accounts at one closing."""

    def __init__(self, rules: RuleSet, accounts: Sequence[Account], closing: Closing) -> None:
        self.rules = rules
        self.accounts = accounts
        self.closing = closing
        self.window = Window(closing, rules.history_days)
        self.when = When(closing.day, closing.due, closing.offset, closing.historic, closing.rules)
        self.out = Judgement()
        self.rows = [
            Row(account, name, (name,), (line,))
            for account in accounts
            for name, line in account.facts.buckets.lines.items()
        ]
        self.series = self.window.series(self.rows)
        self._built: dict[tuple[str, bool], tuple[list[Row], Series]] = {}

    def judge(self) -> Judgement:
        self._observe()
        for rule, primitive in self.rules.day_rules:
            self._day_rule(rule, primitive)
        for rule, date_primitive in self.rules.date_rules:
            for account in self.accounts:
                self._date_rule(rule, date_primitive, account)
        for account in self.accounts:
            self._retire(account)
        order = {account.id: i for i, account in enumerate(self.accounts)}
        self.out.alerts.sort(key=lambda alert: order[alert.account])
        return self.out

    def count(self, tally: Scopes) -> None:
        rows, series = self._built.get((MEANINGFUL, True)) or self._lately()
        told = {row.account.id: one for row, one in zip(rows, ratios(series), strict=True)}
        for account in self.accounts:
            tally.count(account.facts.profile.segment, told.get(account.id))

    def _lately(self) -> tuple[list[Row], Series]:
        """Return meaningful usage where no rule has asked for it, no more days than are counted."""
        rows = combined_rows(self.accounts, self.rules, MEANINGFUL)
        window = Window(self.closing, min(2 * SPAN, self.rules.history_days))
        return rows, window.series(rows)

    def _observe(self) -> None:
        """Keep the data state of every line, and once a week its swing."""
        if not self.rows:
            return
        for row, state in zip(self.rows, states(self.series).tolist(), strict=True):
            dark = self.window.dark(row.lines[0], self.closing.day)
            self._note_state(row, "no_data" if dark else state)
        if weekday(self.closing.day) == SUNDAY:
            swings = np.round(weekly_swing(self.series), SWING_DIGITS).tolist()
            for row, swing in zip(self.rows, swings, strict=True):
                if swing == swing:
                    row.lines[0].swing(self.closing.day, swing)
                    self.out.changed[row.account.id] = row.account

    def _note_state(self, row: Row, state: str) -> None:
        if row.account.states.get(row.object) != state:
            row.account.states[row.object] = state
            self.out.changed[row.account.id] = row.account

    def _applied(self, rule: Rule, variant: Variant, account: Account) -> Applied:
        return Applied(self.out, account, rule, variant, self.when)

    def _day_rule(self, rule: Rule, primitive: type[DayPrimitive]) -> None:
        """Judge by variant: accounts of one segment share their parameters."""
        variants: dict[int, tuple[Variant, set[str]]] = {}
        for account in self.accounts:
            variant = rule.variant(account.facts.profile.segment)
            if not variant.off and account.off.get(rule.id) != self.when.rule_set:
                variants.setdefault(id(variant), (variant, set()))[1].add(account.id)
        for variant, ids in variants.values():
            rows, series = self._rows(variant.params.metric, primitive.combines)  # type: ignore[attr-defined]
            if len(ids) < len(self.accounts):
                places = [i for i, row in enumerate(rows) if row.account.id in ids]
                rows, series = (
                    [rows[i] for i in places],
                    pick(series, np.array(places, dtype=np.intp)),
                )
            if rows:
                self._judge(rule, primitive, variant, rows, series)

    def _rows(self, selector: str, combined: bool) -> tuple[list[Row], Series]:
        known = self._built.get((selector, combined))
        if known is None:
            known = self._built[selector, combined] = self._build(selector, combined)
        return known

    def _build(self, selector: str, combined: bool) -> tuple[list[Row], Series]:
        """Return what a selector takes; single lines are there already."""
        if combined:
            rows = combined_rows(self.accounts, self.rules, selector)
            return rows, self.window.series(rows)
        names = {row.object for row in self.rows}
        taken = {name for name in names if self.rules.selects(selector, name)}
        places = [i for i, row in enumerate(self.rows) if row.object in taken]
        if len(places) == len(self.rows):
            return self.rows, self.series
        at = np.array(places, dtype=np.intp)
        return [self.rows[i] for i in places], pick(self.series, at)

    def _judge(
        self,
        rule: Rule,
        primitive: type[DayPrimitive],
        variant: Variant,
        rows: Sequence[Row],
        series: Series,
    ) -> None:
        """Judge some rows; where that raises, row by row, so that only the culprit suffers."""
        try:
            verdicts = primitive.judge(series, variant.params)
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            if len(rows) == 1:
                self._applied(rule, variant, rows[0].account).switch_off(error)
                return
            for i, row in enumerate(rows):
                self._judge(rule, primitive, variant, [row], pick(series, np.array([i])))
            return
        for i, row in enumerate(rows):
            known = row.account.episodes.get(episodes.key(rule.id, row.object))
            if verdicts.told[i] and (verdicts.fires[i] or known is not None):
                applied = self._applied(rule, variant, row.account)
                because = self._because(row, series, verdicts, i)
                finding = _finding(row, verdicts, i)
                applied.contain(
                    row.object,
                    partial(self._row, applied, primitive, row, known, finding, because),
                )

    def _row(
        self,
        applied: Applied,
        primitive: type[DayPrimitive],
        row: Row,
        known: Episode | None,
        finding: Finding,
        because: Because,
    ) -> None:
        if known is not None and self._withdrawn(primitive, applied.variant, row, known):
            applied.close(known, "withdrawn", because)
        else:
            applied.take(finding, because)

    def _withdrawn(
        self, primitive: type[DayPrimitive], variant: Variant, row: Row, known: Episode
    ) -> bool:
        """Tell whether data that came after the raising day was judged take it back."""
        # Of days further back the buckets may be gone.
        if not known.open or not 0 < self.closing.day - known.raised_on <= CORRECTION_DAYS:
            return False
        late = any(
            line.revised is not None
            and line.revised <= known.raised_on
            and line.revised_after >= known.raised_on
            for line in row.lines
        )
        if not late:
            return False
        again = primitive.judge(self.window.series([row], known.raised_on), variant.params)
        return bool(again.told[0]) and not bool(again.fires[0])

    def _because(self, row: Row, series: Series, verdicts: Verdicts, i: int) -> Because:
        """Return the evidence of a row: the record, and all that it was computed from."""

        def because() -> dict[str, Any]:
            found = verdicts.because(i)
            masked = [
                {"date": day, "reason": self.window.reason(row, to_day(date.fromisoformat(day)))}
                for day in found.get("masked_days", ())
            ]
            computed_from = {
                "from": to_date(series.day - self.window.days + 1).isoformat(),
                "known": int(series.known[i]),
                "active": int(series.active[i]),
                "counts": [_number(value) for value in series.counts[i].tolist()],
                "masked": np.flatnonzero(series.masked[i]).tolist(),
                "swings": [_number(value) for value in series.swings[i].tolist()],
            }
            return found | {
                "metrics": list(row.names),
                "masked_days": masked,
                "computed_from": computed_from,
            }

        return because

    def _date_rule(self, rule: Rule, primitive: type[DatePrimitive], account: Account) -> None:
        variant = rule.variant(account.facts.profile.segment)
        applied = self._applied(rule, variant, account)
        asked = (account.facts, self.closing.day, account.states, variant.params)
        found = applied.ask(partial(primitive.judge, *asked))
        if found is None:
            return
        for finding in found:
            applied.contain(finding.object, partial(applied.take, finding))
        objects = {finding.object for finding in found}
        for known in applied.open():
            if known.object not in objects:
                applied.close(known, "superseded")

    def _retire(self, account: Account) -> None:
        """Close alerts of rules that hold no longer for the account, and forget which were off."""
        forget_off(self.out, account, self.closing.rules)
        for known in list(account.episodes.values()):
            rule = self.rules.by_id.get(known.rule)
            if rule is None:
                if known.open:
                    close_retired(self.out, account, known, self.when)
                del account.episodes[episodes.key(known.rule, known.object)]
                self.out.changed[account.id] = account
                continue
            applied = self._applied(rule, rule.variant(account.facts.profile.segment), account)
            if known.open and (applied.variant.off or not self._still_taken(applied, known)):
                applied.close(known, "superseded")
            elif rule.primitive in EVENT and over(known, self.closing.day, rule.policy):
                # Nothing asks an event rule again when nothing happens.
                del account.episodes[episodes.key(known.rule, known.object)]
                self.out.changed[account.id] = account

    def _still_taken(self, applied: Applied, known: Episode) -> bool:
        """Tell whether the rule still looks at what an alert of it is about."""
        selector = getattr(applied.variant.params, "metric", None)
        if selector is None:
            return True
        lines = applied.account.facts.buckets.lines
        names = lines if known.object == COMBINED else (known.object,)
        return any(self.rules.selects(selector, name) for name in names)


def _finding(row: Row, verdicts: Verdicts, i: int) -> Finding:
    severity = SEVERITIES[int(verdicts.severity[i])]
    return Finding(row.object, bool(verdicts.fires[i]), bool(verdicts.clears[i]), severity, {})


def _number(value: float) -> float | int | None:
    """Return a plain JSON number, None for NaN."""
    if value != value:
        return None
    return int(value) if value == int(value) else value
