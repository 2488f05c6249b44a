"""`ebbwatch accounts`: what is counted of an account, read from the snapshot itself."""

import asyncio
import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from schemas import topics
from schemas.envelope import Entry, Origin, account, decode, encode_entry
from schemas.events import SubjectRepaired
from services.commands.state import load_partition
from services.commands.terminal import fail, printable_lines, read_settings
from services.settings import ServiceSettings

POLL_SECONDS = 1.0
REPAIR_SECONDS = 120.0
"""Longer than a snapshot may wait."""

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
    known = read_settings(ServiceSettings)
    sent = asyncio.run(_repair(known, account_id))
    typer.echo(f"account {account_id!r} is repaired; {sent} held entries were sent again")


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


async def _repair(known: ServiceSettings, account_id: str) -> int:
    from services.publishing.publisher import publishing

    number, subject = _partitions(known, account_id)[0], account(account_id)
    held = (await load_partition(known, number)).accounts.get(subject)
    if held is None or (held.quarantine is None and not held.owed):
        fail(f"account {account_id!r} is not quarantined")
    if held.quarantine is not None and held.quarantine.overflow:
        fail(
            f"account {account_id!r} holds more entries than its record lists; import its history "
            "into a new deployment instead"
        )
    events = topics.full_name(topics.EVENTS, known.prefix)
    async with publishing(known.kafka, events, known.partitions) as publisher:
        if held.quarantine is not None:
            repaired = Entry("repair", "ebbwatch", 0, (), SubjectRepaired(subject=subject))
            await publisher.publish([(number, encode_entry(repaired))])
        # More may have been held meanwhile: only what is owed after the repair is complete.
        owed = await _owed(known, number, subject)
        entries = await _held_entries(known, events, number, owed)
        again = [encode_entry(one) for one in _resent(entries, subject, number)]
        await publisher.publish([(number, one) for one in again])
    return len(entries)


async def _owed(known: ServiceSettings, number: int, subject: str) -> list[tuple[int, int]]:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + REPAIR_SECONDS
    while True:
        held = (await load_partition(known, number)).accounts[subject]
        if held.quarantine is None:
            return sorted(held.owed)
        if loop.time() > deadline:
            break
        await asyncio.sleep(POLL_SECONDS)
    return fail(
        f"no snapshot shows the repair within {REPAIR_SECONDS:.0f} s: is the detector running?"
    )


def _resent(entries: list[tuple[int, int, Entry]], subject: str, number: int) -> Iterator[Entry]:
    """Give held entries an origin of their own, so that a second repair repeats nothing."""
    for offset, place, entry in entries:
        origin = Origin(f"repair:{subject}", number, offset, place)
        yield Entry(entry.id, entry.source, entry.time, (subject,), entry.event, origin, entry.day)


async def _held_entries(
    known: ServiceSettings, topic: str, number: int, held: list[tuple[int, int]]
) -> list[tuple[int, int, Entry]]:
    from services.snapshots import messages

    wanted = set(held)
    if not held:
        return []
    found: list[tuple[int, int, Entry]] = []
    async for offset, appended, value in messages(
        known.kafka, topic, number, held[0][0], held[-1][0]
    ):
        for place, entry in decode(value)[0]:
            if (offset, place) in wanted:
                timed = entry.time or appended
                found.append((offset, place, _timed(entry, timed)))
    if len(found) < len(wanted):
        fail(f"{len(wanted) - len(found)} held entries are no longer in {topic} (kept 14 days)")
    return found


def _timed(entry: Entry, time: int) -> Entry:
    return Entry(entry.id, entry.source, time, entry.subjects, entry.event, entry.origin, entry.day)


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
        state = line["states"].get(metric, "not judged yet")
        rows.append(f"  {metric:<9} {state}; {len(days)} days; newest {shown}")
    rows.append(f"  people    {len(line['people'])}")
    for one in line["episodes"]:
        rows.append(f"  episode   {one['rule']} {one['object']}: {one['state']}")
    if line["quarantine"]:
        rows.append(f"  QUARANTINED: {line['quarantine']}; run `ebbwatch accounts repair`")
    return "\n".join(rows)
