"""One partition of `alerts.v1`, folded: pure, exact, the same for the same log (design.md §6).

The log's order decides. What is folded is encoded at once, inside the containment of the fold: a
record that raises leaves its case as it was, is refused and held, and the next one is folded. What
is held stands in the snapshot, and whoever loads that tries it again (see `held`).

Counts, by what and labels:

| key | what |
|---|---|
| `replayed`, `offset` | records at or before the stamp |
| `folded`, type | records that changed their case, or got an action its answer |
| `repeated`, type | records that changed nothing: known, not intended, or after the end |
| `action`, type, status | actions, by what became of them; a repeated one counts once |
| `notice`, step | notices begun |
| `closed`, outcome | notices closed: `delivered`, `failed` (by at least one channel), `no_target` |
| `rejected`, reason | records put into `rejects` |
| `unknown_type` | records of a newer version, passed over |
| `failed`, type | records whose fold raised, at each try; one held and not readable any more: why |
| `behind`, type | records that wait behind one of the same alert |
| `mended`, type | records that were held, and folded at last |
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from schemas import envelope
from schemas.alerts import AlertRecord
from schemas.cases import Act, CaseReopened, FeedbackRecord, LogRecord
from schemas.rejects import Reject
from services.alerts.cases import held, ledger, returned, snoozes
from services.alerts.cases.case import Answer, Case, Place
from services.alerts.cases.fold import Effect, fold
from services.alerts.cases.held import Held, Waiting
from services.alerts.cases.ledger import Ledger
from services.alerts.cases.notices import Notice
from services.alerts.cases.reading import UNKNOWN_TYPE, Refusal, read
from services.alerts.cases.records import changes, restore_all
from services.alerts.cases.timeline import Entry

FOLD_RAISED = "fold_raised"
"""Why such a record stands in `rejects`; it is held besides."""


class Failure(NamedTuple):
    """A record whose fold raised: its case stays as it was, and the fold goes on.

    Attributes:
        case: The case's key.
        offset: The record.
        error: What was raised.
    """

    case: str
    offset: int
    error: str


class Partition:
    """The state of one partition, and what has not been flushed of it.

    Args:
        number: The partition.
        ledger: What it knows beside its cases.
        cases: Its cases by key.
        waiting: Records whose fold raised.

    Attributes:
        number: The partition.
        cases: Its cases by key. A case stays the same object while the partition lives.
        counts: What happened since the start, by (what, labels...); for metrics.
        failures: Records whose fold raised; whoever logs them empties the list.
        rejects: Records that could not be read or folded; whoever writes them empties the list.
        returned: Entries that the detector is to get, in order; who has sent some removes them.
    """

    def __init__(
        self, number: int, ledger: Ledger, cases: dict[str, Case], waiting: Waiting
    ) -> None:
        """Take over a state."""
        self.number = number
        self.cases = cases
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.failures: list[Failure] = []
        self.rejects: list[Reject] = []
        self.returned: list[envelope.Entry] = []
        self._ledger = ledger
        self._waiting = waiting
        self._pending: dict[str, bytes | None] = {}
        self._weight = 0
        self._written = self.position
        self._changed: dict[str, list[Entry]] = {}
        self._answers: list[Answer] = []
        self._telling: dict[str, Case] = {}
        self._snoozed: dict[str, Case] = {}
        for case in cases.values():
            self._index(case)

    @classmethod
    def begin(cls, number: int, partitions: int) -> "Partition":
        """Return a partition that has folded nothing."""
        return cls(number, ledger.begin(partitions), {}, Waiting())

    @classmethod
    def restore(cls, number: int, partitions: int, snapshot: Mapping[str, bytes]) -> "Partition":
        """Return a partition as its snapshot has it; of an empty one, one that folded nothing.

        Args:
            number: The partition.
            partitions: Partition count of the deployment; the snapshot's own stands in `partitions`
                afterwards, for whoever compares.
            snapshot: The newest value per key of its partition of `cases.v1`.

        Raises:
            ValueError: If the snapshot is partial, cannot be read, or is of an unknown version.
        """
        if not snapshot:
            return cls.begin(number, partitions)
        parts = (one for one in snapshot.items() if one[0] != ledger.KEY)
        waiting = held.restore(snapshot)
        return cls(number, ledger.restore(snapshot), restore_all(parts), waiting)

    @property
    def stamp(self) -> int:
        """Offset up to which everything is folded; -1 for nothing."""
        return self._ledger.stamp

    @property
    def appended(self) -> int:
        """When the record at the stamp entered the log, microseconds since 1970-01-01 UTC."""
        return self._ledger.appended

    @property
    def partitions(self) -> int:
        """Partition count with which it was made."""
        return self._ledger.partitions

    @property
    def seal(self) -> str:
        """What the ledger it was restored from says of all records; see `services.footprint`."""
        return self._ledger.seal

    @property
    def position(self) -> int:
        """Offset from which reading goes on: before it nothing is left to fold."""
        return max(self._ledger.stamp + 1, self._ledger.reached)

    def reach(self, position: int) -> None:
        """Note that nothing is left to fold before an offset.

        Args:
            position: Where the next record may stand; behind markers of transactions, for which
                nobody calls `apply`.
        """
        self._ledger.reached = max(self._ledger.reached, position)

    @property
    def ahead(self) -> int:
        """How many offsets were passed since the last cut."""
        return self.position - self._written

    @property
    def dirty(self) -> int:
        """How many records the next cut will write, beside the ledger."""
        return len(self._pending)

    @property
    def held(self) -> int:
        """How many records wait for a fold that does not raise."""
        return len(self._waiting)

    @property
    def weight(self) -> int:
        """Bytes that wait to be written at most: the next cut, and `rejects`."""
        return self._weight

    def apply(self, offset: int, appended: int, key: str, value: bytes | None) -> None:
        """Fold one record.

        Args:
            offset: Its offset; one at or before the stamp is dropped. Gaps are normal: markers of
                transactions stand in them.
            appended: Its append time, microseconds since 1970-01-01 UTC.
            key: Its key.
            value: Its value.

        Raises:
            services.alerts.cases.held.TooManyHeld: If too much would wait for a mended fold; the
                record is not passed over.
        """
        if offset <= self.stamp:
            self.counts["replayed", "offset"] += 1
            return
        if self.stamp < 0:
            self._ledger.begun = appended
        record = read(key, value)
        if not isinstance(record, Refusal):
            self._fold(record, Place(offset, appended), value or b"")
        elif record.reason == UNKNOWN_TYPE:
            self.counts[UNKNOWN_TYPE,] += 1
        else:
            self._refuse(record, offset, key, value)
        self._ledger.stamp, self._ledger.appended = offset, appended

    def fold_held(self) -> None:
        """Try again what is held, each record where it stood: the software may be another one now.

        Once, before anything else is folded. What still raises stays held, and is noted anew.
        """
        mended = set[str]()
        for one in self._waiting.take():
            left = self._tried(one)
            if left is None:
                mended.add(one.case)
                self._pending[one.key] = None
            else:
                self._wait(left, fresh=left is not one)
        for id in mended & self.cases.keys():
            self.cases[id].sort()

    def cut(self) -> list[tuple[str, bytes | None]]:
        """Return what changed since the last cut with the ledger, and begin anew; nothing awaits.

        Nothing may be left in `returned`. The caller takes `rejects` in the same moment, and writes
        all of it in one transaction. If that fails, the partition's memory is ahead of its snapshot
        for good, and only a new load may go on.
        """
        written = [*self._pending.items(), (ledger.KEY, self._ledger.encode())]
        self._pending = {}
        self._weight, self._written = 0, self.position
        return written

    def take_changed(self) -> dict[str, list[Entry]]:
        """Return the cases that changed since the last call, with their new lines of timeline."""
        changed, self._changed = self._changed, {}
        return changed

    def take_answers(self) -> list[Answer]:
        """Return what became of the actions since the last call; repeated ones are told again."""
        answers, self._answers = self._answers, []
        return answers

    def turned_away(self) -> list[Answer]:
        """Return the answers to the newest actions on cases that there were not."""
        return list(self._ledger.strangers.values())

    def open_notices(self) -> Iterator[tuple[Case, Notice]]:
        """Yield every notice that is not closed, with its case; folding meanwhile does no harm."""
        for case in list(self._telling.values()):
            for notice in list(case.notices.values()):
                yield case, notice

    def due(self, now: int) -> list[CaseReopened]:
        """Return a record for every snooze that has ended; whoever owns the partition appends it.

        The same snooze gets the same id until its record is folded; one whose case has moved on by
        then is refused, because its version was another one.

        Args:
            now: Microseconds since 1970-01-01 UTC.
        """
        return snoozes.ended(self._snoozed.values(), now)

    def _fold(self, record: LogRecord, at: Place, value: bytes) -> None:
        """Fold a record that comes for the first time; hold one that cannot be folded yet."""
        if self._waiting.is_before(record):
            self.counts["behind", _type(record)] += 1
            self._wait(self._kept(record, at, value))
        elif (error := self._take(record, at)) is not None:
            self._wait(self._refused(self._kept(record, at, value), error))

    def _kept(self, record: LogRecord, at: Place, value: bytes) -> Held:
        known = self.cases.get(_case(record))
        return held.hold(record, at, value, 0 if known is None else known.version)

    def _wait(self, one: Held, fresh: bool = True) -> None:
        """Hold a record; write it unless it stands in the snapshot already."""
        written = self._waiting.add(one)
        if fresh:
            self._pending[one.key] = written
            self._weight += len(one.key) + len(written)

    def _tried(self, one: Held) -> Held | None:
        """Fold a record that was held; return it if it must be held on."""
        record = one.read()
        if isinstance(record, Refusal):
            self.counts["failed", record.reason] += 1
            self.failures.append(Failure(one.case, one.offset, record.detail))
            return one
        if self._waiting.is_before(record):
            return one
        error = self._take(record, one.at)
        if error is not None:
            # What waited behind another one was not refused before.
            return one if one.error else self._refused(one, error)
        self._ledger.mended += 1
        self.counts["mended", _type(record)] += 1
        return None

    def _refused(self, one: Held, error: str) -> Held:
        """Let people see in `rejects` what is held, once; return it with the reason."""
        self._refuse(Refusal(FOLD_RAISED, error), one.offset, one.case, bytes(one.record))
        return held.because(one, error)

    def _refuse(self, refusal: Refusal, offset: int, key: str, value: bytes | None) -> None:
        self.counts["rejected", refusal.reason] += 1
        self.rejects.append(refusal.reject(self.number, offset, key, value))
        self._weight += len(self.rejects[-1].raw)

    def _take(self, record: LogRecord, at: Place) -> str | None:
        """Fold a record into its case, all of it or nothing; return what it raised."""
        key = _case(record)
        known = self.cases.get(key)
        if self._turned_away(record, known):
            return None
        case = Case(key) if known is None else known
        before = case.copy()
        try:
            effect = fold(case, record, at)
            written = changes(case) if case.touched else {}
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            case.become(before)
            self.counts["failed", _type(record)] += 1
            raised = f"{type(error).__name__}: {error}"
            self.failures.append(Failure(key, at.offset, raised))
            return raised
        self.counts["folded" if written else "repeated", _type(record)] += 1
        self._pending.update(written)
        self._weight += sum(len(key) + len(raw or b"") for key, raw in written.items())
        self.cases[key] = case
        self._note(case, before, effect, _type(record))
        if isinstance(record, FeedbackRecord) and effect.fresh and effect.changed:
            rule = case.standings[record.alert_id].first.rule
            begun = self._ledger.begun
            spot = (self.stamp, self._ledger.mended + 1) if at.late else (at.offset, 0)
            self.returned.append(returned.feedback(record, rule, self.number, at, begun, spot))
        return None

    def _turned_away(self, record: LogRecord, known: Case | None) -> bool:
        """Tell whether a record that needs a case has none, or had none when it came first."""
        if isinstance(record, AlertRecord):
            return False
        type_ = _type(record)
        if isinstance(record, Act):
            first = self._ledger.stranger(record)
            if first is None and known is None:
                first = self._ledger.turn_away(record)
                self.counts["action", type_, first.status] += 1
            if first is not None:
                self._answers.append(first)
            return first is not None
        if known is None:
            self.counts["repeated", type_] += 1
        return known is None

    def _note(self, case: Case, before: Case, effect: Effect, type_: str) -> None:
        """Keep what a fold did for whoever asks: the view, the dispatcher, the metrics."""
        self._index(case)
        if effect.changed:
            new = case.entries[-1:] if case.next_entry > before.next_entry else []
            self._changed.setdefault(case.id, []).extend(new)
        if effect.answer is not None:
            self._answers.append(effect.answer)
            if effect.fresh:
                self.counts["action", type_, effect.answer.status] += 1
        if effect.notice is not None and effect.notice.closed:
            self.counts["closed", effect.notice.outcome] += 1
        for begun in case.notices.keys() - before.notices.keys():
            self.counts["notice", case.notices[begun].step] += 1

    def _index(self, case: Case) -> None:
        """Keep the cases that something is due for at hand."""
        for due, index in ((case.notices, self._telling), (case.until, self._snoozed)):
            if due:
                index[case.id] = case
            else:
                index.pop(case.id, None)


def _case(record: LogRecord) -> str:
    return record.account if isinstance(record, AlertRecord) else record.case


def _type(record: LogRecord) -> str:
    return str(record.__struct_config__.tag)
