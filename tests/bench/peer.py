"""The peer: plain Faust as its documentation shows it, one event at a time into a Table.

Run as a process: `python -m tests.bench.peer KAFKA TOPIC EVENTS APP FOLDER`. It ends by itself
with one JSON line: events, seconds from the first event to the last, CPU seconds in that time, and
the sum of its Table. Unlike our figures it does not wait until its state is durable, because plain
Faust has no such moment.

Source: Faust's documentation, "Tables and Windowing"; the first peer of design.md §9.
"""

import json
import os
import sys
import time
from typing import Any

import faust


class Data(faust.Record):
    """The fields of a usage event."""

    metric: str
    quantity: float = 1.0
    person: str | None = None


class Event(faust.Record, coerce=False):
    """One record of the input topic."""

    id: str
    source: str
    type: str
    subject: str
    time: str
    data: Data


def build(kafka: str, topic: str, events: int, name: str, folder: str) -> faust.App:
    """Return an app that sums per account, metric and day, and ends after some events.

    Args:
        kafka: Bootstrap servers.
        topic: Single events, as many as it shall count.
        events: How many.
        name: The app's id: its consumer group, and the prefix of the Table's changelog.
        folder: Its data directory.
    """
    app = faust.App(
        name,
        broker=f"kafka://{kafka}",
        store="memory://",
        datadir=folder,
        topic_partitions=8,
        topic_disable_leader=True,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=5_000,
        stream_buffer_maxsize=16_384,
        worker_redirect_stdouts=False,
    )
    source = app.topic(topic, value_type=Event, key_serializer="raw")
    days = app.Table("days", default=float)

    @app.agent(source)
    async def count(stream: Any) -> None:
        seen, began, used = 0, 0.0, 0.0
        async for event in stream:
            if not seen:
                began, used = time.monotonic(), time.process_time()
            days[f"{event.subject}|{event.data.metric}|{event.time[:10]}"] += event.data.quantity
            seen += 1
            if seen == events:
                _report(seen, time.monotonic() - began, time.process_time() - used, days)

    return app


def _report(events: int, seconds: float, cpu: float, days: Any) -> None:
    """Print the result and end at once: Faust would take seconds to close."""
    result = {"events": events, "seconds": seconds, "cpu": cpu, "total": sum(days.values())}
    print(json.dumps(result), flush=True)
    os._exit(0)


if __name__ == "__main__":
    kafka, topic, events, name, folder = sys.argv[1:]
    app = build(kafka, topic, int(events), name, folder)
    faust.Worker(
        app, loglevel="warning", override_logging=False, redirect_stdouts=False
    ).execute_from_commandline()
