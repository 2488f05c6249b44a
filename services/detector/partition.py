"""One partition of `events.v1`, folded: pure, exact, the same for the same log (design.md §5)."""

from collections import Counter
from collections.abc import Mapping

import msgspec

from schemas import envelope
from schemas.envelope import ACCOUNT, Entry
from schemas.events import (
    SYSTEM,
    AccountUpdated,
    ClockTicked,
    ClosureDeclared,
    RulesApplied,
    SubjectRepaired,
    UsageRecorded,
)
from services.detector import facts, refusals, summary
from services.detector.calendars import DAY_US, HOUR_US
from services.detector.closings import Closings
from services.detector.docket import Docket, advance
from services.detector.facts import Moment
from services.detector.facts.buckets import TOO_LATE
from services.detector.judging import judge_event
from services.detector.ledger import ROOT, Ledger
from services.detector.pending import Cut, Pending
from services.detector.raising import Failure, When
from services.detector.recent import HORIZON
from services.detector.refusals import Place
from services.detector.rulebook import RuleBook
from services.detector.rules import RuleSet
from services.detector.subject import Account, Quarantine, restore_all

AHEAD_US = 600_000_000
"""An event may be this far ahead of its record's append time: ten minutes (design.md §5.2)."""

TICK_AHEAD_US = 120_000_000
"""A tick may be this far ahead of its own append time: two minutes (design.md §4)."""

YOUNG_US = 48 * HOUR_US
"""Rules woken by an event ask only about events younger than this: back-fill raises nothing."""

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
        self._pending = Pending()
        self._rules = RuleBook(ledger)
        self._closings = Closings(ledger)
        self._docket = Docket(ledger, accounts, self._closings, self._rules, self._pending)

    @classmethod
    def begin(cls, number: int, partitions: int, horizon: int = HORIZON) -> "Partition":
        """Return a partition that has folded nothing."""
        return cls(number, Ledger(partitions, horizon), {})

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
        ledger = {key: raw for key, raw in snapshot.items() if key.startswith(ROOT)}
        accounts = restore_all(
            (key, raw) for key, raw in snapshot.items() if not key.startswith(ROOT)
        )
        if accounts and not ledger:
            raise ValueError("the snapshot has accounts but no ledger")
        return cls(number, Ledger.restore(ledger, partitions, horizon), accounts)

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
        """How many accounts the next cut will write."""
        return len(self._pending.accounts)

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
        record = self.ledger.record
        if offset <= record.stamp:
            self.counts["replayed", "offset"] += 1
            return
        if offset != record.stamp + 1:
            raise Gap(
                f"partition {self.number}: offset {offset} came after {record.stamp}; messages of "
                "the log are missing"
            )
        entries, unreadable = envelope.decode(message)
        for broken in unreadable:
            at = Place(offset, broken.place, appended)
            self._pending.refuse(
                refusals.of_bytes(self.number, at, "unreadable", broken.reason, broken.raw)
            )
        hashes = self.ledger.hashes(entries)
        known = self.ledger.repeated(hashes, entries)
        for (index, entry), hashed, repeated in zip(entries, hashes, known, strict=True):
            self._entry(Place(offset, index, appended), entry, hashed, repeated)
        record.stamp = offset
        record.appended = appended

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

    def cut(self) -> Cut:
        """Encode everything that changed since the last cut, and begin anew; nothing awaits.

        The caller writes it in one transaction. If that fails, the partition's memory is ahead of
        its snapshot for good, and only a new load may go on.
        """
        return self._pending.cut(self.ledger, self.accounts)

    def _entry(self, at: Place, entry: Entry, hashed: int, repeated: bool) -> None:
        system = type(entry.event) in _SYSTEM
        why = self.ledger.admit(entry, at.appended, 0 if system else hashed, repeated)
        if why is not None:
            self.counts["duplicate", why] += 1
            return
        if system:
            self._system(at, entry)
            return
        if entry.time == 0:
            entry = msgspec.structs.replace(entry, time=at.appended)
        time = entry.time
        if time > at.appended + AHEAD_US or (entry.day or 0) > at.appended // DAY_US + 1:
            detail = "the event is more than 10 minutes ahead of its append time"
            self._refuse_entry(at, "future", detail, entry)
            return
        if time < 0 or (entry.day or 0) < 0 or not all(map(str.isprintable, entry.subjects)):
            detail = "time and day must not lie before 1970, subjects must be printable text"
            self._refuse_entry(at, "invalid", detail, entry)
            return
        self.ledger.sightings.see(entry.source, time // HOUR_US)
        if not entry.subjects:
            self._everybody(at, entry)
        for subject in entry.subjects:
            if subject.startswith(ACCOUNT):
                self._account(at, time, subject, entry)

    def _account(self, at: Place, time: int, subject: str, entry: Entry) -> None:
        account = self.accounts.get(subject) or self._new(subject, at)
        self._pending.accounts[subject] = account
        if account.quarantine is not None:
            account.quarantine.hold(at.offset, at.entry or 0)
            self.counts["held", "quarantine"] += 1
            return
        if account.owed and entry.origin is not None:
            account.settle_debt(entry.origin.offset, entry.origin.place)
        record, profile = self.ledger.record, account.facts.profile
        if record.closings:
            self._docket.catch_up(account)
        newest = self._closings.newest(profile)
        if newest > account.judged:
            advance(account, newest, self._rules.current)
        day = profile.day_of(time) if entry.day is None else entry.day
        oldest = account.judged + 1 - self._rules.current.history_days
        moment = Moment(
            time, day, record.clock, account.judged, oldest, entry.source, account.facts.buckets
        )
        try:
            refused = facts.fold(account.facts, entry, moment)
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            self._quarantine(account, at, error)
            return
        if refused is None:
            self._folded(account, entry, moment, at)
        elif refused == TOO_LATE:
            self.counts["rejected", TOO_LATE] += 1
        else:
            detail = f"{entry.event.__class__.__name__} was refused: {refused}"
            self._refuse_entry(at, refused, detail, entry)

    def _folded(self, account: Account, entry: Entry, moment: Moment, at: Place) -> None:
        """Do what follows a fold: late days, zones, sources, rules woken by the event."""
        event = entry.event
        hour = moment.time // HOUR_US
        # A declared closure is an entry of the calendar, and no sign of the customer.
        if hour > account.last_hour and not isinstance(event, ClosureDeclared):
            account.last_hour = hour
        late = moment.day <= moment.judged
        self.counts["folded", "late" if late else "new"] += 1
        if isinstance(event, UsageRecorded):
            if late:
                self._pending.show(account, moment.day)
        elif isinstance(event, AccountUpdated):
            self._closings.ensure(account.facts.profile.zone)
        if type(event) in self._rules.current.woken_by and moment.time >= moment.clock - YOUNG_US:
            record = self.ledger.record
            historic = record.mode == "importing"
            when = When(moment.day, moment.time, at.offset, historic, record.rules)
            self._pending.collect(
                judge_event(self._rules.current, account, entry, when), at.appended
            )

    def _new(self, subject: str, at: Place) -> Account:
        account = Account(subject.removeprefix(ACCOUNT), at.offset)
        self.accounts[subject] = account
        self._docket.add(subject)
        self._closings.ensure(account.facts.profile.zone)
        return account

    def _quarantine(self, account: Account, at: Place, error: Exception) -> None:
        what = f"{type(error).__name__}: {error}"
        account.quarantine = Quarantine(at.offset, what)
        account.quarantine.hold(at.offset, at.entry or 0)
        self.counts["quarantined", "fold"] += 1
        self.failures.append(Failure(account.id, "", what))

    def _everybody(self, at: Place, entry: Entry) -> None:
        """Fold an event that concerns every account into the ledger."""
        if isinstance(entry.event, ClosureDeclared):
            refused = self.ledger.close_for_all(entry.event)
            if refused is not None:
                self._refuse_entry(at, refused, "closures for everybody", entry)
                return
        self.counts["folded", "everybody"] += 1

    def _system(self, at: Place, entry: Entry) -> None:
        event = entry.event
        if isinstance(event, ClockTicked):
            if event.at > at.appended + TICK_AHEAD_US:
                detail = "the tick is more than 2 minutes ahead of its append time"
                self._refuse_entry(at, "tick_ahead", detail, entry)
            else:
                self._tick(event, at)
        elif isinstance(event, RulesApplied):
            wrong = self._rules.apply(event)
            if wrong is not None:
                self._refuse_entry(at, "bad_rules", wrong, entry)
        elif isinstance(event, SubjectRepaired):
            self._repair(event.subject)

    def _tick(self, tick: ClockTicked, at: Place) -> None:
        for source, hours in tick.seen.items():
            for hour in hours:
                self.ledger.sightings.see(source, hour)
        record = self.ledger.record
        if tick.at <= record.clock:
            return
        if record.mode == "importing" and tick.mode == "live":
            self._show_all_months()
        record.mode = tick.mode
        self._closings.advance(
            tick.at, at.offset, self._rules.current.history_days, self._docket.make_room
        )
        self._docket.opened_at = at.appended

    def _show_all_months(self) -> None:
        """Write the last month of imported history, which no closing has shown, and soon."""
        self._pending.urgent = True
        today = self.ledger.record.clock // DAY_US
        last_month = summary.month_start(today) - 1
        for account in self.accounts.values():
            self._pending.show(account, last_month)
            self._pending.show(account, today)

    def _repair(self, subject: str) -> None:
        account = self.accounts.get(subject)
        if account is not None and account.quarantine is not None:
            # Entries held since the repair's own snapshot are owed too; each leaves when it comes.
            account.owed.extend(account.quarantine.held)
            account.quarantine = None
            account.off.clear()
            # Open closings passed it by, or will, as judging was quick or slow: none may judge it.
            account.judged = max(account.judged, self._closings.newest(account.facts.profile))
            self._pending.accounts[subject] = account
            self.counts["repaired", "subject"] += 1

    def _refuse_entry(self, at: Place, reason: str, detail: str, entry: Entry) -> None:
        self._pending.refuse(refusals.of_entry(self.number, at, reason, detail, entry))
