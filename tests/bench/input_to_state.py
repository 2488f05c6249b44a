"""Figure: single events of an input topic, through bridge and detector, until the state is durable.

Both services run and are ready, and the input topic is full, before a new rule set names it. The
clock starts with the first envelope's append time, when the bridge has just begun to read, and
stops when the last partition's ledger is committed with its last event.
"""

from collections.abc import AsyncIterator
from typing import Final

from schemas import topics
from schemas.envelope import decode
from services.snapshots import messages
from tests.bench.deployment import FLUSH_SECONDS, Deployment, deployment
from tests.bench.durable import watching
from tests.bench.figure import Figure, Setting, require_equal, tell
from tests.bench.filling import fill_input
from tests.bench.load import ACCOUNTS, PARTITIONS, Event, events, recount
from tests.bench.machine import spent
from tests.platform import create_topics

NAME: Final = "input_to_state"
LIMIT_SECONDS: Final = 180.0
FIRST_MESSAGES: Final = 10
"""Rule sets and ticks come before the first event."""


async def measure(setting: Setting) -> Figure:
    """Measure the way of an event from an input topic into the snapshot."""
    sent = list(events(setting.events))
    async with deployment(setting, NAME) as ours:
        tell(f"{NAME}: filling the input topic")
        await create_topics(setting.kafka, ours.input_topic, partitions=PARTITIONS)
        ends = await fill_input(setting.kafka, ours.input_topic, sent)
        services = [ours.launch("ingest"), ours.launch("detector")]
        for name in ours.processes:
            await ours.ready(name)
        tell(f"{NAME}: counting {len(sent)} events")
        state = topics.full_name(topics.STATE, ours.prefix)
        async with watching(setting.kafka, state, ends) as snapshot:
            before = ours.cpu()
            await ours.open_input()
            durable_at = await snapshot.durable(services, LIMIT_SECONDS)
            cpu = spent(before, ours.cpu())
        started_at = await _first_appended(ours)
        await ours.stop()
        require_equal(NAME, snapshot.counted(), recount(sent))
    details = {
        "flush_seconds": FLUSH_SECONDS,
        "accounts": ACCOUNTS,
        "partitions": PARTITIONS,
        "event_bytes": event_bytes(sent),
        "state_records": snapshot.written,
        "state_bytes": snapshot.written_bytes,
    }
    return Figure(NAME, len(sent), durable_at - started_at, cpu, details)


def event_bytes(sent: list[Event]) -> int:
    """Return the mean length of an event as it was sent."""
    return round(sum(len(event.body) for event in sent) / len(sent))


async def _first_appended(ours: Deployment) -> float:
    """Return when the first envelope with an event of the input was appended, seconds."""
    found = [at async for at in _first_times(ours)]
    return min(found)


async def _first_times(ours: Deployment) -> AsyncIterator[float]:
    name = topics.full_name(topics.EVENTS, ours.prefix)
    for number in range(PARTITIONS):
        log = messages(ours.kafka, name, number, 0, FIRST_MESSAGES)
        async for _, appended, value in log:
            if any(entry.origin is not None for _, entry in decode(value)[0]):
                yield appended / 1e6
                break
