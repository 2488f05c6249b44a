"""Figure: the detector on envelopes that are there already, until the state is durable.

The clock starts when the detector is seen not ready for the last time, just before it begins to
read, and stops when the last partition's ledger is committed with its last event.
"""

from typing import Final

from schemas import topics
from schemas.envelope import ENTRY_LIMIT
from tests.bench.deployment import FLUSH_SECONDS, deployment
from tests.bench.durable import watching
from tests.bench.figure import Figure, Setting, require_equal, tell
from tests.bench.filling import fill_envelopes
from tests.bench.load import ACCOUNTS, PARTITIONS, events, recount
from tests.bench.machine import spent

NAME: Final = "detector_alone"
LIMIT_SECONDS: Final = 120.0


async def measure(setting: Setting) -> Figure:
    """Measure the way of an event from `events.v1` into the snapshot."""
    sent = list(events(setting.events))
    async with deployment(setting, NAME) as ours:
        tell(f"{NAME}: filling {topics.EVENTS.name} with envelopes of {ENTRY_LIMIT}")
        log = topics.full_name(topics.EVENTS, ours.prefix)
        ends = await fill_envelopes(setting.kafka, log, sent)
        state = topics.full_name(topics.STATE, ours.prefix)
        async with watching(setting.kafka, state, ends) as snapshot:
            tell(f"{NAME}: counting {len(sent)} events")
            detector = ours.launch("detector")
            started_at = await ours.ready("detector")
            before = ours.cpu()
            durable_at = await snapshot.durable([detector], LIMIT_SECONDS)
            cpu = spent(before, ours.cpu())
        await ours.stop()
        require_equal(NAME, snapshot.counted(), recount(sent))
    details = {
        "flush_seconds": FLUSH_SECONDS,
        "envelope_entries": ENTRY_LIMIT,
        "accounts": ACCOUNTS,
        "partitions": PARTITIONS,
        "state_records": snapshot.written,
        "state_bytes": snapshot.written_bytes,
    }
    return Figure(NAME, len(sent), durable_at - started_at, cpu, details)
