"""What holding alerts against churns gives: records only. Pure."""

from collections import Counter
from datetime import date
from typing import Literal, NamedTuple

from services.backtest.churns import Churn
from services.backtest.estimates import Interval, Quartiles, quartiles, wilson
from services.backtest.horizon import LATE_DAYS
from services.backtest.outcome import Row

Verdict = Literal["right", "wrong", "after", "too_recent"]


class Catch(NamedTuple):
    """A churn with the first warning that came before it.

    Attributes:
        churn: Who left, when.
        row: The first alert within the horizon before.
        days: Between the judged day of that alert and the churn, >= 1.
    """

    churn: Churn
    row: Row
    days: int


class Score(NamedTuple):
    """How good a rule, or all of them together, was.

    Attributes:
        rule: Its id; empty for all together.
        verdicts: Warnings by what became of them.
        churns: Churns that could be caught.
        caught: Those that were, by day and account of the churn.
        money: Lost with all churns whose amount is known, minor units; None if none is.
        money_caught: Of it, what there was a warning about; None as `money`.
    """

    rule: str
    verdicts: Counter[Verdict]
    churns: int
    caught: list[Catch]
    money: int | None
    money_caught: int | None

    @property
    def judged(self) -> int:
        """Warnings of which it is known whether they were right."""
        return self.verdicts["right"] + self.verdicts["wrong"]

    @property
    def precision(self) -> float | None:
        """Share of the judged warnings that were right; None of none."""
        return self.verdicts["right"] / self.judged if self.judged else None

    @property
    def precision_interval(self) -> Interval | None:
        """Where that share lies, 95 %."""
        return wilson(self.verdicts["right"], self.judged)

    @property
    def recall(self) -> float | None:
        """Share of the churns that were caught; None of none."""
        return len(self.caught) / self.churns if self.churns else None

    @property
    def recall_interval(self) -> Interval | None:
        """Where that share lies, 95 %."""
        return wilson(len(self.caught), self.churns)

    @property
    def money_recall(self) -> float | None:
        """Share of the lost money that there was a warning about; None if no amount is known.

        Source: signals.md, recall of a rule: churned ARR flagged / churned ARR.
        """
        if not self.money or self.money_caught is None:
            return None
        return self.money_caught / self.money

    @property
    def lead(self) -> Quartiles | None:
        """Days from the first warning to the churn; None if nothing was caught."""
        return quartiles(one.days for one in self.caught)

    @property
    def late(self) -> int:
        """Churns whose first warning came less than 30 days before."""
        return sum(one.days < LATE_DAYS for one in self.caught)


class Judged(NamedTuple):
    """How good the alerts of a backtest were.

    Attributes:
        horizon_days: A churn counts so many days after an alert.
        until: Last day of which it is known who had left by then.
        overall: All rules together but those in shadow; an account's alerts less than 28 days
            apart are one warning.
        rules: Each rule that can warn, shadow ones too, in the order of the outcome.
        missed: Churns without a warning, the largest amount first.
        left_out: Churns that could not be caught, by reason.
        partly: Churns that could be caught during a part of the horizon only.
        chance: About which share of warnings would be right if they came at random; None if
            there is nothing to tell it from.
        currency: Of all amounts; None where it is not known, or there are several.
        refused: Refused rows of the truth, by reason.
        examples: The first of them.
    """

    horizon_days: int
    until: date
    overall: Score
    rules: list[Score]
    missed: list[Churn]
    left_out: Counter[str]
    partly: int
    chance: float | None
    currency: str | None
    refused: Counter[str]
    examples: list[str]
