"""Which customers have left, by the events that say so, as long as `events.v1` keeps them."""

from collections.abc import Iterator
from contextlib import aclosing
from datetime import date

from schemas import topics
from schemas.envelope import ACCOUNT, Entry, decode
from schemas.events import ArrMoved, ContractEnded
from services.commands import event_log
from services.commands.terminal import fail
from services.settings import ServiceSettings


async def leavings(known: ServiceSettings) -> list[tuple[str, date]]:
    """Return the accounts whose contract ended or whose revenue was lost, and the days.

    Args:
        known: Which deployment.
    """
    from services.snapshots import bounds

    topic, found = topics.full_name(topics.EVENTS, known.prefix), set[tuple[str, date]]()
    for number in range(known.partitions):
        try:
            log = await bounds(known.kafka, topic, number, -1)
            async with aclosing(event_log.read(known, number, log.start, log.end - 1)) as read:
                async for _, _, value in read:
                    found.update(_left(value))
        except TimeoutError:
            seconds = event_log.SILENT_SECONDS
            fail(f"{topic} partition {number} does not answer within {seconds:.0f} s")
    return sorted(found)


def _left(message: bytes | None) -> Iterator[tuple[str, date]]:
    for _, entry in decode(message)[0]:
        on = left_on(entry)
        if on is not None:
            for subject in entry.subjects:
                if subject.startswith(ACCOUNT):
                    yield subject.removeprefix(ACCOUNT), on


def left_on(entry: Entry) -> date | None:
    """Return the day on which a customer left, if an event says so.

    Args:
        entry: Any entry.
    """
    event = entry.event
    if isinstance(event, ContractEnded):
        return event.ended_on
    if isinstance(event, ArrMoved) and event.kind == "churn":
        return event.effective_on
    return None
