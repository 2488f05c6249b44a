"""What the owner of a partition writes into the view at once."""

from dataclasses import dataclass, field

from schemas.accounts import AccountDays, AccountSummary, days_key
from services.alerts.showing import ShownCase
from services.alerts.shown import ActionAnswer, Change


@dataclass(slots=True)
class Batch:
    """Changes of one partition, in the order in which they were folded.

    Attributes:
        cases: Cases that changed; of one account the last one stands.
        answers: Verdicts of actions.
        summaries: Of accounts.
        days: Months of accounts' daily series.
        gone: Record keys of `accounts.v1` that were deleted, accounts or months of accounts, and
            not written again in this batch.
        changes: Messages for the live stream; their `id` is given by the stream.
        stamp: Offset in `alerts.v1` up to which all this is folded; -1 for nothing.
        appended: Append time of the record at `stamp`, microseconds; -1 for nothing.
        as_of: Up to when everything is known, seconds since 1970.
    """

    stamp: int = -1
    appended: int = -1
    as_of: float = 0.0
    cases: list[ShownCase] = field(default_factory=list)
    answers: list[ActionAnswer] = field(default_factory=list)
    summaries: list[AccountSummary] = field(default_factory=list)
    days: list[AccountDays] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def __len__(self) -> int:
        """Return how many things it holds."""
        lists = (self.cases, self.answers, self.summaries, self.days, self.gone, self.changes)
        return sum(len(one) for one in lists)

    def add(self, later: "Batch") -> None:
        """Take over what a later batch holds; what was written and then deleted is deleted."""
        gone = set(later.gone)
        back = {one.account for one in later.summaries} | {_key(one) for one in later.days}
        self.cases += later.cases
        self.answers += later.answers
        self.summaries = [one for one in self.summaries if one.account not in gone]
        self.summaries += later.summaries
        self.days = [one for one in self.days if _key(one) not in gone] + later.days
        self.gone = [key for key in self.gone if key not in back] + later.gone
        self.changes += later.changes
        self.stamp = max(self.stamp, later.stamp)
        self.appended = max(self.appended, later.appended)
        self.as_of = max(self.as_of, later.as_of)


def _key(days: AccountDays) -> str:
    return days_key(days.account, days.month)
