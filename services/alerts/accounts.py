"""One partition of `accounts.v1` as a table: for routing in memory, for the view on demand."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.accounts import AccountDays, AccountSummary, days_key
from services.kafka_clients import close

READ_SECONDS: Final = 30.0
"""A reader that gets nothing new for so long is given up."""

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError)
"""What a record raises that is none."""

_POLL_MS: Final = 200
_POLL_RECORDS: Final = 1_000
_summary = msgspec.json.Decoder(AccountSummary).decode
_days = msgspec.json.Decoder(AccountDays).decode
_days_key = re.compile(r"/days/\d{4}-\d\d$").search


def decode(key: str, value: bytes) -> AccountSummary | AccountDays:
    """Read a record of `accounts.v1`.

    An account's id may itself end like the key of a month, so the key alone does not tell.

    Args:
        key: The record's key.
        value: Its value.

    Raises:
        MsgspecError, UnicodeDecodeError: If it is neither a summary nor a month of one.
    """
    if _days_key(key):
        try:
            days = _days(value)
        except msgspec.ValidationError:
            return _summary(value)
        if days_key(days.account, days.month) == key:
            return days
    return _summary(value)


class Accounts:
    """The summaries of one partition, kept as they came: 100,000 accounts take some 50 MB."""

    def __init__(self) -> None:
        self._raw: dict[str, bytes] = {}

    def take(self, key: str, value: bytes | None) -> AccountSummary | AccountDays | None:
        """Fold one record and return what it holds; None for a deletion.

        Args:
            key: The record's key.
            value: The record's value; None deletes the account's summary.

        Raises:
            MsgspecError, UnicodeDecodeError: If it cannot be read; the former summary stays.
        """
        if value is None:
            self._raw.pop(key, None)
            return None
        found = decode(key, value)
        if isinstance(found, AccountSummary):
            self._raw[found.account] = value
        return found

    def summary(self, account: str) -> AccountSummary | None:
        """Return the newest summary of an account, or None."""
        raw = self._raw.get(account)
        return None if raw is None else _summary(raw)

    def __len__(self) -> int:
        return len(self._raw)


async def read_all(
    kafka: str, topic: str, partition: int
) -> AsyncIterator[AccountSummary | AccountDays]:
    """Yield everything that a partition holds, read committed, from its beginning to its end.

    Deletions and what cannot be read are passed over; of one account the newest comes last.

    Args:
        kafka: Bootstrap servers.
        topic: Full name of `accounts.v1`.
        partition: The partition.

    Raises:
        TimeoutError: If nothing comes for `READ_SECONDS`.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        group_id=None,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=_POLL_MS,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    at = TopicPartition(topic, partition)
    try:
        async with asyncio.timeout(READ_SECONDS):
            await consumer.start()
            consumer.assign([at])
            end = (await consumer.end_offsets([at]))[at]
        while records := await _next(consumer, at, end):
            for record in records:
                if record.value is not None and (found := _read(record)) is not None:
                    yield found
    finally:
        await close(consumer.stop)


async def _next(consumer: Any, at: TopicPartition, end: int) -> list[Any]:
    """Return some records before the end; none if there is no more."""
    async with asyncio.timeout(READ_SECONDS):
        while await consumer.position(at) < end:
            polled = await consumer.getmany(at, timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
            if polled:
                records: list[Any] = polled[at]
                return records
    return []


def _read(record: Any) -> AccountSummary | AccountDays | None:
    try:
        return decode(record.key.decode(), record.value)
    except UNREADABLE:
        return None
