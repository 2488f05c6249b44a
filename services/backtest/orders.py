"""What is said to the workers of a backtest, and what they answer: records only."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from services.backtest.outcome import Sent
from services.backtest.pasts import Past

Key = tuple[int, int, int, int]
"""Time in microseconds, rank, file, number: as rows of an import are ordered."""


class Begin(NamedTuple):
    """What a worker is told once.

    Attributes:
        number: Its partition.
        partitions: How many there are.
        now: Append time of all messages, microseconds since 1970-01-01 UTC.
        first: The first tick.
        content: The rule set, JSON.
        folder: Where the plain rows stand.
        stems: Of each file, its name without extension.
        sources: Of each file, the source of its rows.
        ends: Per account, the last local day that it is known for.
        whole: Whether alerts are to come back whole, with their evidence.
        pasts: Metrics of which every account's active days are to come back.
    """

    number: int
    partitions: int
    now: int
    first: int
    content: str
    folder: Path
    stems: list[str]
    sources: list[str]
    ends: dict[str, int]
    whole: bool
    pasts: tuple[str, ...]


class Order(NamedTuple):
    """What is to be played next.

    Attributes:
        start: Where the order before it ended, microseconds since 1970-01-01 UTC.
        until: Everything before it is played.
        seen: Hours in which each source sent something, of the rows up to `until`.
        entries: Key and bytes of entries beside the plain rows, in their order.
        forwards: Entries that other partitions have sent.
        quiet: Whether there was no row for so long that the clock ticks at midnight only.
    """

    start: int
    until: int
    seen: dict[str, list[int]]
    entries: list[tuple[Key, bytes]]
    forwards: list[bytes]
    quiet: bool


class Report(NamedTuple):
    """What came of an order.

    Attributes:
        alerts: In order.
        forwards: Subject and entry, for other partitions; without a subject for all of them.
        rows: Plain rows that were played.
    """

    alerts: list[Sent]
    forwards: list[tuple[str, bytes]]
    rows: int


class Total(NamedTuple):
    """What a worker has judged.

    Attributes:
        accounts: Ids of the accounts that had events.
        account_days: Days judged of them, from when a baseline is known on.
        last: The newest judged local day, or None.
        refused: Refused entries by reason.
        examples: The first of them.
        pasts: When accounts were active, where somebody asked.
    """

    accounts: frozenset[str]
    account_days: int
    last: int | None
    refused: Counter[str]
    examples: list[str]
    pasts: list[Past]
