"""The days of an alert, counted once more from `events.v1`, as far as the log goes back."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas import topics
from schemas.alerts import Alert
from schemas.envelope import account
from services import wording
from services.commands import event_log
from services.commands.state import load_partition
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from services.detector.compared import Line
    from services.detector.recount import Recount

DISTINCT: Final = {
    "breadth": "features used in four weeks",
    "seat_utilisation": "people active in four weeks",
    "seat_expansion": "people active in four weeks",
}
"""By kind of alert, what its days count: more than was done on the day alone."""


EARLIER: Final = "earlier"
"""When something was used last that was not used on the days that the log still holds."""


class Recounted(NamedTuple):
    """The days of an alert beside those of the log.

    Attributes:
        days: The days that the log holds whole; what is stored, and what was counted.
        gone: How many known days of the evidence it holds no longer.
        events: How many events were counted.
        notes: What could not be done, and why.
    """

    days: "list[Line]"
    gone: int
    events: int
    notes: list[str]

    @property
    def agrees(self) -> bool:
        """Whether every day that was counted agrees."""
        return all(one.agrees for one in self.days)

    def plain(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "agrees": self.agrees,
            "days": [one._asdict() | {"agrees": one.agrees} for one in self.days],
            "days_gone": self.gone,
            "events": self.events,
            "notes": self.notes,
        }

    def lines(self) -> list[str]:
        """Return it for a person: only days that differ stand by themselves."""
        wrong = [one for one in self.days if not one.agrees]
        told = (
            f"events.v1: {wording.counted(len(self.days), 'day')} counted once more from "
            f"{wording.counted(self.events, 'event')}, "
            f"{f'{len(wrong)} of them WRONG' if wrong else 'all agree'}"
        )
        if not self.days:
            told = "events.v1: no day was counted once more"
        rows = [
            f"  {one.name}: stored {_said(one.stored)}, counted {_said(one.computed)}"
            for one in wrong
        ]
        if self.gone and not self.notes:
            kept = "the log keeps events for 14 days"
            rows.append(f"  {wording.counted(self.gone, 'older day')} cannot be counted: {kept}")
        return [told, *rows, *(f"  not counted: {note}" for note in self.notes)]


async def recounted(known: ServiceSettings, record: Alert) -> Recounted:
    """Count the days that a record was computed from once more.

    Args:
        known: Which deployment.
        record: A record with `computed_from`.
    """
    from services.commands.terminal import fail
    from services.partitioning import partition_of
    from services.snapshots import bounds

    number = partition_of(record.account, known.partitions)
    topic = topics.full_name(topics.EVENTS, known.prefix)
    now = (await load_partition(known, number)).accounts.get(account(record.account))
    if now is None:
        return Recounted([], 0, 0, ["the account is not in the snapshot: was it erased?"])
    counting = _counting(record, now.facts.profile, known.partitions)
    try:
        log = await bounds(known.kafka, topic, number, record.account_now.stamp)
        stamp = min(record.account_now.stamp, log.end - 1)
        async with aclosing(event_log.read(known, number, log.start, stamp)) as found:
            start = await _count(counting, found)
    except TimeoutError:
        fail(f"{topic} partition {number} does not answer within {event_log.SILENT_SECONDS:.0f} s")
    return compared(record, counting, log.start, start)


def compared(record: Alert, counting: "Recount", start: int, appended: int | None) -> Recounted:
    """Compare the days of a record with those that were counted.

    Args:
        record: The record.
        counting: What was counted.
        start: First offset of the log.
        appended: Append time of the message there, microseconds; None where there is none.
    """
    from services.detector.recount import first_whole_day

    because = record.because
    known = int(because["computed_from"]["known"])
    if appended is None:
        return Recounted([], known, 0, ["nothing that was known then is in the log any more"])
    whole = first_whole_day(counting, start, appended)
    if record.kind in DISTINCT:
        used = _last_used(record, counting, whole)
        note = f"{DISTINCT[record.kind]} are no sums"
        return Recounted(used, known, counting.events, [note])
    days = _days(
        because["computed_from"], because.get("metrics") or [record.object], counting, whole
    )
    gone = min(known, known - len(days))
    for one in because.get("features", ()):
        if "computed_from" in one:
            mine = _days(one["computed_from"], one["metrics"], counting, whole)
            days += [line._replace(name=f"{one['feature']}, {line.name}") for line in mine]
    return Recounted(days, gone, counting.events, [])


def _days(
    source: Mapping[str, Any], metrics: Sequence[str], counting: "Recount", whole: int
) -> "list[Line]":
    """Return the days of some lines that the log holds whole, stored and counted."""
    from services.detector.calendars import to_day
    from services.detector.compared import Line

    first, stored = date.fromisoformat(source["from"]), source["counts"]
    day = to_day(first)
    begin = max(len(stored) - int(source["known"]), whole - day, 0)
    counts = counting.counts(metrics, day + begin, day + len(stored))
    return [
        Line((first + timedelta(days=begin + n)).isoformat(), stored[begin + n], found)
        for n, found in enumerate(counts)
    ]


def _last_used(record: Alert, counting: "Recount", whole: int) -> "list[Line]":
    """Return when each core feature was used last, as far as the log holds it whole."""
    from services.detector.calendars import to_date, to_day
    from services.detector.compared import Line

    first = to_day(date.fromisoformat(record.because["computed_from"]["from"]))
    begin, end = max(first, whole), to_day(record.day) + 1
    found = []
    for one in record.because.get("core_features", ()):
        counts = counting.counts(one["metrics"], begin, end)
        days = [to_date(begin + n).isoformat() for n, count in enumerate(counts) if count]
        stored = one["last_used"] or ""
        told = stored if stored >= to_date(begin).isoformat() else EARLIER
        found.append(Line(f"{one['feature']}, last used", told, days[-1] if days else EARLIER))
    return found


def _said(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _counting(record: Alert, profile: Any, partitions: int) -> "Recount":
    from services.detector.recount import Recount

    due = round(record.fired_at.timestamp() * 1e6)
    return Recount(record.account, profile, record.account_now.stamp, due, partitions)


async def _count(counting: "Recount", found: AsyncIterator[event_log.Message]) -> int | None:
    """Count all messages; return when the first was appended, None without one."""
    start = None
    async for offset, appended, value in found:
        start = appended if start is None else start
        if not counting.take(offset, appended, value):
            break
    return start
