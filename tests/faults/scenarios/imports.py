"""History: an import is interrupted and repeated or given up; a back-fill runs beside the load."""

import asyncio
import csv
import os
import signal
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random

import aiohttp
import msgspec

from schemas import envelope, topics
from schemas.alerts import AlertRaised
from schemas.alerts import decode as decode_alert
from schemas.config import MODE_KEY, ModeRecord
from schemas.envelope import Origin
from tests.faults.commanding import command, require_end, started
from tests.faults.lapse import days_ago
from tests.faults.load import Load, without
from tests.faults.logs import Tail, read, tail
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.world import World
from tests.platform import eventually

DAYS = 50
SIGNALS = {
    signal.SIGKILL: (-9, ""),
    signal.SIGTERM: (-15, ""),
    signal.SIGINT: (1, "interrupted: run the same command again to finish; nothing counts twice"),
}
"""How an import is interrupted: how it ends then, and what it says."""

IMPORT = "import"
SLICE_SECONDS = 0.03
"""For how long an import runs before the log is looked at; all of it takes ten times as long."""


async def interrupted(world: World, rng: Random, workers: int) -> None:
    """An import is interrupted at random moments and repeated, while detectors are killed too.

    Meanwhile producers are sent away until the deployment is live, and lose nothing by it.
    """
    for number in range(1, workers):
        world.begin(f"detector-{number}")
    files = _history(world, rng)
    async with tail(world.kafka, world.topic(topics.EVENTS), world.partitions) as log:
        await _sent_away(world, "run `ebbwatch import FILE...`")
        async with world.feeding(1_200) as feeding:
            for number in rng.sample(sorted(SIGNALS), 3):
                await _interrupt(world, rng, files, log, number)
                world.kill(f"detector-{rng.randrange(workers)}")
                await _sent_away(world, "repeat it if it was interrupted")
            await command(world, IMPORT, *files, says="imported")
            await feeding.reached(0.5)
            world.kill("detector-0")
    await command(world, IMPORT, *files, code=1, says="imported already as run 1")
    await _require_whole(world, {1: files})


async def given_up(world: World, rng: Random) -> None:
    """An import is interrupted and given up by going live; then another file is a back-fill.

    The back-fill, interrupted as well, runs beside the load of the present. It raises nothing.
    """
    files = _history(world, rng)
    # Nobody can tell how far it comes.
    world.due.clear()
    more = _back_fill(world, rng)
    number, other = (sorted(SIGNALS)[(world.seed + place) % 3] for place in range(2))
    async with tail(world.kafka, world.topic(topics.EVENTS), world.partitions) as log:
        await _interrupt(world, rng, files, log, number)
        given_up = "the rest of the interrupted import is given up"
        await command(world, "live", says=given_up)
        await command(world, "live", says="is live already")
        await world.ready("ingest-0")
        async with world.feeding(2_000) as feeding:
            await feeding.reached(0.2)
            await _interrupt(world, rng, more, log, other)
            world.kill("detector-0")
            await command(world, IMPORT, *more, says="imported")
    await _require_whole(world, {2: more})
    await _require_nothing_raised(world)


def _history(world: World, rng: Random) -> list[Path]:
    """Write three files of the last weeks: events of all kinds, rows with a date only, accounts."""
    load = world.load()
    sent = load.events(2_500, days_ago(DAYS), datetime.now(UTC), without("repeated", "late"))
    world.due += load.due
    folder = world.folder / "history"
    folder.mkdir()
    events = folder / "events.ndjson"
    events.write_bytes(b"\n".join(msgspec.json.encode(one.event) for one in sent))
    usage = folder / "usage.csv"
    rows = [
        (
            f"acct_{n}",
            (days_ago(ago)).date(),
            rng.randrange(9),
            rng.choice(["api_calls", "exports"]),
        )
        for n in range(30)
        for ago in range(1, DAYS)
        if rng.random() < 0.4
    ]
    rng.shuffle(rows)
    _write(usage, ("account_id", "date", "count", "metric"), rows)
    accounts = folder / "accounts.csv"
    _write(accounts, ("account_id", "owner"), [(f"acct_{n}", "ana") for n in range(30)])
    return [events, usage, accounts]


def _back_fill(world: World, rng: Random) -> list[Path]:
    """Write a file of past events of other accounts, some of which failed to pay."""
    load = Load(rng, "back", accounts=30)
    folder = world.folder / "more"
    folder.mkdir()
    weights = {"usage": 70.0, "late": 4.0, "payments": 6.0}
    sent = load.events(12_000, days_ago(20), days_ago(3), weights)
    file = folder / "back.ndjson"
    named = [one.event | {"subject": f"back_{one.event['subject']}"} for one in sent]
    file.write_bytes(b"\n".join(msgspec.json.encode(one) for one in named))
    return [file]


def _write(file: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


async def _interrupt(
    world: World, rng: Random, files: Sequence[Path], log: Tail, number: signal.Signals
) -> None:
    """Interrupt an import once it has appended some envelopes.

    It runs in slices, so that it does not end before a slow machine has looked at the log.
    """
    arguments = [IMPORT, *files]
    child, said = await started(world, arguments)
    os.kill(child.pid, signal.SIGSTOP)
    ended = asyncio.ensure_future(child.wait())
    before = sum((await log.catch_up()).values())
    more = rng.randrange(1, 40)

    async def far_enough() -> bool:
        words = said.read_text(errors="replace") if said.exists() else ""
        grown = sum((await log.catch_up()).values()) - before
        return (" begins: " in words or " repeats: " in words) and grown >= more

    async def stopped_far_enough() -> bool:
        if ended.done():
            return True
        os.kill(child.pid, signal.SIGCONT)
        await asyncio.sleep(SLICE_SECONDS)
        os.kill(child.pid, signal.SIGSTOP)
        return await far_enough()

    await eventually(stopped_far_enough, within=90, what=f"{more} messages more in the log")
    if not ended.done():
        os.kill(child.pid, number)
        os.kill(child.pid, signal.SIGCONT)
    require_end(arguments, said, await asyncio.wait_for(ended, 30), *SIGNALS[number])


async def _sent_away(world: World, says: str) -> None:
    """Wait until ingest says what it waits for: until then it takes nothing in."""
    url = world.url("ingest-0")
    async with aiohttp.ClientSession() as client:

        async def told() -> bool:
            try:
                async with client.get(f"{url}/readyz") as answer:
                    return answer.status == 503 and says in await answer.text()
            except aiohttp.ClientError:
                return False

        await eventually(told, within=30, what=f"ingest to say that it waits for {says}")
        headers = {"Authorization": f"Bearer {world.key}"}
        async with client.post(f"{url}/v1/events", json={}, headers=headers) as answer:
            words = await answer.text()
            if answer.status != 503 or "Retry-After" not in answer.headers or says not in words:
                raise NotExact([f"before it is live ingest answered {answer.status}: {words}"])


async def _require_whole(world: World, runs: dict[int, list[Path]]) -> None:
    """Require that the log has every row of imports that have ended, each under one number."""
    raw = (await world.config.read())[MODE_KEY]
    mode = msgspec.json.decode(raw, type=ModeRecord).mode
    wrong = [] if mode == "live" else [f"the deployment is {mode}, not live"]
    log = await read(world.kafka, world.topic(topics.EVENTS), world.partitions)
    found: defaultdict[tuple[int, str, str], set[Origin]] = defaultdict(set)
    for records in log.values():
        for message in records:
            for _, one in envelope.decode(message.value)[0]:
                if (
                    one.origin is not None
                    and one.origin.input == IMPORT
                    and one.source != "ebbwatch"
                ):
                    found[one.origin.offset, one.source, one.id].add(one.origin)
    wrong += [f"{id} has the numbers {places}" for id, places in found.items() if len(places) > 1]
    for run, files in runs.items():
        rows = sum(len(file.read_bytes().splitlines()) for file in files)
        header = sum(file.suffix == ".csv" for file in files)
        played = sum(1 for number, *_ in found if number == run)
        if played != rows - header:
            wrong.append(
                f"{played} events of run {run} are in the log, {rows - header} in its files"
            )
    if wrong:
        raise NotExact(wrong)


async def _require_nothing_raised(world: World) -> None:
    """Require that a back-fill has woken no rule: what it tells of is long past."""
    log = await read(world.kafka, world.topic(topics.ALERTS), world.partitions, committed=True)
    raised = [
        alert.account
        for records in log.values()
        for one in records
        if one.value
        and msgspec.json.decode(one.value)["type"] == "alert.raised"
        and isinstance(alert := decode_alert(one.value), AlertRaised)
        and alert.account.startswith("back_")
        and alert.rule == "payment-failed"
    ]
    if raised:
        raise NotExact([f"the back-fill raised alerts of {sorted(raised)}"])


NEW = Needs(starts=("ingest-0", "detector-0", "alerts-0"), live=False)

SCENARIOS = (
    Scenario(
        "import-interrupted",
        ("import interrupted (SIGKILL, SIGTERM, SIGINT) and resumed, the detector killed; live",),
        partial(interrupted, workers=1),
        needs=NEW,
    ),
    Scenario(
        "import-interrupted-with-three-workers",
        ("import interrupted and resumed, three workers",),
        partial(interrupted, workers=3),
        needs=NEW,
    ),
    Scenario(
        "import-given-up",
        ("import given up by going live", "back-fill in mode live, interrupted and resumed"),
        given_up,
        needs=NEW,
    ),
)
