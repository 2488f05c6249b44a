"""Entries folded into accounts: judged before, held back, forwarded, or refused."""

from schemas.envelope import ACCOUNT, Entry, Origin
from schemas.events import (
    AccountMerged,
    AccountUpdated,
    ClosureDeclared,
    FeedbackGiven,
    TicketOpened,
    UsageRecorded,
)
from services.detector import facts
from services.detector.calendars import HOUR_US, to_day
from services.detector.closings import Closings
from services.detector.docket import Docket
from services.detector.facts import Moment
from services.detector.facts.buckets import TOO_LATE
from services.detector.facts.contacts import stamp_of
from services.detector.forwards import Forwards
from services.detector.judgement import Failure, When
from services.detector.judging import judge_event
from services.detector.ledger import REPAIR, Ledger
from services.detector.pending import Pending
from services.detector.raising import supersede
from services.detector.refusals import Place
from services.detector.rulebook import RuleBook
from services.detector.subject import Account, Merged, Quarantine

YOUNG_US = 48 * HOUR_US
"""Rules woken by an event ask only about events younger than this: back-fill raises nothing."""


class Folding:
    """Folds entries into the accounts of a partition.

    Args:
        ledger: The partition's ledger.
        accounts: Its accounts, by subject.
        rules: Rule sets by number.
        closings: They know the zones.
        docket: Judges an account before an entry changes it.
        pending: Takes what changed and what was found.
        forwards: Takes what goes on to another account.
    """

    def __init__(
        self,
        ledger: Ledger,
        accounts: dict[str, Account],
        rules: RuleBook,
        closings: Closings,
        docket: Docket,
        pending: Pending,
        forwards: Forwards,
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._rules = rules
        self._closings = closings
        self._docket = docket
        self._pending = pending
        self._forwards = forwards

    def fold(self, at: Place, subject: str, entry: Entry) -> None:
        """Fold an entry into an account.

        Args:
            at: Where it stands.
            subject: The account, `account:<id>`.
            entry: The entry; its time is known.
        """
        account = self._accounts.get(subject) or self._begin(subject, at, entry.time)
        if account is None or entry.time <= account.erased:
            self._pending.counts["dropped", "erased"] += 1
            return
        if account.quarantine is not None:
            self._hold(account, at)
            self._pending.counts["held", "quarantine"] += 1
            return
        if account.merged is None:
            self._docket.bring_up(account)
        elif not isinstance(entry.event, AccountMerged):
            self._forwards.send(at, subject, entry, account.merged.into, "merged")
            return
        self._pending.accounts[subject] = account
        if isinstance(entry.event, AccountMerged) and not _leads(entry.event.into, account):
            detail = f"data.into {entry.event.into!r} must be another account, and printable text"
            self._pending.refuse_entry(at, "invalid", detail, entry, subject)
            return
        self._take(account, at, entry)

    def settle(self, origin: Origin) -> None:
        """Note that an entry has come again that an account had missed, whatever becomes of it.

        What is held once more is owed from its new place on.

        Args:
            origin: Of any entry; that of a repair names the account, and where the entry stood.
        """
        if not origin.input.startswith(REPAIR):
            return
        account = self._accounts.get(origin.input.removeprefix(REPAIR))
        if account is not None and account.owed:
            account.settle_debt(origin.offset, origin.place)
            self._pending.accounts[account.subject] = account

    def repair(self, subject: str) -> None:
        """Let a quarantined account fold again; the entries that it has missed follow."""
        account = self._accounts.get(subject)
        if account is None or account.quarantine is None:
            return
        # Entries held since the repair's own snapshot are owed too; each leaves when it comes.
        account.owed.extend(account.quarantine.held)
        account.quarantine = None
        account.off.clear()
        # Open closings passed it by, or will, as judging was quick or slow: none may judge it.
        if account.merged is None:
            account.judged = max(account.judged, self._closings.newest(account.facts.profile))
        self._pending.accounts[subject] = account
        self._pending.counts["repaired", "subject"] += 1

    def _take(self, account: Account, at: Place, entry: Entry) -> None:
        """Take an entry into the facts of an account that folds."""
        time, known = entry.time, account.facts
        moment = Moment(
            time,
            known.profile.day_of(time) if entry.day is None else entry.day,
            self._ledger.record.clock,
            account.judged,
            account.judged + 1 - self._rules.current.history_days,
            entry.source,
            known.buckets,
            self._rules.current.features,
        )
        try:
            refused = facts.fold(known, entry, moment)
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            self._quarantine(account, at, error)
            return
        if refused is None:
            self._folded(account, entry, moment, at)
        elif refused == TOO_LATE:
            self._pending.counts["rejected", TOO_LATE] += 1
        else:
            detail = f"{entry.event.__class__.__name__} was refused: {refused}"
            self._pending.refuse_entry(at, refused, detail, entry, account.subject)

    def _folded(self, account: Account, entry: Entry, moment: Moment, at: Place) -> None:
        """Do what follows a fold: late days, zones, merges, rules woken by the event."""
        event = entry.event
        hour = moment.time // HOUR_US
        # A declared closure is an entry of the calendar, and no sign of the customer; nor is what
        # our own people say of an alert.
        if hour > account.last_hour and not isinstance(event, ClosureDeclared | FeedbackGiven):
            account.last_hour = hour
        late = moment.day <= moment.judged
        self._pending.counts["folded", "late" if late else "new"] += 1
        if isinstance(event, UsageRecorded | TicketOpened):
            if late:
                self._pending.show(account, moment.day)
        elif isinstance(event, AccountUpdated):
            self._closings.ensure(account.facts.profile.zone)
        elif isinstance(event, AccountMerged):
            self._merge(account, event.into, entry, at)
        elif isinstance(event, ClosureDeclared):
            self._pending.show_days(
                account, to_day(event.from_), min(to_day(event.to), moment.judged)
            )
        if type(event) in self._rules.current.woken_by and moment.time >= moment.clock - YOUNG_US:
            historic = self._ledger.record.mode == "importing"
            when = When(moment.day, moment.time, at.offset, historic, self._ledger.record.rules)
            self._pending.collect(
                judge_event(self._rules.current, account, entry, when), at.appended
            )

    def _merge(self, account: Account, into: str, entry: Entry, at: Place) -> None:
        """Let an account live on under another id; from here on nothing judges it."""
        merged = Merged(into, *stamp_of(entry.time, entry.id))
        if account.merged is not None and merged[1:] <= account.merged[1:]:
            return
        account.merged = merged
        when = self.when(account, at, entry.time)
        closed = supersede(self._rules.current, account, when, lambda _: True)
        self._pending.collect(closed, at.appended)

    def when(self, account: Account, at: Place, time: int) -> When:
        """Return when an alert is closed that no rule closes.

        Args:
            account: The account.
            at: Where the entry stands that closes it.
            time: The entry's time, microseconds; the clock, where that is later.
        """
        record = self._ledger.record
        now = max(record.clock, time)
        day = account.facts.profile.day_of(now)
        return When(day, now, at.offset, record.mode == "importing", record.rules)

    def _begin(self, subject: str, at: Place, time: int) -> Account | None:
        """Return a new account; None where the entry is older than its erasure."""
        erased = self._ledger.erased.until(subject)
        if time <= erased:
            return None
        account = Account(subject.removeprefix(ACCOUNT), at.offset, erased=erased)
        self._accounts[subject] = account
        self._docket.add(subject)
        self._closings.ensure(account.facts.profile.zone)
        return account

    def _hold(self, account: Account, at: Place) -> None:
        assert account.quarantine is not None
        account.quarantine.hold(at.offset, at.entry or 0)
        self._pending.accounts[account.subject] = account

    def _quarantine(self, account: Account, at: Place, error: Exception) -> None:
        what = f"{type(error).__name__}: {error}"
        account.quarantine = Quarantine(at.offset, what)
        self._hold(account, at)
        self._pending.counts["quarantined", "fold"] += 1
        self._pending.failures.append(Failure(account.id, "", what))


def _leads(into: str, account: Account) -> bool:
    """Tell whether an account can live on under an id."""
    return into != account.id and into.isprintable()
