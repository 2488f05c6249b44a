"""What a partition has changed and found since the last flush, and the flush's one cut."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from schemas.alerts import Alert
from schemas.envelope import Entry, encode_entry
from schemas.rejects import Reject
from services.detector import refusals, summary
from services.detector.ledger import Ledger
from services.detector.left_out import LeftOut
from services.detector.raising import Failure, Judgement
from services.detector.refusals import Place
from services.detector.subject import Account, keys, records


class Cut(NamedTuple):
    """What a flush writes, in one transaction: the snapshot at a stamp, and what came of it.

    Attributes:
        stamp: Offset in `events.v1` up to which everything is folded.
        records: Key and value of changed records of `state.v1`; None deletes.
        summaries: Key and value of changed records of `accounts.v1`; None deletes.
        alerts: Records for `alerts.v1`, in order.
        rejects: Records for `rejects.v1`.
        caused: Append time of the message that caused each alert of the present, microseconds.
    """

    stamp: int
    records: list[tuple[str, bytes | None]]
    summaries: list[tuple[str, bytes | None]]
    alerts: list[Alert]
    rejects: list[Reject]
    caused: list[int]


class Pending:
    """Changed accounts, alerts and refusals that wait for a flush.

    Args:
        partition: The partition of `events.v1`.

    Attributes:
        accounts: Changed accounts, by subject.
        months: Subject and first day of months that people are shown and that changed.
        alerts: Alert records.
        counts: What happened since the start, by (what, labels...); for metrics.
        failures: Rules and folds that raised; whoever logs them empties the list.
        urgent: Whether something waits that people are to see at once, such as an alert.
    """

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self.accounts: dict[str, Account] = {}
        self.months: set[tuple[str, int]] = set()
        self.alerts: list[Alert] = []
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.failures: list[Failure] = []
        self.urgent = False
        self._rejects: list[Reject] = []
        self._caused: list[int] = []
        self._gone: list[tuple[str, None]] = []
        self._gone_from_sight: list[tuple[str, None]] = []
        self._forwards: list[tuple[str, bytes]] = []

    @property
    def dirty(self) -> int:
        """How many accounts the next cut will write or delete."""
        return len(self.accounts) + len(self._gone)

    def show(self, account: Account, day: int) -> None:
        """Show people the month of a day again."""
        self.months.add((account.subject, summary.month_start(day)))

    def show_days(self, account: Account, first: int, last: int) -> None:
        """Show people the months of some days again, those that they may have been shown."""
        for day in summary.months_shown(account, first, last):
            self.show(account, day)

    def forget(self, account: Account, shown_until: int) -> None:
        """Delete every record of an account, whatever waits of it.

        Args:
            account: The account, as it was.
            shown_until: The newest day that people may have been shown.
        """
        self.accounts.pop(account.subject, None)
        self.months = {one for one in self.months if one[0] != account.subject}
        self._gone.extend((key, None) for key in keys(account))
        self._gone_from_sight.extend((key, None) for key in summary.keys(account, shown_until))

    def forward(self, subject: str, entry: bytes) -> None:
        """Send an encoded entry to the partition of its subject."""
        self._forwards.append((subject, entry))

    def broadcast(self, entry: Entry) -> None:
        """Say something of the system's to every partition."""
        self._forwards.append(("", encode_entry(entry)))

    def forwards(self) -> list[tuple[str, bytes]]:
        """Return what is to be sent to other partitions, as (subject, entry), and begin anew."""
        found, self._forwards = self._forwards, []
        return found

    def found(self) -> tuple[list[Alert], list[Reject]]:
        """Return the alerts and refusals, and begin anew with both."""
        found = self.alerts, self._rejects
        self.alerts, self._rejects, self._caused = [], [], []
        return found

    def refuse(self, reject: Reject) -> None:
        """Refuse an entry."""
        self.counts["rejected", reject.reason] += 1
        self._rejects.append(reject)

    def refuse_entry(
        self, at: Place, reason: str, detail: str, entry: Entry, subject: str = ""
    ) -> None:
        """Refuse a readable entry.

        Args:
            at: Where it stands.
            reason: A code, the label of the metric.
            detail: What is wrong, for a person.
            entry: The entry.
            subject: The one of its subjects that refuses it; empty where no subject folds it.
        """
        self.refuse(refusals.of_entry(self._partition, at, reason, detail, entry, subject))

    def collect(self, judgement: Judgement, caused: int) -> None:
        """Keep what judging found.

        Args:
            judgement: What was found.
            caused: Append time of the message that caused it, microseconds.
        """
        for account in judgement.changed.values():
            self.accounts[account.subject] = account
        for alert in judgement.alerts:
            kind = alert.__class__.__name__
            self.counts["alert", kind, alert.rule, alert.severity] += 1
            if not alert.historic:
                self._caused.append(caused)
        for failure in judgement.failures:
            self.counts["rule_failed", failure.rule] += 1
        for reason in judgement.held_back:
            self.counts["suppressed", reason] += 1
        self.alerts.extend(judgement.alerts)
        self.urgent |= bool(judgement.alerts)
        self.failures.extend(judgement.failures)

    def cut(
        self,
        ledger: Ledger,
        accounts: dict[str, Account],
        beside: Iterable[tuple[str, bytes | None]] = (),
    ) -> Cut:
        """Encode everything that waits, and begin anew.

        Args:
            ledger: The partition's ledger.
            accounts: All its accounts, by subject.
            beside: Changed records of other subjects.
        """
        stamp = ledger.record.stamp
        # First what is gone: an erased account may have begun anew.
        changed: list[tuple[str, bytes | None]] = [*self._gone]
        for account in self.accounts.values():
            account.facts.buckets.settle(account.judged)
            changed.extend(records(account))
        changed.extend(beside)
        changed.extend(ledger.changes())
        months = [(accounts[subject], first) for subject, first in sorted(self.months)]
        shown = [
            *self._gone_from_sight,
            *summary.records(self.accounts.values(), months, stamp, LeftOut(ledger).of),
        ]
        cut = Cut(stamp, changed, shown, self.alerts, self._rejects, self._caused)
        self.accounts, self.months, self.urgent = {}, set(), False
        self.alerts, self._rejects, self._caused = [], [], []
        self._gone, self._gone_from_sight = [], []
        return cut
