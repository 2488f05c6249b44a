"""`ebbwatch rules propose`: other limits for the yearly review, with a backtest; changes none."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.config import RuleSetContent
from services.backtest.horizon import HORIZON_DAYS
from services.commands import rule_files
from services.commands.backtest_options import (
    Accounts,
    Events,
    RulesPath,
    Tickets,
    TruthPath,
    Usage,
    chosen,
)
from services.commands.progress import plain
from services.commands.terminal import fail, printable

if TYPE_CHECKING:
    from services.backtest.churns import Truth
    from services.backtest.outcome import Outcome
    from services.backtest.run import Outside
    from services.backtest.tuning import Tuned
    from services.ingest.history.files import HistoryFile
    from services.ingest.history.importer import Progress


def propose(
    truth: TruthPath,
    usage: Usage = None,
    accounts: Accounts = None,
    tickets: Tickets = None,
    events: Events = None,
    rules: RulesPath = None,
    rule: Annotated[list[str] | None, typer.Option(help="Only this rule; several times.")] = None,
    out: Annotated[Path, typer.Option(help="Takes the proposal.")] = Path("proposal.toml"),
    horizon: Annotated[
        int, typer.Option(min=1, max=1000, help="A churn counts so many days after an alert.")
    ] = HORIZON_DAYS,
) -> None:
    """Try other limits of the statistical rules on history, and propose what is better.

    Beside the limits themselves it tries what history says of silence: per segment after how many
    days a customer without a rhythm is silent for too long, and how likely rare ones still come.
    Limits are chosen on some accounts and counted on others. What comes of it is a file to read
    and to apply by hand, with its backtest: nothing that is in force is changed.
    """
    from services.backtest import run, truth_file
    from services.backtest.crew import WorkerFailed
    from services.ingest.history.files import HistoryError

    if out.exists():
        fail(f"{out} exists already; name another file with --out")
    content = rule_files.named(rules).content
    try:
        files = chosen(accounts=accounts, usage=usage, tickets=tickets, events=events)
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
    except (HistoryError, WorkerFailed) as error:
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


def _write(out: Path, found: "Sequence[Tuned]", made_from: Sequence[Path]) -> None:
    from services.backtest.proposal_text import toml

    if all(one.proposed is None for one in found):
        typer.echo("\nnothing is proposed: the limits stay as they are")
        return
    with out.open("x", encoding="utf-8") as file:
        file.write(toml(found, [one.name for one in made_from], datetime.now(UTC)))
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
    from services.backtest.fitting import asked, fitted
    from services.backtest.grid import candidates, changed, rounds
    from services.backtest.proposal_text import learned, lines
    from services.backtest.tuning import tune

    if not candidates(content, only):
        fail(f"no statistical rule is on among {', '.join(only) or 'the rules in force'}")
    tell("a backtest of the rules in force")
    metrics = tuple(sorted({metric for metric, _ in asked(content).values()}))
    (now,) = _play(files, [content], replace(outside, pasts=metrics))
    fits = fitted(content, now.pasts)
    tried = candidates(content, only, fits)
    variants = [changed(content, one) for one in rounds(tried)]
    for line in learned(fits):
        tell(line)
    tell(f"{len(variants)} backtests with other limits")
    found = tune(tried, now, _play(files, variants, outside), truth, horizon_days)
    for line in lines(found):
        tell(line)
    changes = {rule: one.proposed for one in found if one.proposed for rule in one.rules}
    other = changed(content, changes)
    if not changes or _is_better(files, content, other, truth, outside, horizon_days, tell):
        return found
    tell("All rules together are no better by it.")
    return [one._replace(proposed=None) for one in found]


def _play(
    files: "Sequence[HistoryFile]", contents: Sequence[RuleSetContent], outside: "Outside"
) -> "list[Outcome]":
    from services.backtest.run import backtest

    outcomes = backtest(files, contents, outside)
    if len(outcomes) < len(contents) or any(one.interrupted for one in outcomes):
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
    from services.backtest.truth import judge
    from services.backtest.tuning import worth

    a, b = _play(files, [content, other], outside)
    judged = judge(a, truth, horizon_days), judge(b, truth, horizon_days)
    tell("")
    for line in compared(compare(a, b, ("in force", "proposed")), judged):
        tell(line)
    return worth(judged[1]).score > worth(judged[0]).score
