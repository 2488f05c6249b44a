"""Judging: rules over accounts, at the end of a day or after an event. Pure."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from schemas.alerts import SEVERITIES
from schemas.envelope import Entry
from services.detector import episode as episodes
from services.detector import evidence, featured, joining, seating
from services.detector.calendars import to_day, weekday
from services.detector.episode import Episode, over
from services.detector.facts.buckets import CORRECTION_DAYS, FEATURE
from services.detector.facts.seats import SEATS
from services.detector.ledger import Closing
from services.detector.peers import Scopes, standing
from services.detector.primitives import EVENT
from services.detector.primitives.arrays import pick
from services.detector.primitives.baseline import HISTORY_DAYS, smallest_drops, states
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
from services.detector.rules import CORE_FEATURES, FEATURES, Rule, RuleSet, Variant
from services.detector.subject import Account
from services.detector.window import COMBINED, Row, Window, combined_rows, outage_days

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
    rules: RuleSet,
    accounts: Sequence[Account],
    closing: Closing,
    tally: Scopes | None = None,
    *,
    brief: bool = False,
) -> Judgement:
    """Judge accounts at the end of a day.

    Args:
        rules: The rule set of the closing.
        accounts: Accounts of the closing's zone, as they are at the end of the day.
        closing: The day, and what is masked in it.
        tally: Counts them, for the day's summaries.
        brief: Whether only what is raised is told with its evidence.

    Returns:
        What was found, account by account in the order given; each account's part depends on
        that account alone.
    """
    day = _Day(rules, accounts, closing, brief)
    found = day.judge()
    if tally is not None:
        day.count(tally)
    return found


class _Day:
    """One batch of accounts at one closing."""

    def __init__(
        self, rules: RuleSet, accounts: Sequence[Account], closing: Closing, brief: bool
    ) -> None:
        self.rules = rules
        self.accounts = accounts
        self.closing = closing
        self.window = Window(closing, rules.history_days)
        self.when = When(
            *(closing.day, closing.due, closing.offset, closing.historic, closing.rules), brief
        )
        self.out = Judgement()
        self.rows = [
            Row(account, name, (name,), (line,))
            for account in accounts
            for name, line in account.facts.buckets.lines.items()
        ]
        self.series = self.window.series(self.rows)
        self._built: dict[tuple[str, bool], tuple[list[Row], Series]] = {}
        self._picked: dict[bytes, Series] = {}
        self._dated: dict[type[DatePrimitive], list[Account]] = {}
        self._named: dict[str, list[int]] = {}
        for i, row in enumerate(self.rows):
            self._named.setdefault(row.object, []).append(i)
        self._segments: dict[str | None, list[str]] = {}
        for account in accounts:
            self._segments.setdefault(account.facts.profile.segment, []).append(account.id)
        self._some_off = [account for account in accounts if account.off]

    def judge(self) -> Judgement:
        self._observe()
        for rule, primitive in self.rules.day_rules:
            self._day_rule(rule, primitive)
        for rule, date_primitive in self.rules.date_rules:
            for account in self._busy(date_primitive):
                self._date_rule(rule, date_primitive, account)
        for account in self.accounts:
            if account.episodes or account.off:
                self._retire(account)
        order = {account.id: i for i, account in enumerate(self.accounts)}
        self.out.alerts.sort(key=lambda alert: order[alert.account])
        return self.out

    def count(self, tally: Scopes) -> None:
        rows, series = self._built.get((MEANINGFUL, True)) or self._lately()
        told = {row.account.id: one for row, one in zip(rows, standing(series), strict=True)}
        for account in self.accounts:
            tally.count(account.facts.profile.segment, told.get(account.id))

    def _lately(self) -> tuple[list[Row], Series]:
        """Return meaningful usage where no rule has asked for it, no more days than are counted."""
        rows = combined_rows(self.accounts, self.rules, MEANINGFUL)
        window = Window(self.closing, min(HISTORY_DAYS, self.rules.history_days))
        return rows, window.series(rows)

    def _observe(self) -> None:
        """Keep the data state of every line; once a week its swing, and what it could show."""
        if not self.rows:
            return
        dark: dict[tuple[tuple[str, ...], int], bool] = {}
        for row, state in zip(self.rows, states(self.series).tolist(), strict=True):
            key = row.lines[0].sources, outage_days(row)
            if key not in dark:
                dark[key] = self.window.dark(row.lines[0], self.closing.day, key[1])
            self._note_state(row, "no_data" if dark[key] else state)
        if weekday(self.closing.day) == SUNDAY:
            swings = np.round(weekly_swing(self.series), SWING_DIGITS).tolist()
            least = smallest_drops(self.series).tolist()
            for row, swing, percent in zip(self.rows, swings, least, strict=True):
                if swing == swing:
                    row.lines[0].swing(self.closing.day, swing)
                    row.account.least[row.object] = percent
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
        for segment, mine in self._segments.items():
            variant = rule.variant(segment)
            if not variant.off:
                variants.setdefault(id(variant), (variant, set()))[1].update(mine)
        off = {one.id for one in self._some_off if one.off.get(rule.id) == self.when.rule_set}
        for variant, ids in variants.values():
            ids -= off
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
        if selector in (FEATURES, CORE_FEATURES):
            changed = self.closing.products
            rows = featured.rows(self.accounts, self.rules, selector, changed)
            return rows, self._series(rows, selector) if rows else self.series
        if selector == SEATS:
            rows = seating.rows(self.accounts)
            return rows, self._series(rows, selector) if rows else self.series
        if combined:
            rows = combined_rows(self.accounts, self.rules, selector)
            return rows, self._combined(rows)
        named = [at for name, at in self._named.items() if self.rules.selects(selector, name)]
        places = named[0] if len(named) == 1 else sorted(i for at in named for i in at)
        return [self.rows[i] for i in places], self._pick(places)

    def _combined(self, rows: Sequence[Row]) -> Series:
        """Return the arrays of combined rows; those of single lines are there already."""
        if any(len(row.lines) > 1 or row.names[0].startswith("@") for row in rows):
            return self.window.series(rows)
        places = {id(row.lines[0]): i for i, row in enumerate(self.rows)}
        return self._pick([places[id(row.lines[0])] for row in rows])

    def _pick(self, places: Sequence[int]) -> Series:
        """Return some rows of all; the same ones share what was computed of them."""
        if len(places) == len(self.rows):
            return self.series
        at = np.array(places, dtype=np.intp)
        key = at.tobytes()
        if key not in self._picked:
            self._picked[key] = pick(self.series, at)
        return self._picked[key]

    def _series(self, rows: Sequence[Row], selector: str, day: int | None = None) -> Series:
        """Return the arrays of rows that a selector has taken."""
        if selector in (FEATURES, CORE_FEATURES):
            return featured.series(rows, self.window, self.rules, selector, day)
        if selector == SEATS:
            return seating.series(rows, self.window, day)
        return self.window.series(rows, day)

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
        told, fires = verdicts.told.tolist(), verdicts.fires.tolist()
        for i, row in enumerate(rows):
            if not told[i] or not (fires[i] or row.account.episodes) or _is_frozen(row):
                continue
            known = row.account.episodes.get(episodes.key(rule.id, row.object))
            if fires[i] or known is not None:
                applied = self._applied(rule, variant, row.account)
                because = self._because(row, series, verdicts, i, primitive.kind(variant.params))
                finding = _finding(row, verdicts, i)
                applied.contain(
                    row.object,
                    partial(
                        self._row,
                        *(applied, primitive, row, known, finding, because),
                        joining.ratio_of(verdicts, i),
                    ),
                )

    def _row(
        self,
        applied: Applied,
        primitive: type[DayPrimitive],
        row: Row,
        known: Episode | None,
        finding: Finding,
        because: Because,
        ratio: float,
    ) -> None:
        if known is not None and self._withdrawn(primitive, applied.variant, row, known):
            applied.close(known, "withdrawn", because)
        else:
            joining.take(applied, self.closing.shared, finding, ratio, because)

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
        selector: str = variant.params.metric  # type: ignore[attr-defined]
        again = primitive.judge(self._series([row], selector, known.raised_on), variant.params)
        return bool(again.told[0]) and not bool(again.fires[0])

    def _because(self, row: Row, series: Series, verdicts: Verdicts, i: int, kind: str) -> Because:
        """Return the evidence of a row: the record, and all that it was computed from."""

        def because() -> dict[str, Any]:
            found = verdicts.because(i)
            masked = [
                {"date": day, "reason": self.window.reason(row, to_day(date.fromisoformat(day)))}
                for day in found.get("masked_days", ())
            ]
            beside = {
                "metrics": list(row.names),
                "masked_days": masked,
                "computed_from": evidence.computed_from(series, i),
            }
            peers = joining.peers(self.closing, row.account.facts.profile.segment, kind)
            return found | peers | featured.told(row, self.window, self.rules, kind) | beside

        return because

    def _busy(self, primitive: type[DatePrimitive]) -> list[Account]:
        """Return the accounts of which a date could be found, or something is open."""
        if primitive not in self._dated:
            self._dated[primitive] = [
                account
                for account in self.accounts
                if account.episodes or not primitive.is_idle(account.facts)
            ]
        return self._dated[primitive]

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
        if selector == SEATS:
            return seating.has_seats(applied.account)
        if selector in (FEATURES, CORE_FEATURES):
            there = featured.kept(self.rules, selector, self.closing.products)
            return known.object == COMBINED or known.object.removeprefix(FEATURE) in there
        lines = applied.account.facts.buckets.lines
        names = lines if known.object == COMBINED else (known.object,)
        return any(self.rules.selects(selector, name) for name in names)


def _is_frozen(row: Row) -> bool:
    """Tell whether nothing came for anybody: then nothing fires and nothing clears (signals.md)."""
    states = row.account.states
    return bool(row.names) and all(states.get(name) == "no_data" for name in row.names)


def _finding(row: Row, verdicts: Verdicts, i: int) -> Finding:
    severity = SEVERITIES[int(verdicts.severity[i])]
    return Finding(row.object, bool(verdicts.fires[i]), bool(verdicts.clears[i]), severity, {})
