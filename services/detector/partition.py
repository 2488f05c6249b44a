"""One partition of `events.v1`, folded: pure, exact, the same for the same log (design.md §5)."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from schemas import envelope
from schemas.alerts import Alert
from schemas.envelope import ACCOUNT, COLLEAGUE, COMPANY, PERSON, Entry
from schemas.events import SYSTEM, ClosureDeclared, ProductChanged
from schemas.rejects import Reject
from services.detector import refusals
from services.detector.calendars import DAY_US, HOUR_US
from services.detector.closings import Closings
from services.detector.completeness import Completeness
from services.detector.docket import Docket
from services.detector.erasure import spare
from services.detector.folding import Folding
from services.detector.forgetting import Forgetting
from services.detector.forwards import Forwards
from services.detector.incident import Incidents
from services.detector.judgement import Failure
from services.detector.ledger import ROOT, Ledger
from services.detector.ours import Ours
from services.detector.pending import Cut, Pending
from services.detector.persons import Persons
from services.detector.recent import HORIZON
from services.detector.refusals import AHEAD_US, Place
from services.detector.rulebook import RuleBook
from services.detector.rules import RuleSet
from services.detector.subject import Account, restore_all
from services.detector.system import System

_SYSTEM = frozenset(SYSTEM.values())


class Gap(Exception):
    """A message of the log is missing, and nobody may skip it."""


class Partition:
    """The state of one partition, and what has not been flushed of it.

    Args:
        number: The partition.
        ledger: Its ledger.
        accounts: Its accounts, by subject.

    """

    def __init__(self, number: int, ledger: Ledger, accounts: dict[str, Account]) -> None:
        """Take over a state."""
        self.number = number
        self.ledger = ledger
        self.accounts = accounts
        self._pending = pending = Pending(number)
        self._rules = rules = RuleBook(ledger)
        self._completeness = completeness = Completeness(ledger)
        incidents = Incidents(number, ledger, rules, pending)
        self._closings = closings = Closings(ledger, completeness, incidents)
        self._docket = docket = Docket(number, ledger, accounts, closings, rules, pending)
        forwards = Forwards(number, pending)
        self._persons = persons = Persons(forwards, pending)
        self._ours = Ours(pending)
        self._folding = folding = Folding(
            ledger, accounts, rules, closings, docket, pending, forwards
        )
        forgetting = Forgetting(ledger, accounts, persons, rules, docket, pending, folding)
        self._system = System(
            *(ledger, accounts, rules, completeness, closings, docket),
            *(pending, persons, folding, forgetting),
        )

    @classmethod
    def begin(
        cls,
        number: int,
        partitions: int,
        horizon: int = HORIZON,
        *,
        in_step: bool = False,
        brief: bool = False,
    ) -> "Partition":
        """Return a partition that has folded nothing.

        Args:
            number: The partition.
            partitions: Partition count of the deployment.
            horizon: Ids remembered per channel.
            in_step: Whether all partitions play history day by day together.
            brief: Whether only alerts that are raised are told with their evidence.
        """
        ledger = Ledger(partitions, horizon)
        ledger.in_step, ledger.brief = in_step, brief
        return cls(number, ledger, {})

    @classmethod
    def restore(
        cls,
        number: int,
        partitions: int,
        snapshot: Mapping[str, bytes],
        horizon: int = HORIZON,
    ) -> "Partition":
        """Return a partition as its snapshot has it.

        Args:
            number: The partition.
            partitions: Partition count of the deployment.
            snapshot: The newest value per key of its partition of `state.v1`.
            horizon: Ids remembered per channel.

        Raises:
            ValueError: If the snapshot is partial, or of an unknown version.
        """
        parts = _parts(snapshot)
        ledger = parts.pop(ROOT)
        if any(parts.values()) and not ledger:
            raise ValueError("the snapshot has accounts but no ledger")
        accounts = restore_all(parts[ACCOUNT].items())
        partition = cls(number, Ledger.restore(ledger, partitions, horizon), accounts)
        partition._persons.restore(parts[PERSON])
        partition._ours.restore({**parts[COMPANY], **parts[COLLEAGUE]})
        return partition

    @property
    def stamp(self) -> int:
        """Offset up to which everything is folded; -1 for nothing."""
        return self.ledger.record.stamp

    @property
    def rules(self) -> RuleSet:
        """The rule set in force."""
        return self._rules.current

    @property
    def dirty(self) -> int:
        """How many subjects the next cut will write, about."""
        return self._pending.dirty + self._persons.dirty + self._ours.dirty

    @property
    def persons(self) -> int:
        """How many persons are known."""
        return len(self._persons)

    @property
    def ours(self) -> int:
        """How many subjects of our own side are known."""
        return len(self._ours)

    @property
    def waiting(self) -> int:
        """How many events wait until the account of their person is known."""
        return self._persons.waiting

    @property
    def days_waiting(self) -> dict[str, int]:
        """How many days are due and wait for an input, per input of the rule set in force."""
        return self._closings.waiting()

    @property
    def urgent(self) -> bool:
        """Whether something waits for a flush that people are to see at once, such as an alert."""
        return self._pending.urgent

    @property
    def counts(self) -> Counter[tuple[str, ...]]:
        """What happened since the start, by (what, labels...); for metrics."""
        return self._pending.counts

    @property
    def failures(self) -> list[Failure]:
        """Rules and folds that raised; whoever logs them empties the list."""
        return self._pending.failures

    def apply(self, offset: int, appended: int, message: bytes | None) -> None:
        """Fold one message.

        Args:
            offset: Its offset; one at or before the stamp is dropped whole.
            appended: Its append time, microseconds since 1970-01-01 UTC.
            message: Its value, an envelope.

        Raises:
            Gap: If the offset does not follow the stamp.
        """
        if not self._follows(offset):
            return
        entries, unreadable = envelope.decode(message)
        for broken in unreadable:
            at = Place(offset, broken.place, appended)
            self._pending.refuse(
                refusals.of_bytes(self.number, at, "unreadable", broken.reason, broken.raw)
            )
        self._take(offset, appended, entries)

    def take(self, offset: int, appended: int, entries: Iterable[Entry]) -> None:
        """Fold a message that never was bytes; the same as `apply` of its envelope.

        Args:
            offset: Its offset; one at or before the stamp is dropped whole.
            appended: Its append time, microseconds since 1970-01-01 UTC.
            entries: What it holds.

        Raises:
            Gap: If the offset does not follow the stamp.
        """
        if self._follows(offset):
            self._take(offset, appended, list(enumerate(entries)))

    def _follows(self, offset: int) -> bool:
        """Tell whether a message is the next one; False for one that is folded already."""
        stamp = self.ledger.record.stamp
        if offset <= stamp:
            self.counts["replayed", "offset"] += 1
            return False
        if offset != stamp + 1:
            raise Gap(
                f"partition {self.number}: offset {offset} came after {stamp}; messages of "
                "the log are missing"
            )
        return True

    def _take(self, offset: int, appended: int, entries: list[tuple[int, Entry]]) -> None:
        hashes = self.ledger.hashes(entries)
        known = self.ledger.repeated(hashes, entries)
        for (index, entry), hashed, repeated in zip(entries, hashes, known, strict=True):
            self._entry(Place(offset, index, appended), entry, hashed, repeated)
        self.ledger.record.stamp = offset
        self.ledger.record.appended = appended

    def judge(self, limit: int) -> bool:
        """Judge some accounts of the oldest open closing.

        Args:
            limit: Accounts to look at, at most.

        Returns:
            Whether closings are still open.
        """
        return self._docket.judge(limit)

    def judged_to(self, account: Account) -> int:
        """Return the newest local day of an account that is judged, negative for none."""
        return self._docket.judged_to(account)

    def forwards(self) -> list[tuple[str, bytes]]:
        """Return what other partitions are to be told since the last call, in fold order.

        Returns:
            The subject whose home partition it goes to, empty for every partition; and an entry.
        """
        return self._pending.forwards()

    def found(self) -> tuple[list[Alert], list[Reject]]:
        """Return alerts and refusals since the last call or cut, where nobody keeps a snapshot."""
        return self._pending.found()

    def leave(self, subject: str) -> None:
        """Let an account go of which nothing more will come, and judge it no more.

        Args:
            subject: Whose state is gone for good, without a trace in a snapshot: for one who keeps
                none, as a backtest whose files end for the account.
        """
        self._docket.drop(subject)
        del self.accounts[subject]
        self._pending.accounts.pop(subject, None)

    def subjects_shown(self) -> Iterator[dict[str, Any]]:
        """Yield the company, colleagues and persons, each as `subject` and plain `facts`."""
        yield from self._ours.shown()
        yield from self._persons.shown()

    def cut(self) -> Cut:
        """Encode everything that changed since the last cut, and begin anew; nothing awaits.

        The caller writes it in one transaction. If that fails, the partition's memory is ahead of
        its snapshot for good, and only a new load may go on.
        """
        beside = [*self._ours.changes(), *self._persons.changes()]
        return self._pending.cut(self.ledger, self.accounts, beside)

    def _entry(self, at: Place, entry: Entry, hashed: int, repeated: bool) -> None:
        system = type(entry.event) in _SYSTEM
        why = self.ledger.admit(entry, at.appended, 0 if system else hashed, repeated)
        if why is not None:
            self.counts["duplicate", why] += 1
            return
        if entry.origin is not None:
            self._folding.settle(entry.origin)
        if system:
            self._system.fold(at, entry)
            return
        if entry.time == 0:
            entry = msgspec.structs.replace(entry, time=at.appended)
        time = entry.time
        if time > at.appended + AHEAD_US or (entry.day or 0) > at.appended // DAY_US + 1:
            detail = "the event is more than 10 minutes ahead of its append time"
            self._pending.refuse_entry(at, "future", detail, entry)
            return
        if time < 0 or (entry.day or 0) < 0 or not "".join(entry.subjects).isprintable():
            detail = "time and day must not lie before 1970, subjects must be printable text"
            self._pending.refuse_entry(at, "invalid", detail, entry)
            return
        self.ledger.sightings.see(entry.source, time // HOUR_US)
        if entry.origin is not None:
            self._completeness.feed(entry.origin.input, entry.source)
        spared = spare(entry, self.ledger.erased) if self.ledger.erased.any else entry
        if spared is None:
            self.counts["dropped", "erased"] += 1
            return
        if not entry.subjects:
            self._everybody(at, entry)
        for subject in spared.subjects:
            if subject.startswith(ACCOUNT):
                self._folding.fold(at, subject, spared)
            elif subject.startswith(PERSON):
                self._persons.fold(at, subject, spared)
            elif subject == COMPANY or subject.startswith(COLLEAGUE):
                self._ours.fold(at, subject, spared, self.ledger.record.clock)

    def _everybody(self, at: Place, entry: Entry) -> None:
        """Fold an event that concerns every account into the ledger."""
        if isinstance(entry.event, ClosureDeclared):
            refused = self.ledger.close_for_all(entry.event)
            if refused is not None:
                self._pending.refuse_entry(at, refused, "closures for everybody", entry)
                return
        elif isinstance(entry.event, ProductChanged):
            refused = self.ledger.change_product(entry.event, entry)
            if refused is not None:
                self._pending.refuse_entry(at, refused, "changes of features", entry)
                return
        self.counts["folded", "everybody"] += 1


def _parts(snapshot: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    """Return the records of a snapshot by what they are of, accounts being most of them."""
    parts: dict[str, dict[str, bytes]] = {
        kind: {} for kind in (ACCOUNT, ROOT, PERSON, COLLEAGUE, COMPANY)
    }
    for key, raw in snapshot.items():
        kind = next((kind for kind in parts if key.startswith(kind)), None)
        if kind is None:
            raise ValueError(f"the snapshot has a record {key!r} of no known kind")
        parts[kind][key] = raw
    return parts
