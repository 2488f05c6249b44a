"""A comparison of two backtests as lines for a terminal."""

from collections.abc import Iterable
from typing import Final

from services.backtest import comparing, figures
from services.backtest.columns import aligned
from services.backtest.comparing import Comparison, Pair, RuleChange
from services.backtest.judged import Judged, Score
from services.backtest.outcome import Outcome, Row
from services.backtest.words import count, figure, interval, lead, plain, share, shift, signed
from services.wording import counted, days

EXAMPLES: Final = 5
"""So many alerts of each kind of difference are named: of accounts with the highest revenue."""


def lines(comparison: Comparison, judged: tuple[Judged, Judged] | None = None) -> list[str]:
    """Return a comparison as lines of printable text.

    Args:
        comparison: The two backtests.
        judged: How good each was, where it is known who left.
    """
    found = [
        f"{letter}: {_told(*one)}" for letter, one in zip("AB", _both(comparison), strict=True)
    ]
    found += ["", *_rules(comparison), "", *_examples(comparison)]
    if judged is not None:
        found += ["", *_scores(judged)]
    return found


def _both(comparison: Comparison) -> list[tuple[str, Outcome]]:
    return list(zip(comparison.names, (comparison.a, comparison.b), strict=True))


def _told(name: str, outcome: Outcome) -> str:
    every = figures.overall(outcome)
    return (
        f"{plain(name, 100)}: {counted(every.alerts, 'alert')} on "
        f"{counted(every.accounts, 'account')}, "
        f"{figure(every.per_100)} per 100 account-months, {days(outcome.first, outcome.last)}"
    )


def _rules(comparison: Comparison) -> list[str]:
    header = ("RULE", "A", "B", "CHANGE", "SAME DAY", "B EARLIER", "B LATER", "MEDIAN SHIFT")
    every = comparing.overall(comparison)._replace(rule="all that notify")
    fired = [one for one in comparing.per_rule(comparison) if one.a or one.b]
    rows = [_rule(one) for one in [*fired, every]]
    return aligned([(*header, "ONLY A", "ONLY B"), *rows])


def _rule(one: RuleChange) -> tuple[str, ...]:
    return (
        plain(one.rule) + (f" ({one.shadow})" if one.shadow else ""),
        "none" if one.a is None else f"{one.a:,}",
        "none" if one.b is None else f"{one.b:,}",
        signed((one.b or 0) - (one.a or 0)),
        count(one.same),
        count(one.earlier),
        count(one.later),
        "–" if one.shift is None else f"{signed(round(one.shift))} d",
        count(one.only_a),
        count(one.only_b),
    )


def _examples(comparison: Comparison) -> list[str]:
    accounts = [*comparing.about_all(comparison), *comparing.per_account(comparison)]
    only_a = [row for one in accounts for row in one.only_a]
    only_b = [row for one in accounts for row in one.only_b]
    moved = [pair for one in accounts for pair in one.moved]
    return [
        *_some("only A raises", len(only_a), map(_row, only_a)),
        *_some("only B raises", len(only_b), map(_row, only_b)),
        *_some("both raise, on other days", len(moved), map(_pair, moved)),
    ] or ["whatever notifies is the same in both"]


def _some(title: str, number: int, told: Iterable[str]) -> list[str]:
    if not number:
        return []
    shown = [line for line, _ in zip(told, range(EXAMPLES), strict=False)]
    more = [f"  … and {number - EXAMPLES:,} more"] if number > EXAMPLES else []
    return [f"{title} ({number:,}):", *shown, *more]


def _row(row: Row) -> str:
    return f"  {row.day}  {plain(row.account)}  {plain(row.rule)}: {plain(row.headline, 100)}"


def _pair(pair: Pair) -> str:
    return f"{_row(pair.b)} (A on {pair.a.day}: B {shift(pair.days)})"


def _scores(judged: tuple[Judged, Judged]) -> list[str]:
    header = ("ALL THAT NOTIFY", "PRECISION (95 %)", "RECALL (95 %)", "OF THE MONEY", "LEAD DAYS")
    rows = [_score(name, one.overall) for name, one in zip("AB", judged, strict=True)]
    return aligned([(*header, "LATE"), *rows])


def _score(name: str, one: Score) -> tuple[str, ...]:
    return (
        name,
        share(one.precision) + interval(one.precision_interval),
        share(one.recall) + interval(one.recall_interval),
        share(one.money_recall),
        lead(one.lead),
        count(one.late),
    )
