"""`ebbwatch backtest`: what rules would have said of past events, from files alone."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from services.backtest.horizon import HORIZON_DAYS
from services.commands import backtest_results, rule_files
from services.commands.backtest_options import (
    Accounts,
    Events,
    RulesPath,
    Tickets,
    TruthPathOrNone,
    Usage,
    chosen,
)
from services.commands.backtest_results import Played, Wanted
from services.commands.progress import shown
from services.commands.rule_files import SHIPPED, Rules
from services.commands.terminal import fail, printable

if TYPE_CHECKING:
    from services.backtest.outcome import Outcome
    from services.ingest.history.files import HistoryFile

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, that of shells: 128 and the number of the signal."""

MOST_WORKERS: Final = 8

Out = Annotated[Path | None, typer.Option(help="Write the alerts here, as CSV.")]
ReportPath = Annotated[
    Path | None, typer.Option(help="Write a report with charts here, as HTML; else beside --out.")
]
Horizon = Annotated[
    int, typer.Option(min=1, max=3650, help="A warning is about so many days ahead.")
]
Compare = Annotated[
    tuple[str, str] | None,
    typer.Option(
        metavar="RULES_A RULES_B",
        help=f"Play both; each as --rules has it, or `{SHIPPED}`. What is written is of B.",
    ),
]
Shadow = Annotated[bool, typer.Option("--shadow", help="Shadow alerts are in the CSV too.")]
Workers = Annotated[int, typer.Option(min=0, max=64, help="Processes; 0 for one for each core.")]
Json = Annotated[bool, typer.Option("--json", help="The figures as one line of JSON.")]


def backtest(
    usage: Usage = None,
    accounts: Accounts = None,
    tickets: Tickets = None,
    events: Events = None,
    rules: RulesPath = None,
    out: Out = None,
    report: ReportPath = None,
    truth: TruthPathOrNone = None,
    horizon: Horizon = HORIZON_DAYS,
    compare: Compare = None,
    shadow: Shadow = False,
    workers: Workers = 0,
    json: Json = False,
) -> None:
    """Play past events from files through rules, without Kafka, and say what they had raised.

    Each option for files may be given several times; CSV, also gzipped, or Parquet. Days are judged
    until the files end, of an account with `start` and `days` until it ends, if that is sooner.
    Ctrl-C ends early and keeps what was played.
    """
    from services.backtest import truth_file
    from services.backtest.crew import WorkerFailed
    from services.ingest.history.files import HistoryError

    if compare is not None and rules is not None:
        fail("--compare names both rule sets: leave --rules out")
    sets = [rule_files.named(one) for one in compare or (rules,)]
    wanted = Wanted(out, report or _beside(out), shadow, json)
    read = [path for given in (usage, accounts, tickets, events) for path in given or ()]
    read += [path for path in (rules, truth) if path is not None]
    backtest_results.check(wanted, [*read, *map(Path, compare or ())])
    try:
        files = chosen(accounts=accounts, usage=usage, tickets=tickets, events=events)
        known = None if truth is None else truth_file.read(truth)
        outcomes = _play(files, sets, workers, quiet=json)
    except (HistoryError, WorkerFailed) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted before anything was played")
    played = Played(outcomes, sets, files)
    whole = backtest_results.tell(played, known, horizon, wanted)
    if outcomes[-1].interrupted:
        typer.echo(_interrupted(played), err=True)
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(0 if whole else 1)


def _beside(out: Path | None) -> Path | None:
    """Return where the report goes that nobody named: nowhere but beside a CSV file."""
    return out.with_suffix(".html") if out is not None and out.suffix == ".csv" else None


def _play(
    files: "Sequence[HistoryFile]", sets: Sequence[Rules], workers: int, *, quiet: bool
) -> "list[Outcome]":
    from services.backtest.run import Outside
    from services.backtest.run import backtest as play

    def tell(line: str) -> None:
        typer.echo(printable(line), err=True)

    for file in files:
        ignored = [name for name in file.ignored() if name.strip().lower() != "days"]
        if ignored and not quiet:
            tell(f"{file.path}: columns that are not read: {', '.join(ignored)}")
    with shown(tell) as show, _interruptions() as stopped:
        outside = Outside(
            now=datetime.now(UTC),
            clock=time.monotonic,
            workers=workers or min(len(os.sched_getaffinity(0)), MOST_WORKERS),
            tell=(lambda _: None) if quiet else tell,
            show=(lambda _: None) if quiet else show,
            stopped=stopped,
        )
        return play(files, [one.content for one in sets], outside)


@contextmanager
def _interruptions() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C be asked for, and the second end at once."""
    asked = False

    def note(_: int, __: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        typer.echo("ending after this day; once more ends at once", err=True)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted(played: Played) -> str:
    if len(played.outcomes) == len(played.sets):
        return "interrupted: all of the above is of the days until then"
    left = played.sets[len(played.outcomes)].name
    return (
        f"interrupted: all of the above is of {printable(played.rules.name)}, of the days until "
        f"then; {printable(left)}: nothing was played of it, and nothing is compared"
    )
