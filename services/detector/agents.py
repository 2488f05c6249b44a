"""The Faust side: one agent that hands messages to the fold, and the group's rebalances.

Everything of Faust's that could lose or repeat something is left alone: no table, no window, no
timer. The position is the stamp; committed offsets are for dashboards.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import faust
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from services.detector.assignor import Assignor
from services.detector.ownership import Ownership
from services.detector.settings import DetectorSettings
from services.detector.store import Names
from services.runtime import Health, die

GROUP_WAITS: Final = 4 / 3
"""A load must end before the group takes the worker for dead: times the longest load, 120 s."""


def build(
    settings: DetectorSettings, health: Health, alerted: Callable[[float], None]
) -> tuple[faust.App, Ownership]:
    """Return the Faust app and the partitions that it feeds.

    Args:
        settings: The detector's settings.
        health: Told whether the snapshots are loaded.
        alerted: Told how many seconds after its cause an alert was durable.

    Source of each option: kafka-and-faust.md, "Settings" and the catalogue B1 to B28.
    """
    names = Names.of(settings.prefix)
    app = faust.App(
        f"{settings.prefix}detector",
        broker=[f"kafka://{one}" for one in settings.kafka.split(",")],
        store="memory://",
        datadir=_data_dir(settings),
        topic_allow_declare=False,
        topic_disable_leader=True,
        PartitionAssignor=Assignor,
        topic_partitions=settings.partitions,
        table_standby_replicas=1,
        web_enabled=False,
        stream_wait_empty=False,
        stream_buffer_maxsize=64,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.detector_instance,
        broker_commit_interval=0.5,
        broker_commit_livelock_soft_timeout=3600.0,
        broker_session_timeout=settings.detector_session_seconds,
        broker_heartbeat_interval=max(0.3, settings.detector_session_seconds / 5),
        broker_max_poll_interval=settings.detector_load_seconds * GROUP_WAITS,
        broker_rebalance_timeout=settings.detector_load_seconds * GROUP_WAITS,
        broker_request_timeout=max(20.0, settings.detector_session_seconds + 5),
        worker_redirect_stdouts=False,
    )
    ownership = Ownership(settings, health, lambda: app.consumer_generation_id, alerted)
    _follow_rebalances(app, ownership, names)
    _fold_messages(app, ownership, names)
    return app, ownership


def _data_dir(settings: DetectorSettings) -> str:
    """Faust insists on a folder of its own, and does not make those above it."""
    folder = Path(settings.detector_data_dir or f".ebbwatch/{settings.detector_instance}")
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _follow_rebalances(app: faust.App, ownership: Ownership, names: Names) -> None:
    @app.on_partitions_revoked.connect(weak=False)
    async def revoked(*_: Any, **__: Any) -> None:
        await ownership.revoke()

    @app.on_rebalance_complete.connect(weak=False)
    async def assigned(*_: Any, **__: Any) -> None:
        assignment = app.consumer.assignment()
        await ownership.assign(tp.partition for tp in assignment if tp.topic == names.events)
        # Faust seeks to its committed offsets after this hook: the seek must be ours.
        consumer: Any = app.consumer
        consumer.seek_to_committed = seek_to_stamps

    async def seek_to_stamps() -> dict[TP, int]:
        positions = {TP(names.events, number): at for number, at in ownership.positions().items()}
        for tp, offset in positions.items():
            await app.consumer.seek(tp, offset)
        return positions

    @app.on_before_shutdown.connect(weak=False)
    async def stopping(*_: Any, **__: Any) -> None:
        await ownership.close()


def _fold_messages(app: faust.App, ownership: Ownership, names: Names) -> None:
    topic = app.topic(
        names.events,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )

    @app.agent(topic, concurrency=1)
    async def fold(stream: Any) -> None:
        try:
            async for event in stream.noack().events():
                message = event.message
                await ownership.room(message.partition)
                appended = round(message.timestamp * 1000) * 1000
                ownership.fold(
                    message.partition, message.generation_id, message.offset, appended, event
                )
        except Exception as error:
            # Faust would acknowledge the event and go on.
            die("agent", error)


def lag_of(app: faust.App, topic: str, number: int, stamp: int) -> int | None:
    """Return how many messages of a partition wait, or None while that is unknown."""
    try:
        end: int | None = app.consumer.highwater(TP(topic, number))
    except (AssertionError, ConsumerNotStarted):
        # Of a partition that is just being reassigned.
        return None
    return max(0, end - stamp - 1) if end is not None else None


def heard_of(app: faust.App, topic: str, number: int) -> int | None:
    """Return when Kafka last told how far a partition is, milliseconds, or None if it never did."""
    consumer: Any = app.consumer
    try:
        told: int | None = consumer._thread._ensure_consumer().last_poll_timestamp(
            TP(topic, number)
        )
    except (AssertionError, ConsumerNotStarted):
        return None
    return told
