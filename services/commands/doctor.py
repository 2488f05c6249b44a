"""`ebbwatch doctor`: one screen on which everything that is wrong stands with its remedy."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from services.commands.terminal import LOCAL_FOLDER, printable, read_settings, show_json
from services.runtime import ExitCode
from services.settings import ServiceSettings
from services.wording import counted

if TYPE_CHECKING:
    from services.commands.checks.finding import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "FAIL": "red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Look at everything, say what is wrong and what to do; exit 1 if something fails.

    It only reads, joins no group, and ends within ten seconds, whatever is down.
    """
    from services.commands.checkup import examine

    settings = read_settings(ServiceSettings)
    # What a client says of a broker that is away is what the findings say better.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    now = datetime.now(UTC)
    found = asyncio.run(examine(settings, now, LOCAL_FOLDER))
    failed = any(each.verdict == "FAIL" for each in found)
    if as_json:
        show_json({"ok": not failed, "at": now.isoformat(), "checks": plain(found)})
    else:
        for each in found:
            typer.echo(line(each))
        typer.echo(summary(found))
    if failed:
        raise typer.Exit(ExitCode.FAILED)


def plain(found: "Sequence[Finding]") -> list[dict[str, str]]:
    """Return findings as plain JSON."""
    return [each._asdict() for each in found]


def line(each: "Finding") -> str:
    """Return a finding as one line, and its remedy as another; colours only on a terminal."""
    verdict = typer.style(f"{each.verdict:<4}", fg=_COLOURS[each.verdict])
    told = f"{verdict}  {each.name:<10}  {printable(each.text)}"
    return f"{told}\n{'':<18}-> {printable(each.remedy)}" if each.remedy else told


def summary(found: "Sequence[Finding]") -> str:
    """Return how many findings there are of each kind."""
    counts = Counter(each.verdict for each in found)
    if counts["FAIL"] + counts["warn"] == 0:
        return f"all well: {counted(counts['ok'], 'check')}"
    return f"{counts['FAIL']} FAIL, {counts['warn']} warn, {counts['ok']} ok"
