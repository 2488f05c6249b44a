"""Reads the ledgers of all partitions, without the accounts beside them."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from aiokafka import TopicPartition

from schemas.topics import STATE
from services.commands.kafka_facts import Asking, Range
from services.detector.ledger import ROOT, LedgerRecord

STEPS: Final = (300, 3_000, 100_000)
"""How far back from the end to look: a flush writes the ledger last, so the first should do."""


class Unreadable(Exception):
    """A ledger is there and cannot be read."""


async def ledgers(
    kafka: Asking, parts: Iterable[TopicPartition], offsets: Mapping[TopicPartition, Range]
) -> dict[int, LedgerRecord]:
    """Return the newest ledger of each partition of `state.v1`; one never written is absent.

    Args:
        kafka: The connection.
        parts: Partitions of `state.v1`.
        offsets: Theirs.

    Raises:
        Unreadable: A ledger is broken.
    """
    found = await newest(kafka, parts, offsets, ROOT)
    return {number: _decode(number, raw) for number, raw in found.items()}


async def newest(
    kafka: Asking,
    parts: Iterable[TopicPartition],
    offsets: Mapping[TopicPartition, Range],
    key: str,
) -> dict[int, bytes]:
    """Return the newest value of a key that every flush writes, by partition.

    Args:
        kafka: The connection.
        parts: Partitions of one topic.
        offsets: Theirs.
        key: The key.
    """
    found: dict[int, bytes] = {}
    left = [part for part in parts if offsets[part].end > offsets[part].start]
    ends = {part: offsets[part].end for part in left}
    for step in (*STEPS, 1 << 62):
        begins = {part: max(offsets[part].start, ends[part] - step) for part in left}
        async for part, record in kafka.read(begins, ends):
            if record.key == key.encode() and record.value is not None:
                found[part.partition] = record.value
        left = [
            part
            for part in left
            if part.partition not in found and begins[part] > offsets[part].start
        ]
        if not left:
            break
    return found


def counted(found: Mapping[int, LedgerRecord], input: str) -> dict[int, int]:
    """Return up to which offset each partition of an input is counted.

    Args:
        found: What `ledgers` returned.
        input: Name of the input.
    """
    newest: dict[int, int] = {}
    for record in found.values():
        for partition, (offset, _) in record.origins.get(input, {}).items():
            newest[partition] = max(offset, newest.get(partition, -1))
    return newest


def _decode(number: int, raw: bytes) -> LedgerRecord:
    try:
        return msgspec.msgpack.decode(raw, type=LedgerRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        where = f"{STATE.name} partition {number}"
        raise Unreadable(f"the ledger of {where} cannot be read: {error}") from error
