"""How far the view can be relied on, from the markers of its partitions. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from services import wording
from services.alerts.shown import Freshness

NAMED = 3
"""Partitions that a reason names one by one."""


class Marker(NamedTuple):
    """What a partition's marker says.

    Attributes:
        complete: Whether nothing is missing.
        as_of: Up to when everything is folded, seconds since 1970; 0 for unknown.
        written: When its owner wrote last, seconds since 1970; 0 for never.
    """

    complete: bool = False
    as_of: float = 0.0
    written: float = 0.0


def freshness(markers: Sequence[Marker], now: float, stale_seconds: float) -> Freshness:
    """Return what a person should know of the view.

    Args:
        markers: One per partition, in order.
        now: Seconds since 1970.
        stale_seconds: A partition that was not written for so long is followed by nobody; one
            whose log is not folded to so long ago is behind.
    """
    left = [n for n, one in enumerate(markers) if now - one.written > stale_seconds]
    missing = [n for n, one in enumerate(markers) if not one.complete]
    behind = [n for n, one in enumerate(markers) if now - one.as_of > stale_seconds]
    known = [one.as_of for one in markers if one.as_of]
    # An unwritten partition says why others look behind; so the first of these tells most.
    reason = (
        _left(left, markers, now) or _missing(missing, markers) or _behind(behind, markers, now)
    )
    return Freshness(
        as_of=datetime.fromtimestamp(min(known), UTC) if len(known) == len(markers) else None,
        partitions=len(markers),
        current=len(markers) - len(left),
        complete=not missing,
        stale=bool(reason),
        reason=reason,
    )


def _left(numbers: list[int], markers: Sequence[Marker], now: float) -> str:
    if not numbers:
        return ""
    oldest = min(markers[number].written for number in numbers)
    since = f"for {_ago(now - oldest)}" if oldest else "yet"
    return (
        f"{_named(numbers, markers)} not been written {since}: what is shown may be out of date. "
        "Check that `ebbwatch serve alerts` runs and reaches Kafka and Redis."
    )


def _missing(numbers: list[int], markers: Sequence[Marker]) -> str:
    if not numbers:
        return ""
    part = "All" if len(numbers) == len(markers) else f"{len(numbers)} of {len(markers)} parts"
    return f"{part} of the view is being written anew: some cases may be missing for a moment."


def _behind(numbers: list[int], markers: Sequence[Marker], now: float) -> str:
    known = [markers[number].as_of for number in numbers if markers[number].as_of]
    if not known:
        return ""
    return (
        f"{_named(numbers, markers)} not been read to the end of the log yet: what happened in the "
        f"last {_ago(now - min(known))} may be missing."
    )


def _named(numbers: list[int], markers: Sequence[Marker]) -> str:
    if len(numbers) == len(markers):
        return "The view has"
    if len(numbers) > NAMED:
        return f"{len(numbers)} of {len(markers)} partitions of the view have"
    listed = wording.listed([str(number) for number in numbers])
    one = len(numbers) == 1
    return f"Partition {listed} of the view has" if one else f"Partitions {listed} of the view have"


def _ago(seconds: float) -> str:
    """Return a stretch of time in its greatest unit."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return wording.counted(int(seconds // size), unit)
    return wording.counted(max(int(seconds), 1), "second")
