"""What a backtest found as plain JSON, for `--json` and for who compares runs."""

from typing import Any

from services.backtest import comparing, figures
from services.backtest.comparing import Comparison, RuleChange
from services.backtest.judged import Judged, Score
from services.backtest.outcome import Outcome


def record(
    outcome: Outcome, judged: Judged | None = None, comparison: Comparison | None = None
) -> dict[str, Any]:
    """Return the figures of a backtest as plain JSON, without the alerts: those are in the CSV.

    Args:
        outcome: What was found.
        judged: How good the alerts were, where it is known who left.
        comparison: What it is compared with, if it is; `outcome` is its B.
    """
    told: dict[str, Any] = {
        "first": outcome.first.isoformat(),
        "last": outcome.last.isoformat(),
        "accounts": outcome.accounts,
        "account_days": outcome.account_days,
        "interrupted": outcome.interrupted,
        "seconds": round(outcome.seconds, 1),
        "all": _rule(figures.overall(outcome)),
        "rules": {one.rule: _rule(one) for one in figures.per_rule(outcome)},
        "owners": {one.owner: _owner(one) for one in figures.owners(outcome)},
        "at_risk": [one._asdict() for one in figures.at_risk(outcome)],
        "refused": dict(outcome.refused),
        "examples": outcome.examples,
    }
    if judged is not None:
        told["truth"] = truth(judged)
    if comparison is not None:
        told["comparison"] = {
            "names": list(comparison.names),
            "all": _change(comparing.overall(comparison)),
            "rules": {one.rule: _change(one) for one in comparing.per_rule(comparison)},
        }
    return told


def truth(judged: Judged) -> dict[str, Any]:
    """Return how good alerts were, as plain JSON; shares in 0..1, amounts in minor units."""
    return {
        "horizon_days": judged.horizon_days,
        "until": judged.until.isoformat(),
        "all": _score(judged.overall),
        "rules": {one.rule: _score(one) for one in judged.rules},
        "missed": [
            {"account": one.account, "date": one.on.isoformat(), "amount": one.amount}
            for one in judged.missed
        ],
        "left_out": dict(judged.left_out),
        "partly": judged.partly,
        "chance": judged.chance,
        "currency": judged.currency,
        "refused": dict(judged.refused),
        "examples": judged.examples,
    }


def _rule(one: figures.RuleFigures) -> dict[str, Any]:
    told = one._asdict()
    del told["rule"]
    return told | {"reasons": dict(one.reasons)}


def _owner(one: figures.OwnerFigures) -> dict[str, Any]:
    told = one._asdict()
    del told["owner"]
    return told | {"busiest": one.busiest.isoformat()}


def _score(one: Score) -> dict[str, Any]:
    return {
        "verdicts": dict(one.verdicts),
        "precision": one.precision,
        "precision_interval": one.precision_interval,
        "churns": one.churns,
        "caught": len(one.caught),
        "recall": one.recall,
        "recall_interval": one.recall_interval,
        "money": one.money,
        "money_caught": one.money_caught,
        "money_recall": one.money_recall,
        "lead_days": one.lead,
        "late": one.late,
    }


def _change(one: RuleChange) -> dict[str, Any]:
    told = one._asdict()
    del told["rule"]
    return told
