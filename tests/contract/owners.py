"""Somebody who owns a partition: folds records and writes what changed, as the service does."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from schemas.accounts import AccountDays, AccountSummary
from schemas.cases import LogRecord
from services.alerts import showing
from services.alerts.cases.partition import Partition
from services.alerts.showing import ShownCase
from services.alerts.shown import ActionAnswer
from services.alerts.view import Batch, View
from tests.contract.redis_servers import RedisServer
from tests.unit.alerts import builders

Account = AccountSummary | AccountDays


@dataclass
class Owner:
    """The owner of one partition.

    Attributes:
        server: Where it writes.
        epoch: Its ownership.
        number: The partition.
        view: Its own view of the server.
        log: What it folds; shared by all owners of the partition.
        accounts: What stands in `accounts.v1`.
    """

    server: RedisServer
    epoch: str = "first"
    number: int = 0
    partitions: int = 1
    log: builders.Log = field(default_factory=builders.Log)
    accounts: list[Account] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.view: View = self.server.view(self.partitions)
        self.partition = Partition.begin(self.number, self.partitions)
        self.folded = 0

    async def begin(self) -> "Owner":
        """Take the partition over and write all of it."""
        await self.view.claim(self.number, self.epoch)
        await self.rebuild()
        return self

    async def rebuild(self) -> None:
        """Write all of the partition."""
        self.fold()
        await self.view.rebuild(
            self.number, self.epoch, self.cases(), self.answers(), self.records(), self.stamp
        )

    async def say(self, *records: LogRecord) -> Batch:
        """Append records, fold them and write what changed; returns what was written."""
        self.log.add(*records)
        batch = self.batch()
        await self.view.write(self.number, self.epoch, batch)
        return batch

    async def tell(self, *records: Account) -> None:
        """Write records of `accounts.v1`, and the cases that they change."""
        self.accounts += records
        batch = Batch(as_of=self.server.clock())
        for one in records:
            if isinstance(one, AccountDays):
                batch.days.append(one)
                continue
            batch.summaries.append(one)
            if one.account in self.partition.cases:
                case = self.partition.cases[one.account]
                batch.cases.append(showing.shown(case, one, []))
        await self.view.write(self.number, self.epoch, batch)

    def batch(self) -> Batch:
        """Fold what is new in the log and return what changed."""
        self.fold()
        batch = Batch(self.partition.stamp, self.partition.appended, self.server.clock())
        for id, entries in self.partition.take_changed().items():
            case = self.partition.cases[id]
            batch.cases.append(showing.shown(case, self.summary(id), entries))
            batch.changes += showing.changes(case, entries)
        batch.answers += [showing.answer_shown(one) for one in self.partition.take_answers()]
        return batch

    def fold(self) -> None:
        """Fold what is new in the log."""
        builders.apply(self.partition, self.log.messages[self.folded :])
        self.folded = len(self.log.messages)

    def summary(self, account: str) -> AccountSummary | None:
        """Return an account's newest summary."""
        found = [
            one
            for one in self.accounts
            if isinstance(one, AccountSummary) and one.account == account
        ]
        return found[-1] if found else None

    def cases(self) -> Iterable[ShownCase]:
        """Yield all cases as they are when they are asked for."""
        for case in list(self.partition.cases.values()):
            yield showing.whole(case, self.summary(case.id))

    def answers(self) -> Iterable[ActionAnswer]:
        """Yield all verdicts."""
        for case in list(self.partition.cases.values()):
            yield from (showing.answer_shown(one) for one in case.answers.values())

    async def records(self) -> AsyncIterator[Account]:
        """Yield what stands in `accounts.v1`."""
        for one in list(self.accounts):
            yield one

    def stamp(self) -> tuple[int, int, float]:
        """Return how far it has folded."""
        return self.partition.stamp, self.partition.appended, self.server.clock()
