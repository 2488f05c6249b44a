"""Judging: rules over accounts, at the end of a day or after an event. Pure."""

from collections.abc import Sequence
from functools import partial

from schemas.envelope import Entry
from services.detector import episode as episodes
from services.detector import observing
from services.detector.batch import Batch
from services.detector.episode import Episode, over
from services.detector.ledger import Closing
from services.detector.peers import Scopes
from services.detector.primitives import EVENT
from services.detector.primitives.finding import DatePrimitive
from services.detector.raising import (
    Applied,
    Judgement,
    When,
    close_retired,
    forget_off,
)
from services.detector.rules import Rule, RuleSet
from services.detector.series_rules import SeriesRule
from services.detector.subject import Account
from services.detector.window import Window


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
    batch = Batch(rules, accounts, Window(closing, rules.history_days))
    found = _Day(batch, brief).judge()
    if tally is not None:
        observing.count(batch, tally)
    return found


class _Day:
    """One batch of accounts at one closing."""

    def __init__(self, batch: Batch, brief: bool) -> None:
        closing = batch.window.closing
        self.batch = batch
        self.rules = batch.rules
        self.when = When(
            *(closing.day, closing.due, closing.offset, closing.historic, closing.rules), brief
        )
        self.out = Judgement()
        self._dated: dict[type[DatePrimitive], list[Account]] = {}

    def judge(self) -> Judgement:
        accounts = self.batch.accounts
        observing.observe(self.batch, self.out, brief=self.when.brief)
        for rule, primitive in self.rules.day_rules:
            SeriesRule(self.batch, self.when, self.out, rule, primitive).judge()
        for rule, date_primitive in self.rules.date_rules:
            for account in self._busy(date_primitive):
                self._date_rule(rule, date_primitive, account)
        for account in accounts:
            if account.episodes or account.off:
                self._retire(account)
        order = {account.id: i for i, account in enumerate(accounts)}
        self.out.alerts.sort(key=lambda alert: order[alert.account])
        return self.out

    def _applied(self, rule: Rule, account: Account) -> Applied:
        variant = rule.variant(account.facts.profile.segment)
        return Applied(self.out, account, rule, variant, self.when)

    def _busy(self, primitive: type[DatePrimitive]) -> list[Account]:
        """Return the accounts of which a date could be found, or something is open."""
        if primitive not in self._dated:
            self._dated[primitive] = [
                account
                for account in self.batch.accounts
                if account.episodes or not primitive.is_idle(account.facts)
            ]
        return self._dated[primitive]

    def _date_rule(self, rule: Rule, primitive: type[DatePrimitive], account: Account) -> None:
        applied = self._applied(rule, account)
        asked = (account.facts, self.when.day, account.states, applied.variant.params)
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
        forget_off(self.out, account, self.when.rule_set)
        for known in list(account.episodes.values()):
            rule = self.rules.by_id.get(known.rule)
            if rule is None:
                if known.open:
                    close_retired(self.out, account, known, self.when)
                del account.episodes[episodes.key(known.rule, known.object)]
                self.out.changed[account.id] = account
                continue
            applied = self._applied(rule, account)
            if known.told and (applied.variant.off or not self._still_taken(applied, known)):
                if known.open:
                    applied.close(known, "superseded")
                # No day would tell when it is over; until then others would yield to it.
                episodes.release(known)
                self.out.changed[account.id] = account
            elif rule.primitive in EVENT and over(known, self.when.day, rule.policy):
                # Nothing asks an event rule again when nothing happens.
                del account.episodes[episodes.key(known.rule, known.object)]
                self.out.changed[account.id] = account

    def _still_taken(self, applied: Applied, known: Episode) -> bool:
        """Tell whether the rule still looks at what an alert of it is about."""
        selector = applied.variant.params.selector
        return not selector or self.batch.still_taken(applied.account, known.object, selector)
