"""`ebbwatch subjects`: what is counted beside accounts: the company, colleagues, persons."""

import asyncio
import json
from typing import Annotated, Any, Final

import typer

from schemas.envelope import ACCOUNT, COLLEAGUE, COMPANY, PERSON
from services.commands.state import load_partition
from services.commands.terminal import fail, printable_lines, read_settings
from services.runtime import ExitCode
from services.settings import ServiceSettings

POLL_SECONDS: Final = 1.0

app = typer.Typer(help="The company, colleagues and persons.", no_args_is_help=True)


@app.command()
def show(
    subject: Annotated[
        str | None, typer.Argument(help="company, colleague:ID or person:ID.")
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Every subject, one a line.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    wait: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to wait for a subject to appear.")
    ] = 0,
) -> None:
    """Show the facts of the company, of a colleague, or whose account a person belongs to.

    They come from the snapshot, which the detector writes every 30 s, and with every alert.
    """
    known = read_settings(ServiceSettings)
    if (subject is None) != everybody:
        fail("name one subject, or give --all", ExitCode.USAGE)
    if subject is not None:
        _check(subject)
    lines = asyncio.run(_found(known, subject, wait))
    for line in lines:
        typer.echo(json.dumps(line) if as_json else printable_lines(for_people(line)))
    if not lines and subject is not None:
        fail(f"{subject!r} is not in the snapshot, which may be 30 s old; try --wait 60")


def for_people(line: dict[str, Any]) -> str:
    r"""Return a subject as some lines for a person.

    Args:
        line: As `subjects show --json` prints it.

    >>> for_people({"subject": "person:u1", "partition": 3, "stamp": 9, "facts": {"waiting": 2}})
    'person:u1  (partition 3, stamp 9)\n  waiting   2'
    """
    rows = [f"{line['subject']}  (partition {line['partition']}, stamp {line['stamp']})"]
    for name, value in line["facts"].items():
        told = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        rows.append(f"  {name:<9} {'unknown' if told is None else told}")
    return "\n".join(rows)


def _check(subject: str) -> None:
    if subject.startswith(ACCOUNT):
        id = subject.removeprefix(ACCOUNT)
        fail(f"accounts have a command of their own: ebbwatch accounts show {id}", ExitCode.USAGE)
    if subject != COMPANY and not subject.startswith((COLLEAGUE, PERSON)):
        detail = f"{subject!r} is no subject; one is {COMPANY}, {COLLEAGUE}ID or {PERSON}ID"
        fail(detail, ExitCode.USAGE)


async def _found(known: ServiceSettings, subject: str | None, wait: float) -> list[dict[str, Any]]:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    while True:
        numbers = _partitions(known, subject)
        lines = [line for one in numbers for line in await _read(known, one, subject)]
        if lines or loop.time() >= deadline:
            return lines
        await asyncio.sleep(POLL_SECONDS)


def _partitions(known: ServiceSettings, subject: str | None) -> list[int]:
    from services.partitioning import home_of

    if subject is None:
        return list(range(known.partitions))
    return [home_of(subject, known.partitions)]


async def _read(known: ServiceSettings, number: int, subject: str | None) -> list[dict[str, Any]]:
    partition = await load_partition(known, number)
    return [
        {
            "subject": one["subject"],
            "partition": number,
            "stamp": partition.stamp,
            "facts": one["facts"],
        }
        for one in partition.subjects_shown()
        if subject in {None, one["subject"]}
    ]
