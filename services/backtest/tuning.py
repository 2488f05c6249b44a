"""Other limits of statistical rules, tried on history and held out account by account. Pure.

A rule's limits are chosen on some accounts, and what the choice is worth is counted on the others:
whoever chooses and counts on the same ones finds an improvement in any noise (style of the yearly
review, signals.md C15). What `fitting` learns, it learns from all accounts: a handful of numbers,
of which only whether they are used is chosen here. Nothing here changes a rule.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import xxhash

from services.backtest.churns import Truth
from services.backtest.grid import Group, Option
from services.backtest.judged import Judged, Score
from services.backtest.outcome import Outcome
from services.backtest.truth import judge

FOLDS: Final = 5
GAIN: Final = 0.02
"""By so much the held-out score must be better: less is not worth another set of limits."""
LEAST_CHURNS: Final = 10
LEAST_JUDGED: Final = 20
"""With fewer customers that left, or fewer warnings judged, nothing can be told apart."""


class Held(NamedTuple):
    """What a rule's warnings were worth.

    Attributes:
        right: Warnings that were followed by the customer's leaving.
        judged: Warnings of which that is known.
        caught: Customers that left and had been warned of.
        churns: Customers that left.
    """

    right: int = 0
    judged: int = 0
    caught: int = 0
    churns: int = 0

    @property
    def precision(self) -> float | None:
        """Share of the judged warnings that were right; None of none."""
        return self.right / self.judged if self.judged else None

    @property
    def recall(self) -> float | None:
        """Share of the churns that were caught; None of none."""
        return self.caught / self.churns if self.churns else None

    @property
    def score(self) -> float:
        """The harmonic mean of precision and recall, 0..1; 0 of nothing. Source: van Rijsbergen."""
        precision, recall = self.precision or 0.0, self.recall or 0.0
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    def plus(self, other: "Held") -> "Held":
        """Return what both together are worth."""
        return Held(*(a + b for a, b in zip(self, other, strict=True)))


class Tuned(NamedTuple):
    """What came of trying the limits of a group of rules.

    Attributes:
        rules: Their ids.
        now: The limits in force, of those that were tried.
        proposed: Other limits; None where the present ones stay.
        why: In words.
        held_now: The present limits on accounts held out, all of them together.
        held_chosen: What was chosen without those accounts, on them.
        whole_now: The present limits on all accounts.
        whole_chosen: The best ones on all accounts.
    """

    rules: tuple[str, ...]
    now: dict[str, Any]
    proposed: Option | None
    why: str
    held_now: Held
    held_chosen: Held
    whole_now: Held
    whole_chosen: Held


def tune(
    groups: Sequence[Group],
    now: Outcome,
    others: Sequence[Outcome],
    truth: Truth,
    horizon_days: int,
    folds: int = FOLDS,
) -> list[Tuned]:
    """Choose each group's limits, and count what the choice is worth on accounts held out.

    Args:
        groups: What was tried.
        now: What the rules in force raised.
        others: What each of `rounds` raised.
        truth: Who left.
        horizon_days: A churn counts so many days after an alert, >= 1.
        folds: Groups of accounts, >= 2.
    """
    first = {rule: one.rules[0] for one in groups for rule in one.rules}
    held = [
        [
            _scores(_fold(outcome, first, n, folds), _fold_of(truth, n, folds), horizon_days)
            for n in range(folds)
        ]
        for outcome in (now, *others)
    ]
    return [_tuned(one, held, folds) for one in groups]


def _tuned(group: Group, held: Sequence[Sequence[Mapping[str, Held]]], folds: int) -> Tuned:
    """Choose among the group's own limits, which come first, and what was tried."""
    rule, tried = group.rules[0], group.tried
    options = [[part.get(rule, Held()) for part in some] for some in held[: len(tried) + 1]]
    whole = [_sum(some) for some in options]
    picked = [_best([_sum(_without(some, n)) for some in options]) for n in range(folds)]
    chosen = _best(whole)
    held_now, held_chosen = whole[0], _sum([options[picked[n]][n] for n in range(folds)])
    why = _why(chosen, picked, whole[chosen], held_now, held_chosen)
    return Tuned(
        rules=group.rules,
        now=group.now,
        proposed=None if why else tried[chosen - 1],
        why=why or f"{Counter(picked)[chosen]} of {folds} groups of accounts choose it, too",
        held_now=held_now,
        held_chosen=held_chosen,
        whole_now=whole[0],
        whole_chosen=whole[chosen],
    )


def _why(chosen: int, picked: Sequence[int], best: Held, before: Held, after: Held) -> str:
    """Return why the present limits stay; empty where others are better."""
    if best.churns < LEAST_CHURNS:
        return f"only {best.churns} churns: at least {LEAST_CHURNS} are needed"
    # Of the best ones, not of the present ones: a rule that says nothing could not be mended else.
    if best.judged < LEAST_JUDGED:
        return f"only {best.judged} warnings can be judged: at least {LEAST_JUDGED} are needed"
    if chosen == 0:
        return "none of those tried is better"
    if Counter(picked)[chosen] * 2 <= len(picked):
        return "what is best for all accounts is best for few groups of them"
    if after.score < before.score + GAIN:
        return "on accounts held out it gains too little"
    return ""


def worth(judged: Judged) -> Held:
    """Return what all rules that notify were worth together."""
    return _held(judged.overall)


def _scores(outcome: Outcome, truth: Truth, horizon_days: int) -> dict[str, Held]:
    return {one.rule: _held(one) for one in judge(outcome, truth, horizon_days).rules}


def _held(score: Score) -> Held:
    return Held(score.verdicts["right"], score.judged, len(score.caught), score.churns)


def _fold(outcome: Outcome, first: Mapping[str, str], fold: int, folds: int) -> Outcome:
    """Return the alerts of some accounts, those of a group as if one rule had raised them."""
    mine = [
        row._replace(rule=first.get(row.rule, row.rule))
        for row in outcome.rows
        if fold_of(row.account, folds) == fold
    ]
    return outcome._replace(rows=mine)


def _fold_of(truth: Truth, fold: int, folds: int) -> Truth:
    mine = [one for one in truth.churns if fold_of(one.account, folds) == fold]
    return truth._replace(churns=mine)


def fold_of(account: str, folds: int) -> int:
    """Return the group of an account: the same whatever else is played.

    >>> 0 <= fold_of("acme", 5) < 5
    True
    """
    return int(xxhash.xxh3_64_intdigest(account.encode()) % folds)


def _without(parts: Sequence[Held], fold: int) -> list[Held]:
    return [part for n, part in enumerate(parts) if n != fold]


def _sum(parts: Sequence[Held]) -> Held:
    total = Held()
    for part in parts:
        total = total.plus(part)
    return total


def _best(options: Sequence[Held]) -> int:
    """Return which option is best; of equals the first, so that nothing changes for nothing."""
    return max(range(len(options)), key=lambda n: (round(options[n].score, 9), -n))
