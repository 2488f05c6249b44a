"""The system's own events: ticks, rule sets, summaries, repairs, erasures."""

import msgspec

from schemas.envelope import Entry
from schemas.events import (
    AccountErased,
    ClockTicked,
    FeedbackGiven,
    IncidentJudged,
    PartClosed,
    PersonErased,
    RulesApplied,
    SubjectRepaired,
)
from services.detector import summary
from services.detector.calendars import DAY_US, HOUR_US, to_day
from services.detector.closings import Closings
from services.detector.completeness import Completeness
from services.detector.docket import Docket
from services.detector.folding import Folding
from services.detector.forgetting import Forgetting
from services.detector.ledger import Ledger
from services.detector.pending import Pending
from services.detector.persons import Persons
from services.detector.refusals import AHEAD_US, Place
from services.detector.rulebook import RuleBook
from services.detector.subject import Account

TICK_AHEAD_US = 120_000_000
"""A tick may be this far ahead of its own append time: two minutes (design.md §4)."""


class System:
    """Takes the system's own events into a partition.

    Args:
        ledger: Clock, sightings, parts.
        accounts: All accounts, by subject.
        rules: Rule sets by number.
        completeness: Told how far the inputs have come.
        closings: Opened by ticks.
        docket: Judges, to make room for more closings.
        pending: Takes what is refused.
        persons: What waits there ends by the clock.
        folding: Repairs accounts.
        forgetting: Erases.
    """

    def __init__(
        self,
        ledger: Ledger,
        accounts: dict[str, Account],
        rules: RuleBook,
        completeness: Completeness,
        closings: Closings,
        docket: Docket,
        pending: Pending,
        persons: Persons,
        folding: Folding,
        forgetting: Forgetting,
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._rules = rules
        self._completeness = completeness
        self._closings = closings
        self._docket = docket
        self._pending = pending
        self._persons = persons
        self._folding = folding
        self._forgetting = forgetting

    def fold(self, at: Place, entry: Entry) -> None:
        """Take an event over; one that nobody takes yet changes nothing.

        Args:
            at: Where it stands.
            entry: An entry with one of the events of `schemas.events.SYSTEM`.
        """
        event = entry.event
        if isinstance(event, ClockTicked):
            if event.at > at.appended + TICK_AHEAD_US:
                detail = "the tick is more than 2 minutes ahead of its append time"
                self._pending.refuse_entry(at, "tick_ahead", detail, entry)
            else:
                self._tick(event, at)
        elif isinstance(event, RulesApplied):
            wrong = self._rules.apply(event)
            if wrong is not None:
                self._pending.refuse_entry(at, "bad_rules", wrong, entry)
            self._completeness.configure()
        elif isinstance(event, SubjectRepaired):
            # With an origin it says that nothing comes in the place of an entry that is lost.
            if entry.origin is None:
                self._folding.repair(event.subject)
        elif isinstance(event, PartClosed):
            self._part(at, event, entry)
        elif isinstance(event, IncidentJudged):
            self._incident(at, event, entry)
        elif isinstance(event, AccountErased | PersonErased):
            self._erase(at, entry)
        elif isinstance(event, FeedbackGiven):
            self._feedback(at, entry)

    def _tick(self, tick: ClockTicked, at: Place) -> None:
        # One hour far ahead would push all others out of what is kept of its source.
        newest = (at.appended + AHEAD_US) // HOUR_US
        for source, hours in tick.seen.items():
            for hour in hours:
                if 0 <= hour <= newest:
                    self._ledger.sightings.see(source, hour)
        self._completeness.hear(tick)
        record = self._ledger.record
        if tick.at <= record.clock:
            return
        if record.mode == "importing" and tick.mode == "live":
            self._show_all_months()
        record.mode = tick.mode
        self._closings.advance(
            tick.at, at.offset, self._rules.current.history_days, self._docket.make_room
        )
        self._docket.opened_at = at.appended
        self._persons.expire(tick.at)

    def _show_all_months(self) -> None:
        """Write the last month of imported history, which no closing has shown, and soon."""
        self._pending.urgent = True
        today = self._ledger.record.clock // DAY_US
        last_month = summary.month_start(today) - 1
        for account in self._accounts.values():
            self._pending.show(account, last_month)
            self._pending.show(account, today)

    def _part(self, at: Place, event: PartClosed, entry: Entry) -> None:
        ahead = to_day(event.day) > at.appended // DAY_US + 1
        if ahead or event.partition >= self._ledger.record.partitions:
            detail = "no day, or no partition, of this log"
            self._pending.refuse_entry(at, "invalid", detail, entry)
            return
        why = self._ledger.parts.take(event)
        if why == "invalid":
            detail = "values must be counts of accounts by percent"
            self._pending.refuse_entry(at, why, detail, entry)
        elif why is not None:
            self._pending.counts["duplicate", why] += 1

    def _incident(self, at: Place, event: IncidentJudged, entry: Entry) -> None:
        if to_day(event.day) > at.appended // DAY_US + 1:
            detail = "the day has not begun anywhere"
            self._pending.refuse_entry(at, "invalid", detail, entry)
        elif not self._ledger.record.fleet.hear(event):
            self._pending.counts["duplicate", "day"] += 1

    def _feedback(self, at: Place, entry: Entry) -> None:
        """Fold a vote into its account; one that is gone does not begin anew for it."""
        timed = msgspec.structs.replace(entry, time=min(entry.time or at.appended, at.appended))
        for subject in entry.subjects:
            if subject in self._accounts:
                self._folding.fold(at, subject, timed)
            else:
                self._pending.counts["dropped", "unknown"] += 1

    def _erase(self, at: Place, entry: Entry) -> None:
        timed = msgspec.structs.replace(entry, time=entry.time or at.appended)
        if timed.time > at.appended + AHEAD_US:
            detail = "it would erase what is more than 10 minutes ahead of its append time"
            self._pending.refuse_entry(at, "future", detail, entry)
        else:
            self._forgetting.erase(at, timed)
