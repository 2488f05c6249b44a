"""What is folded and not written into the view yet, and how people are shown it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from schemas.accounts import AccountDays, AccountSummary, days_key
from services.alerts import showing
from services.alerts.accounts import Accounts
from services.alerts.cases.case import Answer, Case
from services.alerts.cases.partition import Partition
from services.alerts.cases.timeline import Entry
from services.alerts.showing import ShownCase
from services.alerts.shown import ActionAnswer, Change
from services.alerts.view import Batch
from services.runtime import get_logger

Shown = TypeVar("Shown")

_log = get_logger(__name__)


@dataclass(slots=True)
class Backlog:
    """What is folded and not written yet; of one case, account or month once.

    Attributes:
        cases: New entries of the timelines of cases that changed, possibly none.
        answers: Verdicts of actions.
        summaries: Of accounts.
        days: Months of accounts, by record key.
        gone: Record keys of `accounts.v1` that were deleted.
        offset: Offset in `accounts.v1` up to which all this is known; -1 for nothing.
    """

    cases: dict[str, list[Entry]] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    summaries: dict[str, AccountSummary] = field(default_factory=dict)
    days: dict[str, AccountDays] = field(default_factory=dict)
    gone: dict[str, None] = field(default_factory=dict)
    offset: int = -1

    def __len__(self) -> int:
        """Return how many things wait."""
        held = (self.cases, self.answers, self.summaries, self.days, self.gone)
        return sum(len(one) for one in held)

    def note_cases(self, changed: Mapping[str, list[Entry]], answers: Iterable[Answer]) -> None:
        """Take what a fold has changed, as `Partition.take_changed` and `take_answers` say."""
        for case, entries in changed.items():
            self.cases.setdefault(case, []).extend(entries)
        self.answers.extend(answers)

    def note_account(
        self, key: str, found: AccountSummary | AccountDays | None, offset: int
    ) -> None:
        """Take a record of `accounts.v1`.

        Args:
            key: The record's key.
            found: What it holds; None for a deletion.
            offset: The record's offset.
        """
        self.offset = offset
        for held in (self.summaries, self.days, self.gone):
            held.pop(key, None)
        if found is None:
            self.gone[key] = None
        elif isinstance(found, AccountSummary):
            self.summaries[found.account] = found
        else:
            self.days[days_key(found.account, found.month)] = found

    def alerts(self) -> list[int]:
        """Return when the records of alerts in it were appended, microseconds."""
        entries = (entry for entries in self.cases.values() for entry in entries)
        return [entry.at for entry in entries if entry.type.startswith("alert.")]


class Display:
    """Shows a partition's cases as they are when they are asked for.

    Args:
        partition: The partition.
        accounts: The summaries of its accounts.
    """

    def __init__(self, partition: Partition, accounts: Accounts) -> None:
        self._partition = partition
        self._accounts = accounts

    def batch(self, backlog: Backlog, as_of: float) -> Batch:
        """Return what the view is to write.

        Args:
            backlog: What waits, all of it folded into the partition.
            as_of: Up to when the partition is known, seconds since 1970-01-01 UTC.
        """
        batch = Batch(
            stamp=self._partition.stamp,
            appended=self._partition.appended,
            as_of=as_of,
            answers=[showing.answer_shown(answer) for answer in backlog.answers],
            summaries=list(backlog.summaries.values()),
            days=list(backlog.days.values()),
            gone=list(backlog.gone),
        )
        for id, entries in backlog.cases.items():
            case = self._partition.cases[id]
            found = _contained(case, partial(self._changed, case, entries))
            if found is not None:
                batch.cases.append(found[0])
                batch.changes.extend(found[1])
        return batch

    # Both are walked while the fold goes on, so they walk over what there was when they began.
    def cases(self) -> Iterator[ShownCase]:
        """Yield all of every case, as it is when it is taken."""
        for case in list(self._partition.cases.values()):
            found = _contained(case, partial(self._whole, case))
            if found is not None:
                yield found

    def answers(self) -> Iterator[ActionAnswer]:
        """Yield the newest verdicts of every case, and those on cases that there were not."""
        for answer in self._partition.turned_away():
            yield showing.answer_shown(answer)
        for case in list(self._partition.cases.values()):
            for answer in list(case.answers.values()):
                yield showing.answer_shown(answer)

    def _changed(self, case: Case, entries: list[Entry]) -> tuple[ShownCase, list[Change]]:
        shown = showing.shown(case, self._accounts.summary(case.id), entries)
        return shown, showing.changes(case, entries)

    def _whole(self, case: Case) -> ShownCase:
        return showing.whole(case, self._accounts.summary(case.id))


def _contained(case: Case, show: Callable[[], Shown]) -> Shown | None:
    """Show a case; one that cannot be shown must not take the others along."""
    try:
        return show()
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        _log.error("case not shown", case=case.id, error=repr(error))
        return None
