"""A backtest as lines for a terminal: what each rule raised, who would have been told, how good."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from services.backtest import figures
from services.backtest.columns import aligned
from services.backtest.figures import OwnerFigures, RuleFigures
from services.backtest.judged import Judged, Score
from services.backtest.outcome import Outcome
from services.backtest.words import count, figure, interval, lead, money, owner_name, plain, share
from services.wording import counted, days, listed

OWNERS_SHOWN: Final = 10
_REASONS: Final = ("recovered", "new_normal", "accepted", "superseded", "withdrawn")


def lines(outcome: Outcome) -> list[str]:
    """Return what rules would have raised, as lines of printable text.

    Args:
        outcome: What the backtest found.
    """
    found = [*_played(outcome), "", *_rules(outcome)]
    owners = figures.owners(outcome)
    if owners:
        found += ["", *_owners(owners)]
    if outcome.refused:
        found += ["", *refusals("rows of the files", outcome.refused, outcome.examples)]
    return found


def truth_lines(judged: Judged) -> list[str]:
    """Return how good the alerts were, as lines of printable text.

    Args:
        judged: What holding them against the churns gave.
    """
    every = judged.overall
    found = [
        f"Held against {counted(every.churns, 'churn')} that could be caught; a warning is right "
        f"if its account leaves within {judged.horizon_days} days",
        *_left_out(judged),
    ]
    header = ("RULE", "RIGHT", "OF", "PRECISION (95 %)", "CAUGHT", "RECALL (95 %)")
    rows = [_score(one, one.rule) for one in judged.rules if one.verdicts]
    rows.append(_score(every, "all that notify"))
    found += ["", *aligned([(*header, "OF THE MONEY", "LEAD DAYS", "LATE"), *rows])]
    found += ["", *_small_print(judged)]
    if judged.refused:
        found += ["", *refusals("rows of the truth", judged.refused, judged.examples)]
    return found


def refusals(what: str, refused: Counter[str], examples: Iterable[str]) -> list[str]:
    """Return what was refused, by reason, and examples."""
    number = refused.total()
    found = [f"{what}: {number:,} refused, {_counts(refused)}"]
    shown = [f"  {plain(example, 300)}" for example in examples]
    found += shown
    if number > len(shown):
        found.append(f"  … and {number - len(shown):,} more")
    return found


def _played(outcome: Outcome) -> list[str]:
    months = figures.account_months(outcome)
    if not outcome.account_days:
        return [
            f"{counted(outcome.accounts, 'account')}, but no day was judged: a history is learned "
            "for 84 to 112 days first, and these are shorter"
        ]
    found = [
        f"{counted(outcome.accounts, 'account')}, {counted(outcome.account_days, 'account-day')} "
        f"judged ({months:,.0f} account-months, without warm-up), "
        f"{days(outcome.first, outcome.last)}, in {outcome.seconds:,.0f} s"
    ]
    if outcome.interrupted:
        found.append("interrupted: what comes after the last of these days was not played")
    return found


def _rules(outcome: Outcome) -> list[str]:
    header = ("RULE", "ALERTS", "PER 100 ACCOUNT-MONTHS", "ACCOUNTS", "MEDIAN DAYS", "STILL OPEN")
    rules = figures.per_rule(outcome)
    rows = [_rule(one) for one in rules if one.alerts]
    every = figures.overall(outcome)
    rows.append(_rule(every._replace(rule="all that notify")))
    found = aligned([(*header, "CLEARED"), *rows])
    if quiet := [plain(one.rule) for one in rules if not one.alerts]:
        found.append(f"never fired: {', '.join(quiet)}")
    if any(one.shadow and one.alerts for one in rules):
        found.append("shadow: measured, notifies nobody, and is not in the sum")
    if every.open:
        found.append("median days: until half are cleared, those still open counted as long as")
        found[-1] += " they are open; – where fewer than half are cleared"
    return found


def _rule(one: RuleFigures) -> tuple[str, ...]:
    return (
        plain(one.rule) + (" (shadow)" if one.shadow else ""),
        count(one.alerts),
        figure(one.per_100),
        count(one.accounts),
        "–" if one.days_open is None else str(one.days_open),
        count(one.open),
        _reasons(one.reasons),
    )


def _reasons(reasons: Counter[str]) -> str:
    """Return the share of each reason among what was cleared."""
    order = [*_REASONS, *sorted(reasons.keys() - set(_REASONS))]
    known = [(reason, reasons[reason]) for reason in order if reasons[reason]]
    total = reasons.total()
    return ", ".join(f"{plain(one).replace('_', ' ')} {share(n / total)}" for one, n in known)


def _owners(owners: Sequence[OwnerFigures]) -> list[str]:
    header = ("OWNER", "ALERTS", "ACCOUNTS", "A WEEK", "BUSIEST WEEK", "FROM")
    rows = [
        (
            owner_name(one.owner),
            count(one.alerts),
            count(one.accounts),
            figure(one.mean),
            count(one.most),
            one.busiest.isoformat(),
        )
        for one in owners[:OWNERS_SHOWN]
    ]
    found = aligned([header, *rows])
    if len(owners) > OWNERS_SHOWN:
        found.append(f"… and {counted(len(owners) - OWNERS_SHOWN, 'owner')} with fewer alerts")
    return found


def _left_out(judged: Judged) -> list[str]:
    if not judged.left_out:
        return []
    total = judged.left_out.total()
    return [f"{counted(total, 'churn')} could not be caught: {_counts(judged.left_out)}"]


def _counts(reasons: Counter[str]) -> str:
    order = sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    return listed([f"{number:,} {reason.replace('_', ' ')}" for reason, number in order])


def _score(one: Score, name: str) -> tuple[str, ...]:
    return (
        plain(name),
        count(one.verdicts["right"]),
        count(one.judged),
        share(one.precision) + interval(one.precision_interval),
        count(len(one.caught)),
        share(one.recall) + interval(one.recall_interval),
        share(one.money_recall),
        lead(one.lead),
        count(one.late),
    )


def _small_print(judged: Judged) -> list[str]:
    every = judged.overall
    newest = judged.until - timedelta(days=judged.horizon_days)
    found = [
        "lead days: median (quartiles) from the first warning to the churn; late: under 30 days",
        "all that notify: alerts of an account less than 28 days apart are one warning; "
        f"{every.verdicts['too_recent']:,} of them came after {newest} and cannot be judged yet, "
        f"{every.verdicts['after']:,} came after the account had left",
    ]
    if judged.partly:
        found.append(
            f"before {counted(judged.partly, 'churn')} fewer than {judged.horizon_days} days "
            "were judged: recall is a little better than it looks"
        )
    if judged.chance is not None:
        found.append(f"warnings at random would be right in about {share(judged.chance)}")
    if every.money is not None:
        caught, lost = every.money_caught or 0, every.money
        found.append(
            f"warned about {money(caught, judged.currency)} of {money(lost, judged.currency)} lost"
            + ("" if judged.currency else ", amounts added up as the file has them")
        )
    return found
