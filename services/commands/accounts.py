"""`ebbwatch accounts`: what is counted of an account, read from the snapshot itself."""

import asyncio
import json
from typing import Annotated, Any

import typer

from schemas.envelope import account
from services.commands.state import load_partition
from services.commands.terminal import ask_kafka, fail, printable, printable_lines, read_settings
from services.settings import ServiceSettings

POLL_SECONDS = 1.0
WATCH = "watch: falling, not yet certain"
"""Said beside the state of a metric on the watch level (detection.md §1)."""

app = typer.Typer(help="Accounts as they are counted.", no_args_is_help=True)


@app.command()
def show(
    account_id: Annotated[str | None, typer.Argument(help="The account's id.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Every account, one a line.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    wait: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to wait for an account to appear.")
    ] = 0,
) -> None:
    """Show facts, day buckets, people, episodes and the stamp of an account.

    They come from the snapshot, which the detector writes every 30 s, and with every alert.
    """
    known = read_settings(ServiceSettings)
    if (account_id is None) != everybody:
        fail("name one account, or give --all")
    lines = asyncio.run(_found(known, account_id, wait))
    for line in lines:
        typer.echo(json.dumps(line) if as_json else printable_lines(_for_people(line)))
    if not lines and account_id is not None:
        fail(f"account {account_id!r} is not in the snapshot, which may be 30 s old; try --wait 60")


@app.command()
def repair(account_id: Annotated[str, typer.Argument(help="The account's id.")]) -> None:
    """Let a quarantined account fold again, and send the entries that it has missed."""
    from services.commands.repairing import repair as repair_it
    from services.publishing.publisher import Unavailable

    known = read_settings(ServiceSettings)
    number, subject = _partitions(known, account_id)[0], account(account_id)
    try:
        again = ask_kafka(known.kafka, repair_it(known, account_id, number, subject))
    except Unavailable as error:
        fail(f"{error}; what was not sent is still owed: run the command again")
    shown = f"account {account_id!r} is repaired; {again.sent} held entries were sent again"
    typer.echo(printable(shown))
    if again.gone:
        typer.echo(
            f"{again.gone} held entries are gone for good: events.v1 keeps them for 14 days",
            err=True,
        )
    if again.rejects:
        typer.echo(
            f"{len(again.rejects)} held entries are too long to be sent again; they are among the "
            "rejects, as too_large",
            err=True,
        )


def _partitions(known: ServiceSettings, account_id: str | None) -> list[int]:
    from services.partitioning import partition_of

    if account_id is None:
        return list(range(known.partitions))
    return [partition_of(account_id, known.partitions)]


async def _found(
    known: ServiceSettings, account_id: str | None, wait: float
) -> list[dict[str, Any]]:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    while True:
        numbers = _partitions(known, account_id)
        lines = [line for one in numbers for line in await _read(known, one, account_id)]
        if lines or loop.time() >= deadline:
            return lines
        await asyncio.sleep(POLL_SECONDS)


async def _read(
    known: ServiceSettings, number: int, account_id: str | None
) -> list[dict[str, Any]]:
    partition = await load_partition(known, number)
    from services.detector.showing import shown

    wanted = None if account_id is None else account(account_id)
    return [
        shown(one, number, partition.stamp, partition.judged_to(one))
        for subject, one in sorted(partition.accounts.items())
        if wanted in {None, subject}
    ]


def _for_people(line: dict[str, Any]) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in line["facts"].items())
    rows = [
        f"{line['account']}  (partition {line['partition']}, stamp {line['stamp']}, "
        f"judged to {line['judged'] or 'no day yet'})"
    ]
    rows.append(f"  facts     {facts or 'none'}")
    for metric, days in line["buckets"].items():
        newest = list(days.items())[-7:]
        shown = "  ".join(f"{day} {quantity:g}" for day, quantity in newest)
        rows.append(f"  {metric:<9} {_state(line, metric)}; {len(days)} days; newest {shown}")
    rows.append(f"  people    {len(line['people'])}")
    for one in line["episodes"]:
        rows.append(f"  episode   {one['rule']} {one['object']}: {one['state']}")
    if line["quarantine"]:
        rows.append(f"  QUARANTINED: {line['quarantine']}; run `ebbwatch accounts repair`")
    return "\n".join(rows)


def _state(line: dict[str, Any], metric: str) -> str:
    """Return whether a metric can be judged, and whether it is on the watch level."""
    state: str = line["states"].get(metric, "not judged yet")
    told = any(
        one["object"] == metric and one["state"] in ("firing", "clearing")
        for one in line["episodes"]
    )
    return f"{state}, {WATCH}" if metric in line["watch"] and not told else state
