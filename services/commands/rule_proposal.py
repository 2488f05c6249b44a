"""`ebbwatch rules propose`: other limits for the yearly review, with a backtest; changes none."""

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from schemas.config import RuleSetContent
from services.commands.config import formats
from services.commands.progress import plain
from services.commands.terminal import fail, printable

if TYPE_CHECKING:
    from services.backtest.outcome import Outcome
    from services.backtest.run import Outside
    from services.backtest.truth import Truth
    from services.backtest.tuning import Held, Tuned
    from services.ingest.history.files import HistoryFile
    from services.ingest.history.importer import Progress

DASH: Final = "–"
HORIZON_DAYS: Final = 180
"""As `services.backtest.truth.HORIZON_DAYS`."""

Files = Annotated[list[Path] | None, typer.Option(exists=True)]


def propose(
    truth: Annotated[
        Path, typer.Option(help="Customers that left: account_id, date.", exists=True)
    ],
    usage: Files = None,
    accounts: Files = None,
    tickets: Files = None,
    events: Files = None,
    rules: Annotated[
        Path | None,
        typer.Option(help="The company's files; else the shipped rules.", exists=True),
    ] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Only this rule; several times.")] = None,
    out: Annotated[Path, typer.Option(help="Takes the proposal.")] = Path("proposal.toml"),
    horizon: Annotated[
        int, typer.Option(min=1, max=1000, help="A churn counts so many days after an alert.")
    ] = HORIZON_DAYS,
) -> None:
    """Try other limits of the statistical rules on history, and propose what is better.

    Limits are chosen on some accounts and counted on others. What comes of it is a file to read
    and to apply by hand, with its backtest: nothing that is in force is changed.
    """
    from services.backtest import run, truth_file
    from services.ingest.history.files import HistoryError

    if out.exists():
        fail(f"{out} exists already; name another file with --out")
    given = {"usage": usage, "accounts": accounts, "tickets": tickets, "events": events}
    content = _content(rules)
    try:
        files = run.look_at({kind: paths for kind, paths in given.items() if paths})  # type: ignore[misc]
        known = truth_file.read(truth)
        outside = run.Outside(
            now=datetime.now(UTC),
            clock=time.monotonic,
            workers=len(os.sched_getaffinity(0)),
            tell=_tell,
            show=_Rounds(_tell),
            stopped=lambda: False,
        )
        found = proposed(files, content, known, outside, horizon, rule or (), _tell)
    except HistoryError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted: nothing is proposed")
    _write(out, found, [file.path for file in files])


class _Rounds:
    """Shows how far each of several backtests is: one begins where rows are counted anew.

    Args:
        tell: Takes a line.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._rows = 0
        self._show = plain(tell, time.monotonic)

    def __call__(self, progress: "Progress") -> None:
        """Show one of them."""
        if progress.rows < self._rows:
            self._show = plain(self._tell, time.monotonic)
        self._rows = progress.rows
        self._show(progress)


def _tell(line: str) -> None:
    typer.echo(printable(line))


def _content(folder: Path | None) -> RuleSetContent:
    from services.company import read_company, shipped

    if folder is None:
        return shipped().content
    company = read_company(folder, formats())
    if isinstance(company, list):
        fail("\n".join(map(str, company)))
    return company.content


def _write(out: Path, found: "Sequence[Tuned]", made_from: Sequence[Path]) -> None:
    if all(one.proposed is None for one in found):
        typer.echo("\nnothing is proposed: the limits stay as they are")
        return
    with out.open("x", encoding="utf-8") as file:
        file.write(toml(found, made_from, datetime.now(UTC)))
    typer.echo(f"\nwritten to {out}; nothing is in force of it")


def proposed(
    files: "Sequence[HistoryFile]",
    content: RuleSetContent,
    truth: "Truth",
    outside: "Outside",
    horizon_days: int,
    only: Sequence[str],
    tell: Callable[[str], None],
) -> "list[Tuned]":
    """Try other limits on history, and print what they would be worth and change.

    Args:
        files: History, as `services.backtest.run.look_at` returned it.
        content: The rule set in force.
        truth: Who left.
        outside: The rest of the world.
        horizon_days: A churn counts so many days after an alert.
        only: Rules to look at; all of them if none is named.
        tell: Takes a line.

    Raises:
        services.ingest.history.files.HistoryError: The files are refused as a whole.
    """
    from services.backtest.run import backtest
    from services.backtest.tuning import candidates, changed, rounds, tune

    tried = candidates(content, only)
    if not tried:
        fail(f"no statistical rule is on among {', '.join(only) or 'the rules in force'}")
    variants = [changed(content, one) for one in rounds(tried)]
    tell(
        f"{len(variants) + 1} backtests: the rules in force, and {len(variants)} with other limits"
    )
    now, *others = _all(backtest(files, [content, *variants], outside), len(variants) + 1)
    found = tune(tried, now, others, truth, horizon_days)
    for line in lines(found):
        tell(line)
    changes = {rule: one.proposed for one in found if one.proposed for rule in one.rules}
    if not changes:
        return found
    other = changed(content, changes)
    if _is_better(files, content, other, truth, outside, horizon_days, tell):
        return found
    tell("All rules together are no better by it.")
    return [one._replace(proposed=None) for one in found]


def _all(outcomes: "list[Outcome]", wanted: int) -> "list[Outcome]":
    if len(outcomes) < wanted or any(one.interrupted for one in outcomes):
        fail("interrupted: nothing is proposed")
    return outcomes


def _is_better(
    files: "Sequence[HistoryFile]",
    content: RuleSetContent,
    other: RuleSetContent,
    truth: "Truth",
    outside: "Outside",
    horizon_days: int,
    tell: Callable[[str], None],
) -> bool:
    """Play the proposal as a whole: what was tried was tried in rounds, rule by rule."""
    from services.backtest.comparing import compare
    from services.backtest.comparison_text import lines as compared
    from services.backtest.run import backtest
    from services.backtest.truth import judge
    from services.backtest.tuning import worth

    a, b = _all(backtest(files, [content, other], outside), 2)
    judged = judge(a, truth, horizon_days), judge(b, truth, horizon_days)
    tell("")
    for line in compared(compare(a, b, ("in force", "proposed")), judged):
        tell(line)
    return worth(judged[1]).score > worth(judged[0]).score


def lines(found: "Sequence[Tuned]") -> list[str]:
    """Return what came of each rule, as lines for a person.

    Args:
        found: By rule.
    """
    from services.backtest.columns import aligned

    header = ("RULE", "NOW", "PROPOSED", "PRECISION", "RECALL", "HELD OUT: NOW", "CHOSEN", "WHY")
    heard = [one for one in found if one.whole_now.judged or one.whole_chosen.judged]
    silent = [rule for one in found if one not in heard for rule in one.rules]
    told = [f"Nothing to judge of {', '.join(silent)}."] if silent else []
    return ["", *aligned([header, *map(_row, heard)]), *told]


def _row(one: "Tuned") -> tuple[str, ...]:
    return (
        ", ".join(one.rules),
        _params(one.now),
        _params(one.proposed) if one.proposed else "as now",
        f"{_share(one.whole_now.precision)} → {_share(one.whole_chosen.precision)}",
        f"{_share(one.whole_now.recall)} → {_share(one.whole_chosen.recall)}",
        _score(one.held_now),
        _score(one.held_chosen),
        one.why,
    )


def _params(params: object) -> str:
    assert isinstance(params, dict)
    return ", ".join(f"{name} {value:g}" for name, value in params.items())


def _share(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.0f} %"


def _score(held: "Held") -> str:
    return f"{held.score:.3f} ({held.right} right of {held.judged}, {held.caught} of {held.churns})"


def toml(found: "Sequence[Tuned]", made_from: Sequence[Path], now: datetime) -> str:
    """Return a proposal as the overrides that would put it in force.

    Args:
        found: By rule; those without another proposal are left out.
        made_from: The files.
        now: When it was made, aware.
    """
    told = [
        f"# A proposal of {now:%Y-%m-%d}, made from {', '.join(one.name for one in made_from)}.",
        "# Nothing is in force of it: put what you agree with into rules.toml, look at it with",
        "# `ebbwatch config check`, and apply it with `ebbwatch config apply`.",
    ]
    for one in found:
        if one.proposed is None:
            continue
        params = ", ".join(f"{name} = {value!r}" for name, value in one.proposed.items())
        told += [
            "",
            f"# Score on accounts held out: {one.held_now.score:.3f} now, "
            f"{one.held_chosen.score:.3f} as chosen; {one.why}.",
        ]
        for rule in one.rules:
            told += ["[[override]]", f'rule = "{rule}"', f"params = {{ {params} }}"]
    return "\n".join(told) + "\n"
