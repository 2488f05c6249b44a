"""A backtest as one HTML file that can be sent to anybody: it asks for nothing and runs nothing.

The same outcome gives the same bytes: nothing of this machine and no clock stands in the file.
"""

from functools import cache
from typing import Any, Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from services import wording
from services.backtest import comparing, figures, report_charts, words
from services.backtest.comparing import Comparison
from services.backtest.judged import Judged
from services.backtest.outcome import Outcome

ACCOUNTS_SHOWN: Final = 100
ALERTS_SHOWN: Final = 12
"""So many alerts of one account are told in full."""

OWNERS_SHOWN: Final = 25
CHURNS_SHOWN: Final = 50


class Made(NamedTuple):
    """How a report was made, for who wants to make it again.

    Attributes:
        command: As it was typed.
        rules: What the rules are, such as `the shipped rules`.
        digest: Of the rule set, hex.
        files: Names of the files that were read.
        version: Of Ebbwatch.
    """

    command: str = ""
    rules: str = ""
    digest: str = ""
    files: tuple[str, ...] = ()
    version: str = ""


UNTOLD: Final = Made()


class Compared(NamedTuple):
    """What a report that compares shows besides: the rules as they are are A.

    Attributes:
        comparison: Whose B is what the report is about.
        judged: How good A was, where it is known who left.
    """

    comparison: Comparison
    judged: Judged | None = None


def html(
    outcome: Outcome,
    judged: Judged | None = None,
    made: Made = UNTOLD,
    compared: Compared | None = None,
) -> str:
    """Return a report.

    Args:
        outcome: What it is about.
        judged: How good the alerts were, where it is known who left.
        made: How it was made.
        compared: What it is compared with, if it is.
    """
    when = report_charts.periods(outcome)
    told = figures.notifying(outcome)
    owners = report_charts.by_owner(outcome, when)
    return (
        _environment()
        .get_template("report.html")
        .render(
            outcome=outcome,
            made=made,
            when=when,
            every=figures.overall(outcome),
            rules=figures.per_rule(outcome),
            titles={rule: now.title for rule, now in outcome.rules.items()},
            months=figures.account_months(outcome),
            at_risk=figures.at_risk(outcome),
            by_rule=report_charts.by_rule(outcome, when),
            in_shadow=report_charts.by_rule(outcome, when, shadow=True),
            owners=owners,
            owners_shown=OWNERS_SHOWN,
            weeks=len(figures.weeks(outcome)),
            lives=report_charts.lives(outcome, told),
            incidents=figures.incidents(outcome),
            accounts=figures.accounts(outcome),
            accounts_shown=ACCOUNTS_SHOWN,
            alerts_shown=ALERTS_SHOWN,
            churns_shown=CHURNS_SHOWN,
            judged=judged,
            leads=judged and report_charts.leads(judged),
            **_comparison(compared),
        )
    )


def _comparison(compared: Compared | None) -> dict[str, Any]:
    if compared is None:
        return {"comparison": None}
    one = compared.comparison
    return {
        "comparison": one,
        "judged_a": compared.judged,
        "every_a": figures.overall(one.a),
        "change": comparing.overall(one),
        "changes": comparing.per_rule(one),
        "changed_together": comparing.about_all(one),
        "changed_accounts": comparing.per_account(one),
    }


@cache
def _environment() -> Environment:
    env = Environment(
        loader=PackageLoader("services.backtest"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    env.globals |= {"words": words, "days_open": figures.days_open}
    env.filters |= {
        "day": wording.day,
        "capital": wording.capital,
        "counted": wording.counted,
        "plain": words.plain,
        "count": words.count,
        "figure": words.figure,
        "share": words.share,
        "short_day": words.short_day,
    }
    return env


def _harmless(value: object) -> object:
    """Let no text that others wrote hold a character that is none to be read."""
    return words.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
