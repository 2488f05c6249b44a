"""Runs the peer in a process of its own, on the first events of the same data."""

import json
from itertools import islice
from typing import Final
from uuid import uuid4

from tests.bench.figure import BenchError, Peer, Setting, tell
from tests.bench.filling import fill_input
from tests.bench.load import PARTITIONS, events, recount
from tests.bench.processes import plain_environment, start
from tests.bench.topics import removed
from tests.platform import create_topics, eventually

PEER_SECONDS: Final = 180.0


async def measure_peer(setting: Setting, number: int) -> Peer:
    """Let plain Faust with a Table count some events.

    Args:
        setting: What is measured on.
        number: How many events; it takes about 2,000 a second.

    Raises:
        BenchError: It ended otherwise, or its Table does not hold what was sent.
    """
    some = list(islice(events(setting.events), number))
    name = f"peer-{uuid4().hex[:8]}"
    async with removed(setting, name):
        await create_topics(setting.kafka, name, partitions=PARTITIONS)
        await fill_input(setting.kafka, name, some)
        tell(f"peer: plain Faust with a Table counts {len(some)} events")
        arguments = (setting.kafka, name, str(len(some)), name, str(setting.folder / name))
        peer = start(
            name, ["-m", "tests.bench.peer", *arguments], plain_environment(), setting.folder
        )
        try:
            await eventually(
                lambda: peer.child.poll() is not None, within=PEER_SECONDS, what="the peer's end"
            )
        finally:
            await peer.end()
    lines = peer.output.read_text().splitlines()
    if peer.child.returncode or not lines:
        raise BenchError(f"the peer ended with {peer.child.returncode}:\n{peer.last_lines()}")
    found = json.loads(lines[-1])
    wanted = recount(some).total() / 1000
    if found["total"] != wanted:
        raise BenchError(f"the peer counted {found['total']:g} of {wanted:g}; run it again")
    return Peer(found["events"], found["seconds"], found["cpu"])
