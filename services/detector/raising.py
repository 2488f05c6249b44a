"""From findings to alert records: episodes decide, rules yield, bugs are contained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from schemas.alerts import SEVERITIES, ClearReason
from services.detector import alert_record, explanation, former
from services.detector import episode as episodes
from services.detector.alert_record import Means
from services.detector.calendars import to_day
from services.detector.episode import EPISODE_LIMIT, KEEP_DAYS, Change, Episode, Policy, Verdict
from services.detector.judgement import Failure, Judgement, When
from services.detector.primitives import EVENT
from services.detector.primitives.finding import Finding
from services.detector.retiring import close_retired, forget_off
from services.detector.rules import Rule, RuleSet, Variant, severity_index
from services.detector.subject import Account
from services.detector.yielding import overstated, yields

__all__ = [
    "Applied",
    "Because",
    "Failure",
    "Judgement",
    "When",
    "close_retired",
    "forget_off",
    "supersede",
]

Because = Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Applied:
    """One rule applied to one account.

    Args:
        out: Where alerts and changed accounts are collected.
        account: The account; its episodes change.
        rule: The rule.
        variant: The rule as it holds for the account's segment.
        when: When it is judged.
    """

    out: Judgement
    account: Account
    rule: Rule
    variant: Variant
    when: When

    @property
    def policy(self) -> Policy:
        """The rule's policy; of a shadow nothing is learned anew, as nobody may notice it."""
        policy = self.rule.policy
        if self.variant.shadow and policy.rearms == "relearned":
            return policy._replace(rearms="cleared")
        return policy

    @property
    def off(self) -> bool:
        """Whether the rule is off for the account, by decision or because it raised."""
        return self.variant.off or self.account.off.get(self.rule.id) == self.when.rule_set

    def open(self) -> list[Episode]:
        """Return the rule's open episodes."""
        mine = self.account.episodes.values()
        return [one for one in mine if one.rule == self.rule.id and one.open]

    def ask(self, judge: Callable[[], Sequence[Finding]]) -> Sequence[Finding] | None:
        """Ask a primitive; one that raises is switched off for the account.

        Returns:
            The findings, or None where the rule is off or has just raised.
        """
        if self.off:
            return None
        try:
            return judge()
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            self.switch_off(error)
            return None

    def switch_off(self, error: Exception) -> None:
        """Switch the rule off for the account until the next rule set."""
        self.account.off[self.rule.id] = self.when.rule_set
        self.out.changed[self.account.id] = self.account
        what = f"{type(error).__name__}: {error}"
        self.out.failures.append(Failure(self.account.id, self.rule.id, what))

    def contain(self, object_: str, work: Callable[[], None]) -> None:
        """Do something about one object; where that raises, the rule is off for the account.

        Args:
            object_: What it is about; an episode that this began is forgotten again.
            work: What to do.
        """
        key = episodes.key(self.rule.id, object_)
        known = key in self.account.episodes
        try:
            work()
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            if not known:
                self.account.episodes.pop(key, None)
            self.switch_off(error)

    def take(self, finding: Finding, because: Because | None = None) -> None:
        """Take a finding into its episode, and write what changed for people.

        Args:
            finding: What the primitive says.
            because: The evidence, asked only when something is written; the finding's otherwise.
        """
        key = episodes.key(self.rule.id, finding.object)
        known = self.account.episodes.get(key)
        if known is None and not finding.fires:
            return
        if yields(self.account, self.rule, self.variant, finding):
            if known is not None and known.open:
                self.close(known, "superseded")
            if finding.fires:
                self.out.held_back.append("yields")
            return
        belied = overstated(self.account, self.rule, self.variant, finding)
        if belied and known is not None and known.state == "cooling":
            # It was kept quiet, and that is over.
            episodes.release(known)
            known.free = True
        if known is None and self.rule.primitive in EVENT and not self._make_room():
            self.out.held_back.append("too_many")
            return
        begin = Episode(self.rule.id, finding.object, "pending", self.when.day)
        before = None if known is None else replace(known)
        kept, change = episodes.step(
            known, self._verdict(finding), self.when.day, self.policy, begin
        )
        if kept != before:
            self.out.changed[self.account.id] = self.account
        if kept is None:
            self.account.episodes.pop(key, None)
            return
        self.account.episodes[key] = kept
        if change is None and finding.fires and kept.state == "cooling":
            self.out.held_back.append("cooling")
        if change is not None:
            if change.kind == "raised":
                kept.alert_id = self._alert_id(kept)
                kept.usual = finding.usual
                for first in belied:
                    self._supersede(first)
            # The evidence first: it is of what was usual until now.
            self._write(kept, change, self._evidence(change, because, finding.because))
            self._relearn(kept)

    def join(self, object_: str, because: Because) -> None:
        """Let an incident tell what holds; an alert that is out already is superseded by it.

        Args:
            object_: What it is about.
            because: The evidence, which names the incident.
        """
        key = episodes.key(self.rule.id, object_)
        known = self.account.episodes.get(key)
        if known is None:
            known = Episode(self.rule.id, object_, "pending", self.when.day)
            self.account.episodes[key] = known
        before = replace(known)
        if known.open:
            self.close(known, "superseded", because)
            known.free = True
        episodes.join(known)
        if known != before:
            self.out.changed[self.account.id] = self.account
        self.out.held_back.append("incident")

    def forget(self, known: Episode) -> None:
        """Forget an episode of which nothing matters any more."""
        del self.account.episodes[episodes.key(known.rule, known.object)]
        self.out.changed[self.account.id] = self.account

    def _supersede(self, first: Episode) -> None:
        """Close the alert of a rule that goes first: what it says is no longer so."""
        [rule] = (one for one in self.rule.firsts if one.id == first.rule)
        variant = rule.variant(self.account.facts.profile.segment)
        Applied(self.out, self.account, rule, variant, self.when).close(first, "superseded")

    def close(self, known: Episode, reason: ClearReason, because: Because | None = None) -> None:
        """Close an open alert."""
        change = episodes.close(known, reason, self.policy)
        self.out.changed[self.account.id] = self.account
        self._write(known, change, self._evidence(change, because, {}))
        self._relearn(known)

    def accept(self, known: Episode, day: int) -> None:
        """Take what an incident told for the new normal.

        Args:
            known: An episode that has joined it.
            day: Since when.
        """
        episodes.accept(known, day, self.policy)
        self.out.changed[self.account.id] = self.account
        self._relearn(known)

    def _relearn(self, known: Episode) -> None:
        """Let what is usual of a metric be learned anew from what is accepted as its new normal."""
        if known.accepted and self.policy.rearms == "relearned":
            self.account.facts.buckets.relearn(known.object, known.accepted_on)

    def _evidence(
        self, change: Change, because: Because | None, given: dict[str, Any]
    ) -> dict[str, Any]:
        if self.when.brief and change.kind != "raised":
            return {}
        return because() if because is not None else given

    def _make_room(self) -> bool:
        """Let the oldest episodes go where there are too many; tell whether one more may begin."""
        mine = [one for one in self.account.episodes.values() if one.rule == self.rule.id]
        # The id of an alert that was raised later might be given once more.
        old = [one for one in mine if one.raised_on + KEEP_DAYS <= self.account.judged]
        old.sort(key=lambda one: (one.open, one.raised_on, one.object))
        gone = old[: max(len(mine) - EPISODE_LIMIT + 1, 0)]
        for one in gone:
            if one.open:
                self.close(one, "superseded")
            del self.account.episodes[episodes.key(one.rule, one.object)]
            self.out.changed[self.account.id] = self.account
            self.out.held_back.append("too_many")
        return len(mine) - len(gone) < EPISODE_LIMIT

    def _verdict(self, finding: Finding) -> Verdict:
        renewal = self.account.facts.profile.renewal_on
        left = to_day(renewal) - self.when.day if renewal is not None else None
        severity = severity_index(self.variant, SEVERITIES.index(finding.severity), left)
        return Verdict(finding.fires, finding.clears, severity)

    def _alert_id(self, known: Episode) -> str:
        subject, day = self.account.subject, known.raised_on
        return episodes.alert_id(subject, self.rule.id, known.object, day, known.ordinal)

    def _write(self, known: Episode, change: Change, because: dict[str, Any]) -> None:
        kind = self.rule.kind(self.variant)
        told = because | {"title": self.rule.model.title, "play": self.rule.model.play}
        if because:
            woken = self.rule.primitive in EVENT
            came_before = former.history(self.account, self.rule.id, known.raised_on, woken)
            named = {"primitive": self.rule.primitive.name, "history": came_before}
            because = because | named
            told |= because
            ended = change.reason or ""
            told["headline"] = explanation.headline(kind, known.object, because, ended)
            told["text"] = explanation.explain(kind, known.object, because, ended)
        model = self.rule.model
        means = Means(kind, model.category, model.churn_kind, self.variant.shadow)
        about = alert_record.about(self.account, self.when.stamp)
        self.out.alerts.append(alert_record.record(known, change, self.when, means, about, told))
        if change.kind == "raised":
            former.note(self.account, self.rule.id, known.raised_on)


def supersede(
    rules: RuleSet, account: Account, when: When, concerned: Callable[[Episode], bool]
) -> Judgement:
    """Close open alerts that nothing judges any more.

    Args:
        rules: The rule set in force.
        account: The account.
        when: When that became so.
        concerned: Tells of which episodes.
    """
    out = Judgement()
    for _, known in sorted(account.episodes.items()):
        if not known.open or not concerned(known):
            continue
        rule = rules.by_id.get(known.rule)
        if rule is None:
            close_retired(out, account, known, when)
            episodes.close(known, "superseded", episodes.Policy())
        else:
            variant = rule.variant(account.facts.profile.segment)
            Applied(out, account, rule, variant, when).close(known, "superseded")
    return out
