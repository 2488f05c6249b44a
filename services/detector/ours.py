"""Our own side: the company, and each of our people, as events of the accounts tell of them."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from schemas.envelope import COMPANY, Entry
from services.detector.calendars import DAY_US, to_date
from services.detector.facts import activity, portfolio
from services.detector.facts.activity import Activity
from services.detector.facts.buckets import TOO_LATE
from services.detector.facts.contacts import stamp_of
from services.detector.facts.portfolio import Portfolio
from services.detector.pending import Pending
from services.detector.raising import Failure
from services.detector.refusals import Place
from services.garbled import read

VERSION = 1


class CompanyRecord(msgspec.Struct, omit_defaults=True):
    """The record of `company`: version of the layout, first message that concerned it, facts."""

    v: int
    since: int
    facts: Portfolio


class ColleagueRecord(msgspec.Struct, omit_defaults=True):
    """The record of a colleague: version of the layout, first message that named them, facts."""

    v: int
    since: int
    facts: Activity


Record = CompanyRecord | ColleagueRecord

_encode = msgspec.msgpack.Encoder().encode
_decode_company = msgspec.msgpack.Decoder(CompanyRecord).decode
_decode_colleague = msgspec.msgpack.Decoder(ColleagueRecord).decode


class Ours:
    """The company, where this partition is its home, and our people who are at home here.

    Args:
        pending: Takes what is refused.
    """

    def __init__(self, pending: Pending) -> None:
        self._pending = pending
        self._records: dict[str, Record] = {}
        self._changed: dict[str, Record] = {}

    def __len__(self) -> int:
        """Return how many subjects are known: colleagues, and the company."""
        return len(self._records)

    @property
    def dirty(self) -> int:
        """How many records the next snapshot will write."""
        return len(self._changed)

    def fold(self, at: Place, subject: str, entry: Entry, clock: int) -> None:
        """Take an event over; a type that says nothing of the subject changes nothing.

        Args:
            at: Where the entry stands.
            subject: `company` or `colleague:<id>`.
            entry: The entry; its time is known.
            clock: The partition's clock, microseconds.
        """
        handled = portfolio.HANDLES if subject == COMPANY else activity.HANDLES
        if type(entry.event) not in handled:
            return
        known = self._records.get(subject) or _begin(subject, at.offset)
        try:
            refused = _fold(known, entry, clock)
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            self._pending.failures.append(Failure(subject, "", what))
            self._pending.refuse_entry(at, "fold_raised", what, entry, subject)
            return
        if refused is None:
            self._records[subject] = self._changed[subject] = known
            self._pending.counts["folded", "ours"] += 1
        elif refused == TOO_LATE:
            self._pending.counts["rejected", TOO_LATE] += 1
        else:
            detail = f"{type(entry.event).__name__} was refused: {refused}"
            self._pending.refuse_entry(at, refused, detail, entry, subject)

    def shown(self) -> Iterator[dict[str, Any]]:
        """Yield the company and each colleague in plain JSON, by subject; days as dates."""
        for subject, known in sorted(self._records.items()):
            facts = known.facts
            told = _portfolio(facts) if isinstance(facts, Portfolio) else _activity(facts)
            yield {"subject": subject, "facts": told}

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the records that differ from the last snapshot."""
        changed, self._changed = self._changed, {}
        for subject, known in changed.items():
            yield subject, _encode(known)

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Take the records of a snapshot over.

        Args:
            parts: By key: `company`, or beginning with `colleague:`.

        Raises:
            ValueError: If one is of an unknown version.
        """
        for subject, raw in parts.items():
            known: Record = (
                read(_decode_company, subject, raw)
                if subject == COMPANY
                else read(_decode_colleague, subject, raw)
            )
            if known.v != VERSION:
                raise ValueError(f"{subject!r} is of version {known.v}, this code reads {VERSION}")
            self._records[subject] = known


def _begin(subject: str, offset: int) -> Record:
    if subject == COMPANY:
        return CompanyRecord(VERSION, offset, Portfolio())
    return ColleagueRecord(VERSION, offset, Activity())


def _fold(known: Record, entry: Entry, clock: int) -> str | None:
    day = entry.time // DAY_US if entry.day is None else entry.day
    if isinstance(known, CompanyRecord):
        return known.facts.fold(entry.event, day, stamp_of(entry.time, entry.id))
    return known.facts.fold(entry.event, day, clock // DAY_US)


def _portfolio(facts: Portfolio) -> dict[str, Any]:
    return {
        "arr": facts.arr,
        "spend": facts.spend,
        "targets": {period: target.amount for period, target in facts.targets.items()},
        "left": {who: _iso(day) for who, day in facts.left.items()},
        "deals": facts.deals,
    }


def _activity(facts: Activity) -> dict[str, Any]:
    return {
        "touches": {_iso(day): n for day, n in sorted(facts.touches.items())},
        "two_way": {_iso(day): n for day, n in sorted(facts.two_way.items())},
        "left": None if facts.left is None else _iso(facts.left),
        "sentiments": {str(rating): n for rating, n in sorted(facts.sentiments.items())},
    }


def _iso(day: int) -> str:
    return to_date(day).isoformat()
