"""`ebbwatch backtest`: what rules would have said of past events, from files alone."""

import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec
import typer

from services.commands.config import formats
from services.commands.progress import shown
from services.commands.terminal import fail, printable, show_json
from services.runtime import version
from services.wording import counted

if TYPE_CHECKING:
    from schemas.config import RuleSetContent
    from services.backtest.comparing import Comparison
    from services.backtest.judged import Judged
    from services.backtest.outcome import Outcome
    from services.backtest.truth import Truth
    from services.ingest.history.files import HistoryFile

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, that of shells: 128 and the number of the signal."""

SHIPPED: Final = "shipped"
MOST_WORKERS: Final = 8

_FILE: Final = {"exists": True, "dir_okay": False, "readable": True}
Files = list[Path]


class Rules(NamedTuple):
    """A rule set, and what it is called."""

    name: str
    content: "RuleSetContent"

    @property
    def digest(self) -> str:
        """SHA-256 of its content, hex."""
        return sha256(msgspec.json.encode(self.content)).hexdigest()


class Wanted(NamedTuple):
    """What is to be written, and shown."""

    out: Path | None
    report: Path | None
    shadow: bool
    json: bool


def backtest(
    usage: Annotated[
        Files, typer.Option(help="account_id, date, count; metric, person, feature.", **_FILE)
    ] = [],  # noqa: B006
    accounts: Annotated[
        Files,
        typer.Option(help="account_id; segment, country, owner, arr, start, days.", **_FILE),
    ] = [],  # noqa: B006
    tickets: Annotated[
        Files, typer.Option(help="account_id, date; count, or ticket, priority.", **_FILE)
    ] = [],  # noqa: B006
    events: Annotated[Files, typer.Option(help="NDJSON of native events.", **_FILE)] = [],  # noqa: B006
    rules: Annotated[
        Path | None,
        typer.Option(
            help="rules.toml, or a folder of company files; else the shipped rules.", exists=True
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the alerts here, as CSV.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a report here, as HTML.")] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="Who left: account_id, date; amount, in minor units.", **_FILE),
    ] = None,
    horizon: Annotated[
        int, typer.Option(min=1, max=3650, help="A warning is about so many days ahead.")
    ] = 180,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="RULES_A RULES_B",
            help=f"Play both; each as --rules has it, or `{SHIPPED}`. What is written is of B.",
        ),
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Shadow alerts are in the CSV too.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=0, max=64, help="Processes; 0 for one for each core.")
    ] = 0,
    json: Annotated[bool, typer.Option("--json", help="The figures as one line of JSON.")] = False,
) -> None:
    """Play past events from files through rules, without Kafka, and say what they had raised.

    Each option for files may be given several times; CSV, also gzipped, or Parquet. With `start`
    and `days` an account is judged until its last day; else until the last day of the files.
    Ctrl-C ends early and keeps what was played.
    """
    from services.backtest.crew import WorkerFailed
    from services.backtest.run import look_at
    from services.ingest.history.files import HistoryError

    if compare is not None and rules is not None:
        fail("--compare names both rule sets: leave --rules out")
    played = [_rules(one) for one in compare or ("" if rules is None else str(rules),)]
    wanted = Wanted(out, report, shadow, json)
    _check_writable(wanted)
    given = {"accounts": accounts, "usage": usage, "tickets": tickets, "events": events}
    try:
        files = look_at(given)  # type: ignore[arg-type]
        known = None if truth is None else _truth(truth)
        outcomes = _play(files, played, workers, quiet=json)
    except (HistoryError, WorkerFailed) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted before anything was played")
    _tell(outcomes, played, known, horizon, wanted, files)
    if outcomes[-1].interrupted:
        typer.echo("interrupted: all of the above is of the days until then", err=True)
        raise typer.Exit(INTERRUPTED)


def _rules(named: str) -> Rules:
    """Return the rules of a file or a folder; the shipped ones where none is named."""
    from services.company import read_company, shipped

    if named in ("", SHIPPED):
        return Rules("the shipped rules", shipped().content)
    path = Path(named)
    if not path.exists():
        fail(f"{named} does not exist: name a rules.toml, a folder, or `{SHIPPED}`")
    with tempfile.TemporaryDirectory() as alone:
        folder = path
        if path.is_file():
            folder = Path(alone)
            (folder / "rules.toml").write_bytes(path.read_bytes())
        found = read_company(folder, formats())
    if isinstance(found, list):
        fail("\n".join([f"{named} is refused:", *map(str, found)]))
    return Rules(named, found.content)


def _truth(path: Path) -> "Truth":
    from services.backtest.truth import read

    return read(path)


def _check_writable(wanted: Wanted) -> None:
    """Find out before the work that a file could not be written after it."""
    for path in (wanted.out, wanted.report):
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            fail(f"{path} cannot be written: its folder must exist, and it must be no folder")


def _play(
    files: "Sequence[HistoryFile]", played: Sequence[Rules], workers: int, *, quiet: bool
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
        return play(files, [one.content for one in played], outside)


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


def _tell(
    outcomes: "Sequence[Outcome]",
    played: Sequence[Rules],
    known: "Truth | None",
    horizon: int,
    wanted: Wanted,
    files: "Sequence[HistoryFile]",
) -> None:
    """Show what was found, and write what was asked for."""
    from services.backtest import comparing, table
    from services.backtest.alert_file import write
    from services.backtest.truth import judge

    outcome = outcomes[-1]
    judged = [judge(one, known, horizon, one.known) for one in outcomes if known is not None]
    comparison = None
    if len(outcomes) > 1:
        names = (played[0].name, played[1].name)
        comparison = comparing.compare(outcomes[0], outcome, names)
    if wanted.out is not None:
        number = write(wanted.out, outcome.rows, shadow=wanted.shadow)
        typer.echo(f"{counted(number, 'alert')} in {printable(str(wanted.out))}", err=True)
    if wanted.report is not None:
        _report(wanted.report, outcome, judged, comparison, played[len(outcomes) - 1], files)
    if wanted.json:
        from services.backtest.record import record

        show_json(record(outcome, judged[-1] if judged else None, comparison))
    elif comparison is not None:
        _show_comparison(comparison, judged)
    else:
        for line in table.lines(outcome) + (table.truth_lines(judged[-1]) if judged else []):
            typer.echo(line)


def _show_comparison(comparison: "Comparison", judged: "Sequence[Judged]") -> None:
    from services.backtest.comparison_text import lines

    both = (judged[0], judged[1]) if len(judged) > 1 else None
    for line in lines(comparison, both):
        typer.echo(line)


def _report(
    path: Path,
    outcome: "Outcome",
    judged: "Sequence[Judged]",
    comparison: "Comparison | None",
    rules: Rules,
    files: "Sequence[HistoryFile]",
) -> None:
    from services.backtest.report import Compared, Made, html

    made = Made(
        command=shlex.join(["ebbwatch", *sys.argv[1:]]),
        rules=rules.name,
        digest=rules.digest,
        files=tuple(file.path.name for file in files),
        version=version(),
    )
    compared = None
    if comparison is not None:
        compared = Compared(comparison, judged[0] if judged else None)
    found = html(outcome, judged[-1] if judged else None, made, compared)
    path.write_text(found, encoding="utf-8")
    typer.echo(f"a report in {printable(str(path))}", err=True)
