"""One account as the detector keeps it, and its records in the snapshot (design.md §5.7).

A *hot* record holds facts, episodes and the last 16 to 46 days; *cold* records hold thirty days
each of all metrics; people stand in pages. So a flush writes little, and no record grows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import xxhash

from schemas.envelope import ACCOUNT
from services.detector.episode import Episode
from services.detector.facts import KEPT, Facts, Families
from services.detector.facts.buckets import BLOCK_DAYS, Buckets, Line
from services.detector.facts.people import People
from services.garbled import CAUSES, Garbled, garbled, read

VERSION = 1
SEPARATOR = "\x1f"
"""Parts a key; subjects are printable, so that it cannot stand inside one."""

HELD_LIMIT = 20_000


class Quarantine(msgspec.Struct, omit_defaults=True):
    """A subject whose fold raised: it keeps its last state and folds no more until repaired.

    Attributes:
        offset: Message whose entry raised.
        error: What was raised.
        held: (offset, place) of every entry that waits, the first one included.
        overflow: How many more were not listed; a repair then needs a replay of the log.
    """

    offset: int
    error: str
    held: list[tuple[int, int]] = msgspec.field(default_factory=list)
    overflow: int = 0

    def hold(self, offset: int, place: int) -> None:
        """Note an entry that waits for the repair."""
        if len(self.held) < HELD_LIMIT:
            self.held.append((offset, place))
        else:
            self.overflow += 1


class Merged(NamedTuple):
    """The account under which another one lives on, and the (event time, id) that said so."""

    into: str
    time: int
    id: str


@dataclass(slots=True)
class Account:
    """An account's facts, episodes and where judging stands.

    Attributes:
        id: The account's id.
        since: Offset of the first message that named it.
        judged: The newest local day whose closing has been applied to it for certain; a closing's
            cursor may have gone further without changing anything.
        states: Per metric, whether its data can be judged.
        least: Per metric, the smallest drop that would show, whole percent, as of last Sunday; 0
            where nothing can be said.
        usual: Per metric, thousandths: what is usual on a Monday ... Sunday, the dispersion, the
            drift, as of last Sunday; kept for people, as the next.
        watch: Metrics that seem to fall, not yet so surely that it is told; in order.
        last_hour: Hour of the newest event, since 1970-01-01 UTC.
        quarantine: Set while a bug holds it back.
        owed: Entries that were held, and that a repair has not sent again yet.
        off: Rules that raised for this account, with the rule set in which they did.
        merged: Where it lives on; its later entries are forwarded there.
        erased: Event time, microseconds, up to which everything of it was erased; 0 for never.
        raised: Per rule, the newest days on which it raised an alert.
        shown: Hash of the summary written last by this process.
    """

    id: str
    since: int
    facts: Facts = field(default_factory=Facts)
    episodes: dict[str, Episode] = field(default_factory=dict)
    judged: int = -1
    states: dict[str, str] = field(default_factory=dict)
    last_hour: int = 0
    quarantine: Quarantine | None = None
    owed: list[tuple[int, int]] = field(default_factory=list)
    off: dict[str, int] = field(default_factory=dict)
    merged: Merged | None = None
    erased: int = 0
    raised: dict[str, list[int]] = field(default_factory=dict)
    least: dict[str, int] = field(default_factory=dict)
    usual: dict[str, list[int]] = field(default_factory=dict)
    watch: list[str] = field(default_factory=list)
    shown: int = 0

    def settle_debt(self, offset: int, place: int) -> None:
        """Note that a held entry has come again."""
        self.owed = [one for one in self.owed if one != (offset, place)]

    @property
    def subject(self) -> str:
        """The subject, and the key of the hot record."""
        return ACCOUNT + self.id


def order_of(subject: str) -> tuple[int, str]:
    """Return where a subject stands in hash order, in which closings are judged."""
    return xxhash.xxh3_64_intdigest(subject.encode()), subject


class LineRecord(msgspec.Struct, omit_defaults=True, array_like=True):
    """The hot part of a line of day buckets."""

    start: int
    first: int
    values: list[int]
    week: int
    swings: list[float]
    revised: int | None
    revised_after: int
    active: int = 0
    sources: tuple[str, ...] = ()
    fresh: int = 0


class HotRecord(msgspec.Struct, omit_defaults=True):
    """What is written for an account whenever it has changed."""

    v: int
    since: int
    judged: int
    hot_from: int
    lines: dict[str, LineRecord]
    pages: int
    facts: Families
    episodes: dict[str, Episode]
    states: dict[str, str]
    last_hour: int
    quarantine: Quarantine | None
    off: dict[str, int]
    owed: list[tuple[int, int]] = msgspec.field(default_factory=list)
    merged: Merged | None = None
    erased: int = 0
    raised: dict[str, list[int]] = msgspec.field(default_factory=dict)
    least: dict[str, int] = msgspec.field(default_factory=dict)
    usual: dict[str, list[int]] = msgspec.field(default_factory=dict)
    watch: list[str] = msgspec.field(default_factory=list)


_PARTS = frozenset({"hot", "cold", "people"})

ColdRecord = dict[str, list[int]]
PageRecord = dict[str, bytes]

_encode = msgspec.msgpack.Encoder().encode
_decode_hot = msgspec.msgpack.Decoder(HotRecord).decode
_decode_cold = msgspec.msgpack.Decoder(ColdRecord).decode
_decode_page = msgspec.msgpack.Decoder(PageRecord).decode


class Key(NamedTuple):
    """A record key of an account, taken apart.

    Attributes:
        subject: The subject.
        part: `hot`, `cold` or `people`.
        number: First day of the cold block, or the page.
    """

    subject: str
    part: str
    number: int

    @classmethod
    def parse(cls, key: str) -> "Key":
        """Take a key apart."""
        subject, _, rest = key.partition(SEPARATOR)
        part, _, number = rest.partition(SEPARATOR)
        return cls(subject, part or "hot", int(number or 0))

    def __str__(self) -> str:
        """Return the key as it is written."""
        if self.part == "hot":
            return self.subject
        return SEPARATOR.join((self.subject, self.part, str(self.number)))


def records(account: Account) -> Iterable[tuple[str, bytes | None]]:
    """Yield the records of an account that differ from the last snapshot, and forget the marks.

    Yields:
        Key and value; None deletes the record.
    """
    facts = account.facts
    buckets = facts.buckets
    yield account.subject, _encode(_hot(account))
    for first in sorted(buckets.stale):
        block = _cold(buckets, first)
        key = str(Key(account.subject, "cold", first))
        yield key, _encode(block) if block else None
    for page in sorted(facts.people.stale):
        people = {who: _pack(packed) for who, packed in facts.people.pages[page].items()}
        yield str(Key(account.subject, "people", page)), _encode(people)
    buckets.stale.clear()
    facts.people.stale.clear()


def keys(account: Account) -> Iterable[str]:
    """Yield the keys of all records that an account may have."""
    buckets = account.facts.buckets
    yield account.subject
    for first in sorted({*buckets.blocks(), *buckets.stale}):
        yield str(Key(account.subject, "cold", first))
    for page in range(len(account.facts.people.pages)):
        yield str(Key(account.subject, "people", page))


def restore(subject: str, parts: Mapping[tuple[str, int], bytes]) -> Account:
    """Build an account from its records.

    Args:
        subject: The subject, `account:<id>`.
        parts: Record values by (part, number).

    Raises:
        ValueError: If a record is missing or of an unknown version.
    """
    if ("hot", 0) not in parts:
        raise ValueError(f"{subject!r} has no hot record")
    hot = read(_decode_hot, subject, parts["hot", 0])
    if hot.v != VERSION:
        raise ValueError(f"{subject!r} is of version {hot.v}, this code reads {VERSION}")
    pages = [_page(subject, number, parts) for number in range(hot.pages)]
    facts = Facts(
        people=People(pages),
        buckets=_buckets(subject, hot, parts),
        **{name: getattr(hot.facts, name) for name in KEPT},
    )
    return Account(
        id=subject.removeprefix(ACCOUNT),
        since=hot.since,
        facts=facts,
        episodes=hot.episodes,
        judged=hot.judged,
        states=hot.states,
        last_hour=hot.last_hour,
        quarantine=hot.quarantine,
        owed=hot.owed,
        off=hot.off,
        merged=hot.merged,
        erased=hot.erased,
        raised=hot.raised,
        least=hot.least,
        usual=hot.usual,
        watch=hot.watch,
    )


def restore_all(snapshot: Iterable[tuple[str, bytes]]) -> dict[str, Account]:
    """Build all accounts of a snapshot.

    Args:
        snapshot: Keys and values of their records, in any order.

    Returns:
        The accounts by subject.

    Raises:
        ValueError: If a record is missing or of an unknown version.
    """
    parts: dict[str, dict[tuple[str, int], bytes]] = {}
    for key, raw in snapshot:
        try:
            subject, part, number = Key.parse(key)
        except ValueError as error:
            raise garbled(key, error) from error
        if part not in _PARTS:
            raise Garbled(f"record {key!r} is a part {part!r}, which this code does not know")
        parts.setdefault(subject, {})[part, number] = raw
    return {subject: _named(subject, found) for subject, found in parts.items()}


def _named(subject: str, parts: Mapping[tuple[str, int], bytes]) -> Account:
    """Build an account; whatever is wrong, the error names it."""
    try:
        return restore(subject, parts)
    except CAUSES as error:
        raise garbled(subject, error) from error


def _hot(account: Account) -> HotRecord:
    facts = account.facts
    hot_from = facts.buckets.hot_from
    return HotRecord(
        v=VERSION,
        since=account.since,
        judged=account.judged,
        hot_from=hot_from,
        lines={name: _line_record(line, hot_from) for name, line in facts.buckets.lines.items()},
        pages=len(facts.people.pages),
        facts=facts.kept(),
        episodes=account.episodes,
        states=account.states,
        last_hour=account.last_hour,
        quarantine=account.quarantine,
        owed=account.owed,
        off=account.off,
        merged=account.merged,
        erased=account.erased,
        raised=account.raised,
        least=account.least,
        usual=account.usual,
        watch=account.watch,
    )


def _line_record(line: Line, hot_from: int) -> LineRecord:
    first = min(max(line.first, hot_from), line.end)
    return LineRecord(
        start=line.start,
        first=first,
        values=line.values[first - line.first :].tolist(),
        week=line.week,
        swings=line.swings.tolist(),
        revised=line.revised,
        revised_after=line.revised_after,
        active=line.active,
        sources=line.sources,
        fresh=line.fresh,
    )


def _cold(buckets: Buckets, first: int) -> ColdRecord:
    return {
        name: line.block(first)
        for name, line in buckets.lines.items()
        if line.first <= first < line.end
    }


def _buckets(subject: str, hot: HotRecord, parts: Mapping[tuple[str, int], bytes]) -> Buckets:
    buckets = Buckets()
    buckets.hot_from = hot.hot_from
    cold = {
        n: read(_decode_cold, str(Key(subject, part, n)), raw)
        for (part, n), raw in sorted(parts.items())
        if part == "cold"
    }
    for name, record in hot.lines.items():
        line = buckets.lines[name] = Line(record.start)
        del line.values[:]
        blocks = {first: block[name] for first, block in cold.items() if name in block}
        line.first = min(blocks, default=record.first)
        for first in range(line.first, record.first, BLOCK_DAYS):
            if first not in blocks:
                raise ValueError(f"cold block {first} of {name!r} is missing")
            line.values.extend(blocks[first])
        line.values.extend(record.values)
        line.week = record.week
        line.swings.extend(record.swings)
        line.revised = record.revised
        line.revised_after = record.revised_after
        line.active = record.active
        line.sources = record.sources
        line.fresh = record.fresh
    return buckets


def _pack(packed: int) -> bytes:
    return packed.to_bytes(-(-packed.bit_length() // 8), "little")


def _page(subject: str, number: int, parts: Mapping[tuple[str, int], bytes]) -> dict[str, int]:
    raw = parts.get(("people", number))
    if raw is None:
        return {}
    page = read(_decode_page, str(Key(subject, "people", number)), raw)
    return {who: int.from_bytes(packed, "little") for who, packed in page.items()}
