"""What a partition remembers beside its accounts: stamp, clock, duplicates, closings."""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from schemas.envelope import Entry
from schemas.events import ClosureDeclared, ProductChanged
from services.detector import products
from services.detector.calendars import DAY_US, to_day
from services.detector.erasure import Erased
from services.detector.facts.contacts import stamp_of
from services.detector.fleet import Fleet, Shared
from services.detector.parts import Parts
from services.detector.peers import Values
from services.detector.products import Changed
from services.detector.recent import HORIZON, ID_BYTES, RecentIds, digest
from services.detector.sightings import Sightings
from services.detector.views import View, Views
from services.footprint import BLANK
from services.garbled import CAUSES, garbled, read

VERSION = 1
ROOT = "~ledger"
CLOSURE_LIMIT = 400

Channel = Literal["http", "inputs"]
IMPORT, REPAIR, FORWARD = "import", "repair:", "forward/"
"""Inputs whose origin alone tells repetitions apart: they play events that were sent before, or
those of another partition."""


class Closing(msgspec.Struct, omit_defaults=True):
    """The end of a local day in one time zone, while its accounts are being judged.

    Attributes:
        due: Microseconds since 1970-01-01 UTC.
        zone: Time zone of the accounts that it judges.
        day: The judged local day.
        rules: Number of the rule set that judges.
        offset: Message that opened it; accounts that came later are not judged.
        historic: Whether history was being played.
        closures: Days that were declared no ordinary days for everybody.
        outages: Per source, spans of days on which it sent nothing for anybody.
        cursor: Accounts up to here, in hash order, have been judged.
        products: See `services.detector.views.View`; empty in a record, which names the view.
        peers: See `products`.
        shared: The fall that many accounts share, if there is or was one.
        view: The number of its view; -1 where it has none.
    """

    due: int
    zone: str
    day: int
    rules: int
    offset: int
    historic: bool
    closures: list[int] = msgspec.field(default_factory=list)
    outages: dict[str, list[tuple[int, int]]] = msgspec.field(default_factory=dict)
    cursor: tuple[int, str] = (-1, "")
    products: dict[str, Changed] = msgspec.field(default_factory=dict)
    peers: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    shared: Shared | None = None
    view: int = -1


class LedgerRecord(msgspec.Struct, omit_defaults=True):
    """The ledger's own record; rule sets, sightings and ids have records of their own.

    Attributes:
        v: Version of the layout.
        partitions: Partition count of the deployment.
        seal: Over all records of the snapshot, see `services.footprint`; empty of before there
            were seals. It comes before whatever others have named.
        stamp: Offset in `events.v1` up to which everything is folded; -1 for nothing.
        appended: Append time of the message at the stamp, microseconds.
        clock: The newest tick, microseconds.
        mode: Mode of the newest tick.
        rules: Number of the rule set in force; 0 for none.
        origins: Newest (offset, place) per input and input partition.
        opened: Per time zone, the newest local day whose closing was opened.
        closings: Open closings, in order of due.
        closures: Closures for everybody, (first day, last day).
        products: By feature, what was changed of it last.
        fleet: How all accounts do, and the fall that they share.
        generations: Per channel, when each remembered generation of ids began, microseconds.
        complete: Per "input/partition", the time up to which ticks call it complete, microseconds;
            per "input/" of which no tick has told, when it began to be waited for.
        told: Per "input/partition", the day number (UTC) of the newest tick that spoke of it.
        fed: Per input, the sources that it has sent.
        resumed: The newest tick that came after an outage of ticks, microseconds.
        returned: The newest that came after one of more than `completeness.LONG_US`.
    """

    v: int
    partitions: int
    seal: str = ""
    stamp: int = -1
    appended: int = 0
    clock: int = 0
    mode: str = "new"
    rules: int = 0
    origins: dict[str, dict[int, tuple[int, int]]] = msgspec.field(default_factory=dict)
    opened: dict[str, int] = msgspec.field(default_factory=dict)
    closings: list[Closing] = msgspec.field(default_factory=list)
    closures: list[tuple[int, int]] = msgspec.field(default_factory=list)
    products: dict[str, Changed] = msgspec.field(default_factory=dict)
    fleet: Fleet = msgspec.field(default_factory=Fleet)
    generations: dict[str, dict[int, int]] = msgspec.field(default_factory=dict)
    complete: dict[str, int] = msgspec.field(default_factory=dict)
    told: dict[str, int] = msgspec.field(default_factory=dict)
    fed: dict[str, list[str]] = msgspec.field(default_factory=dict)
    resumed: int = 0
    returned: int = 0


_decode = msgspec.msgpack.Decoder(LedgerRecord).decode


def rules_key(n: int) -> str:
    """Return the key of a rule set's record."""
    return f"{ROOT}/rules/{n}"


class Ledger:
    """The ledger of one partition.

    Args:
        partitions: Partition count of the deployment.
        horizon: Ids remembered per channel.

    Attributes:
        in_step: Whether all partitions play history day by day together, so that they can tell each
            other of it: an import's do not wait for each other.
        brief: Whether only what is raised is told with its evidence.
    """

    def __init__(self, partitions: int, horizon: int = HORIZON) -> None:
        """Begin a partition that has folded nothing."""
        self.record = LedgerRecord(v=VERSION, partitions=partitions)
        self.ids: dict[Channel, RecentIds] = {
            "http": RecentIds(horizon),
            "inputs": RecentIds(horizon),
        }
        self.sightings = Sightings()
        self.erased = Erased()
        self.parts = Parts()
        self.views = Views()
        self.in_step = False
        self.brief = False
        self.rule_sets: dict[int, str] = {}
        self._changed: dict[str, bytes | None] = {}

    def hashes(self, entries: list[tuple[int, Entry]]) -> list[int]:
        """Return the identity hashes of some entries, in order; 0 where the origin decides."""
        return [
            0
            if entry.origin is not None
            and (entry.origin.input == IMPORT or entry.origin.input.startswith((REPAIR, FORWARD)))
            else digest(entry.source, entry.id)
            for _, entry in entries
        ]

    def repeated(self, hashes: list[int], entries: list[tuple[int, Entry]]) -> list[bool]:
        """Tell which entries are known from closed generations, before any is admitted."""
        http = self.ids["http"].known(hashes)
        inputs = self.ids["inputs"].known(hashes)
        return [
            inputs[i] if entry.origin is not None else http[i]
            for i, (_, entry) in enumerate(entries)
        ]

    def horizon_began(self, channel: Channel) -> int:
        """Return since when every id of a channel is remembered, microseconds; 0 if none is."""
        return min(self.record.generations.get(channel, {}).values(), default=0)

    def admit(self, entry: Entry, appended: int, hashed: int, repeated: bool) -> str | None:
        """Remember an entry that is new; tell why it is a duplicate otherwise.

        Args:
            entry: The entry.
            appended: Append time of its message, microseconds.
            hashed: Its identity hash, 0 where the origin alone decides.
            repeated: Whether a closed generation of ids knows it.

        Returns:
            None for a new entry, else `origin` or `id`.
        """
        origin = entry.origin
        if origin is not None:
            newest = self.record.origins.setdefault(origin.input, {})
            place = (origin.offset, origin.place)
            if place <= newest.get(origin.partition, (-1, -1)):
                return "origin"
            newest[origin.partition] = place
        if hashed == 0:
            return None
        channel: Channel = "http" if origin is None else "inputs"
        ids = self.ids[channel]
        before = ids.generation if ids.order else -1
        if repeated or not ids.add(hashed):
            return "id"
        if before != ids.generation:
            began = self.record.generations.setdefault(channel, {})
            began.setdefault(ids.generation, appended)
            for gone in began.keys() - ids.closed.keys() - {ids.generation}:
                del began[gone]
        return None

    def close_for_all(self, closure: ClosureDeclared) -> str | None:
        """Declare days that are no ordinary days for everybody; return why not, if refused."""
        span = (to_day(closure.from_), to_day(closure.to))
        if span in self.record.closures:
            return None
        if len(self.record.closures) >= CLOSURE_LIMIT:
            return "too_many_closures"
        self.record.closures.append(span)
        self.record.closures.sort()
        return None

    def change_product(self, event: ProductChanged, entry: Entry) -> str | None:
        """Note what was changed of a feature, for everybody; return why not, if refused."""
        day = entry.time // DAY_US if entry.day is None else entry.day
        return products.take(self.record.products, event, day, stamp_of(entry.time, entry.id))

    def view(self, day: int, told: int) -> int:
        """Keep how things stand for everybody, and return the number of that view.

        Args:
            day: Up to when changes of features count.
            told: The day of which it counts how all accounts did.
        """
        known = products.until(self.record.products, day)
        return self.views.put(View(known, self.parts.medians(told)))

    def seen(self, closing: Closing) -> Closing:
        """Return a closing with all that it judges by."""
        if closing.view < 0:
            return closing
        view = self.views.get(closing.view)
        return msgspec.structs.replace(closing, products=view.products, peers=view.peers)

    def closed_days(self, first: int, last: int) -> list[int]:
        """Return the days within first..last that a closure for everybody covers."""
        spans = self.record.closures
        days = {day for a, b in spans for day in range(max(a, first), min(b, last) + 1)}
        return sorted(days)

    def part(self, scope: str, day: int) -> Values:
        """Return what all partitions together have said of a scope's day (design.md §5.4).

        Args:
            scope: `company`, or `segment:<name>`.
            day: A local day in days since 1970-01-01, at least two days ago: then it has ended
                in every time zone.
        """
        return self.parts.merged(scope, day)

    def apply_rules(self, n: int, content: str) -> None:
        """Put a rule set in force; open closings keep theirs."""
        self.record.rules = n
        self.rule_sets[n] = content
        self._changed[rules_key(n)] = content.encode()
        self.drop_unasked()

    def drop_unasked(self) -> None:
        """Forget views and rule sets that neither hold nor are asked for by an open closing."""
        self.views.keep({closing.view for closing in self.record.closings})
        needed = {closing.rules for closing in self.record.closings} | {self.record.rules}
        for n in [n for n in self.rule_sets if n not in needed]:
            del self.rule_sets[n]
            self._changed[rules_key(n)] = None

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the records that differ from the last snapshot; the ledger's own always does."""
        yield from self._changed.items()
        self._changed = {}
        erased = self.erased.change()
        if erased is not None:
            yield f"{ROOT}/erased", erased
        for source, raw in self.sightings.changes():
            yield f"{ROOT}/seen/{source}", raw
        for number, view in self.views.changes():
            yield f"{ROOT}/views/{number}", view
        for part, value in self.parts.changes():
            yield f"{ROOT}/{part}", value
        for channel, ids in self.ids.items():
            for generation, chunk, value in ids.changes():
                yield f"{ROOT}/ids/{channel}/{generation}/{chunk}", value
        self.record.seal = BLANK
        yield ROOT, msgspec.msgpack.encode(self.record)

    @classmethod
    def restore(cls, parts: Mapping[str, bytes], partitions: int, horizon: int) -> "Ledger":
        """Build a ledger from its records.

        Args:
            parts: By key, all beginning with `~ledger`; empty for a partition never folded.
            partitions: Partition count of the deployment today.
            horizon: Ids remembered per channel.

        Raises:
            ValueError: If the root is missing beside parts, or of an unknown version.
        """
        ledger = cls(partitions, horizon)
        if not parts:
            return ledger
        if ROOT not in parts:
            raise ValueError("the snapshot has records but no ledger")
        ledger.record = read(_decode, ROOT, parts[ROOT])
        if ledger.record.v != VERSION:
            raise ValueError(f"ledger of version {ledger.record.v}, this code reads {VERSION}")
        chunks: dict[str, dict[tuple[int, int], bytes]] = {"http": {}, "inputs": {}}
        for key, raw in parts.items():
            try:
                ledger._take(key, raw, chunks)
            except CAUSES as error:
                raise garbled(key, error) from error
        for name, ids in ledger.ids.items():
            ids.restore(chunks[name])
        return ledger

    def _take(self, key: str, raw: bytes, chunks: dict[str, dict[tuple[int, int], bytes]]) -> None:
        """Take a record of a snapshot over; chunks of ids are put together when all are there."""
        root, kind, *rest = (*key.split("/", 2), "", "")
        if kind == "rules":
            self.rule_sets[int(rest[0])] = raw.decode()
        elif kind == "seen":
            self.sightings.restore(rest[0], raw)
        elif kind in ("sums", "parts"):
            self.parts.restore(kind, rest[0], raw)
        elif kind == "views":
            self.views.restore(int(rest[0]), raw)
        elif kind == "erased":
            self.erased = Erased.restore(raw)
        elif kind == "ids":
            channel, generation, chunk = rest[0].split("/")
            if len(raw) % ID_BYTES:
                raise ValueError(f"it has {len(raw)} bytes, not {ID_BYTES} for each id")
            chunks[channel][int(generation), int(chunk)] = raw
        elif kind or root != ROOT:
            raise ValueError("this code does not know such a record")
