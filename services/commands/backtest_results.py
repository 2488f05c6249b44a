"""What `ebbwatch backtest` does with what it found: files are written, figures shown."""

import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from services.commands.rule_files import Rules
from services.commands.terminal import fail, printable, show_json
from services.runtime import version
from services.wording import counted

if TYPE_CHECKING:
    from services.backtest.churns import Truth
    from services.backtest.comparing import Comparison
    from services.backtest.judged import Judged
    from services.backtest.outcome import Outcome
    from services.ingest.history.files import HistoryFile


class Wanted(NamedTuple):
    """What is to be written, and shown."""

    out: Path | None
    report: Path | None
    shadow: bool
    json: bool


class Played(NamedTuple):
    """What was played.

    Attributes:
        outcomes: What was found, in the order of the rule sets; after an interruption the later
            ones are missing.
        sets: All rule sets that were to be played, one or two.
        files: The files.
    """

    outcomes: "Sequence[Outcome]"
    sets: Sequence[Rules]
    files: "Sequence[HistoryFile]"

    @property
    def outcome(self) -> "Outcome":
        """What is written: what the last one that was played found."""
        return self.outcomes[-1]

    @property
    def rules(self) -> Rules:
        """The rule set that found it."""
        return self.sets[len(self.outcomes) - 1]


class _Compared(NamedTuple):
    """How good each was, where it is known who left; and both side by side, where two were."""

    judged: "list[Judged]"
    comparison: "Comparison | None"


def check(wanted: Wanted, read: Iterable[Path]) -> None:
    """End before the work where a file could not be written after it, or is one that is read.

    Args:
        wanted: What is to be written.
        read: The files that are read.
    """
    from services.backtest.replacing import refusal

    taken = {path.resolve(): "it is read" for path in read}
    for path in (wanted.out, wanted.report):
        if path is None:
            continue
        why = taken.get(path.resolve()) or refusal(path)
        if why is not None:
            fail(f"{path} cannot be written: {why}")
        taken[path.resolve()] = "--out names the same file"


def tell(played: Played, known: "Truth | None", horizon: int, wanted: Wanted) -> bool:
    """Write what was asked for, and show what was found.

    Args:
        played: What was played.
        known: Who left, if that is known.
        horizon: A warning is about so many days ahead, >= 1.
        wanted: What is to be written, and shown.

    Returns:
        Whether all of it was written.
    """
    out, report = wanted.out, wanted.report
    whole = out is None or _written(out, lambda path: _alerts(path, played, wanted.shadow))
    found = _compared(played, known, horizon)
    if report is not None:
        whole &= _written(report, lambda path: _report(path, played, found))
    _show(played.outcome, found, wanted.json)
    return whole


def _compared(played: Played, known: "Truth | None", horizon: int) -> _Compared:
    from services.backtest.comparing import compare
    from services.backtest.truth import judge

    outcomes = played.outcomes
    judged = [judge(one, known, horizon, one.known) for one in outcomes if known is not None]
    if len(outcomes) < 2:
        return _Compared(judged, None)
    names = (played.sets[0].name, played.sets[1].name)
    return _Compared(judged, compare(outcomes[0], outcomes[1], names))


def _written(path: Path, write: Callable[[Path], str]) -> bool:
    """Write one file and say so; what cannot be written must not cost the others."""
    try:
        told = write(path)
    except OSError as error:
        why = error.strerror or error
        typer.echo(printable(f"{path} was not written: {why}"), err=True)
        return False
    typer.echo(f"{printable(told)} in {printable(str(path))}", err=True)
    return True


def _alerts(path: Path, played: Played, shadow: bool) -> str:
    from services.backtest.alert_file import write

    return f"{counted(write(path, played.outcome.rows, shadow=shadow), 'alert')}{_whose(played)}"


def _report(path: Path, played: Played, found: _Compared) -> str:
    from services.backtest.replacing import replacing
    from services.backtest.report import Compared, Made, html

    judged, comparison = found
    made = Made(
        command=shlex.join(["ebbwatch", *sys.argv[1:]]),
        rules=played.rules.name,
        digest=played.rules.digest,
        files=tuple(file.path.name for file in played.files),
        version=version(),
    )
    compared = None
    if comparison is not None:
        compared = Compared(comparison, judged[0] if judged else None)
    text = html(played.outcome, judged[-1] if judged else None, made, compared)
    with replacing(path) as out:
        out.write(text)
    return f"a report{_whose(played)}"


def _whose(played: Played) -> str:
    """Name the rules that a file is of where there are two."""
    return f" of {played.rules.name}" if len(played.sets) > 1 else ""


def _show(outcome: "Outcome", found: _Compared, json: bool) -> None:
    from services.backtest import comparison_text, table
    from services.backtest.record import record

    judged, comparison = found
    if json:
        show_json(record(outcome, judged[-1] if judged else None, comparison))
        return
    if comparison is not None:
        both = (judged[0], judged[1]) if len(judged) > 1 else None
        lines = comparison_text.lines(comparison, both)
    else:
        lines = table.lines(outcome) + (table.truth_lines(judged[-1]) if judged else [])
    for line in lines:
        typer.echo(line)
