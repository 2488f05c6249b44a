"""A partition's part of the view: written as it is folded, and anew when it is lost."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from fakeredis import FakeServer

from schemas.accounts import AccountDays, AccountSummary
from schemas.cases import LogRecord
from services.alerts import showing
from services.alerts.accounts import Accounts
from services.alerts.cases.partition import Partition
from services.alerts.projection import Projection
from services.alerts.shown import CaseShown
from services.alerts.view import View
from tests.contract.redis_servers import RedisServer, fake
from tests.platform import eventually
from tests.unit.alerts.builders import Log, acknowledged, cleared, raised, resolved


class Desk:
    """One partition, folded, with its part of a view on a fake Redis."""

    def __init__(self, server: FakeServer | None = None) -> None:
        self.server = server or FakeServer()
        self.redis: RedisServer = fake(self.server)
        self.view: View = self.redis.view(1)
        self.partition = Partition.begin(0, 1)
        self.accounts = Accounts()
        self.stored: dict[str, AccountSummary | AccountDays] = {}
        self.log = Log()
        self.away: list[str] = []
        self.written: list[float] = []
        self.projection = self.projected("first")

    def projected(self, epoch: str) -> Projection:
        return Projection(
            self.view,
            self.partition,
            self.accounts,
            epoch,
            self._read,
            self,
            self.redis.clock,
        )

    async def _read(self) -> AsyncIterator[AccountSummary | AccountDays]:
        for one in list(self.stored.values()):
            yield one

    def view_written(self, seconds: Sequence[float]) -> None:
        self.written += seconds

    def view_away(self, partition: int, reason: str) -> None:
        self.away.append(reason)

    @property
    def whole(self) -> bool:
        return bool(self.away) and self.away[-1] == ""

    def fold(self, *records: LogRecord) -> None:
        """Fold records, and hand what changed to the projection as the consumer does."""
        for record in records:
            at = len(self.log.messages)
            self.log.add(record)
            self.partition.apply(*self.log.messages[at])
        changed, answers = self.partition.take_changed(), self.partition.take_answers()
        self.projection.note_cases(changed, answers)

    def account(self, key: str, record: AccountSummary | AccountDays | None) -> None:
        """Take a record of `accounts.v1`, as the consumer does."""
        former = self.accounts.summary(key)
        self.accounts.take(key, None if record is None else msgspec.json.encode(record))
        if record is None:
            self.stored.pop(key)
        else:
            self.stored[key] = record
        self.projection.note_account(key, record, former, len(self.stored))

    async def shown(self) -> dict[str, CaseShown]:
        return {case.account: case for case in await self.view.cases()}


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    yield made
    await made.projection.stop()
    await made.redis.close()


async def test_what_is_folded_can_be_read_and_a_verdict_too(desk: Desk) -> None:
    desk.projection.start(-1)
    desk.fold(raised(), acknowledged(id="a1"))
    await eventually(lambda: len(desk.written) == 1)
    (case,) = (await desk.shown()).values()
    assert (case.account, case.state, case.version) == ("acme", "acknowledged", 2)
    answer = await desk.view.answer("a1")
    assert answer is not None
    assert (answer.status, answer.account) == ("applied", "acme")
    assert [change.type for change in await desk.view.changes("0-0", 0, 10)] == [
        "alert.raised",
        "case.acknowledged",
    ]


async def test_nothing_is_written_before_the_names_are_known(desk: Desk) -> None:
    desk.fold(raised(stamp=1))
    desk.account("acme", AccountSummary(account="acme", stamp=2, name="Acme Ltd"))
    assert await desk.redis.keys() == []
    desk.projection.start(0)
    await eventually(lambda: len(desk.written) == 1)
    assert (await desk.shown())["acme"].name == "Acme Ltd"


async def test_a_new_owner_of_the_account_changes_the_line_of_its_case(desk: Desk) -> None:
    desk.projection.start(-1)
    desk.fold(raised(stamp=1, owner="ana"))
    desk.account("acme", AccountSummary(account="acme", stamp=2, owner="ben"))

    async def owner() -> str | None:
        found = (await desk.shown()).get("acme")
        return found.owner if found else None

    await eventually(lambda: desk.whole)

    async def bens() -> bool:
        return await owner() == "ben"

    await eventually(bens, what="ben to be the owner")


async def test_a_lost_view_is_whole_again_with_everything_that_was_folded(desk: Desk) -> None:
    desk.projection.start(-1)
    desk.account("acme", AccountSummary(account="acme", stamp=2, name="Acme Ltd"))
    days = AccountDays(account="acme", month="2026-05", metrics={"usage": [3.0]})
    desk.account("acme/days/2026-05", days)
    desk.fold(raised(), acknowledged(id="a1"), raised("b", account="beta"))
    await eventually(lambda: len(desk.written) == 2)
    before = await desk.shown()
    await desk.redis.client.flushall()

    async def back() -> bool:
        freshness = await desk.view.freshness()
        return freshness.complete and await desk.shown() == before

    assert not (await desk.view.freshness()).complete
    await eventually(back, what="the view to be back")
    page = await desk.view.account("acme")
    assert page is not None
    assert (page.days, len(page.timeline)) == ({"usage": {"2026-05-01": 3.0}}, 2)
    assert await desk.view.answer("a1") is not None


async def test_a_lost_view_tells_again_that_there_was_no_such_case(desk: Desk) -> None:
    desk.projection.start(-1)
    desk.fold(acknowledged(id="a1", case="nobody"))

    async def verdict() -> str | None:
        answer = await desk.view.answer("a1", "nobody")
        return answer.status if answer else None

    assert await eventually(verdict) == "unknown_case"
    await desk.redis.client.flushall()
    assert await eventually(verdict) == "unknown_case"


async def test_what_is_folded_while_redis_is_away_is_shown_when_it_is_back(desk: Desk) -> None:
    desk.projection.start(-1)
    desk.fold(raised())
    await eventually(lambda: len(desk.written) == 1)
    desk.server.connected = False
    desk.fold(raised("b", account="beta"), cleared("a"))
    await eventually(lambda: not desk.whole, what="the view to be missed")
    desk.fold(raised("c", account="gamma"))
    desk.server.connected = True

    async def all_there() -> bool:
        return sorted(await desk.shown()) == ["beta", "gamma"]

    await eventually(all_there, what="everything to be shown")
    await eventually(lambda: desk.whole)


async def test_a_redis_that_was_away_from_the_start_misses_nothing(desk: Desk) -> None:
    desk.server.connected = False
    desk.projection.start(-1)
    desk.fold(raised())
    await eventually(lambda: "EBBWATCH_REDIS_URL" in desk.away[-1], what="the reason to be told")
    desk.server.connected = True

    async def there() -> bool:
        return list(await desk.shown()) == ["acme"]

    await eventually(there, what="the case to be shown")


async def test_too_much_that_waits_is_forgotten_and_written_from_the_fold(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.alerts.projection.BACKLOG_LIMIT", 3)
    for n in range(9):
        desk.fold(raised(f"a{n}", account=f"acct_{n}"))
    desk.projection.start(-1)

    async def all_there() -> bool:
        return len(await desk.shown()) == 9

    await eventually(all_there, what="all cases to be shown")


async def test_an_owner_that_was_superseded_takes_its_partition_back_and_rebuilds_it(
    desk: Desk,
) -> None:
    desk.projection.start(-1)
    desk.fold(raised())
    await eventually(lambda: len(desk.written) == 1)
    # Somebody who thinks that the partition is theirs, and has folded nothing.
    other = desk.redis.view(1)
    assert not await other.claim(0, "zombie", -1, -1)
    desk.fold(raised("b", account="beta"))
    await eventually(lambda: not desk.whole, what="the other one to be noticed")
    # Whether it is still ours is known only from a log that is read to its end.
    desk.projection.as_of = desk.redis.clock()

    async def both() -> bool:
        return sorted(await desk.shown()) == ["acme", "beta"] and desk.whole

    await eventually(both, what="both cases to be shown")


async def test_who_has_lost_the_partition_without_knowing_takes_its_view_from_nobody(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.alerts.projection.BEAT_SECONDS", 0.02)
    zombie = Desk(desk.server)
    zombie.projection = zombie.projected("zombie")
    zombie.projection.as_of = zombie.redis.clock() - 60
    zombie.fold(raised())
    zombie.projection.start(-1)
    await eventually(lambda: zombie.whole)
    desk.projection.as_of = desk.redis.clock()
    desk.fold(raised(), resolved("saved"))
    desk.projection.start(-1)
    await eventually(lambda: desk.whole)
    tries, seen = len(zombie.away), set()

    async def tried_often() -> bool:
        case = await desk.view.case("acme")
        seen.add(case.state if case else None)
        return len(zombie.away) >= tries + 20

    await eventually(tried_often, what="the other one to try again")
    await zombie.projection.stop()
    await zombie.view.close()
    assert seen == {"resolved"}
    assert "another owner writes it" in zombie.away[-2]


async def test_a_case_that_cannot_be_shown_takes_no_other_along(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = showing.shown

    def poisoned(case: object, *rest: object) -> object:
        if case is desk.partition.cases["acme"]:
            raise ValueError("poison")
        return shown(case, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(showing, "shown", poisoned)
    desk.projection.start(-1)
    desk.fold(raised(), raised("b", account="beta"))
    await eventually(lambda: len(desk.written) == 2)

    async def other() -> bool:
        return "beta" in await desk.shown()

    await eventually(other, what="the other case to be shown")


async def test_how_far_accounts_are_written_is_told_only_of_a_whole_view(desk: Desk) -> None:
    assert desk.projection.accounts_written == -1
    desk.projection.start(7)
    await eventually(lambda: desk.projection.accounts_written == 7)
    desk.account("acme", AccountSummary(account="acme", stamp=2))
    desk.account("beta", AccountSummary(account="beta", stamp=2))
    assert desk.projection.accounts_written == 7
    desk.projection.note_account("acme", None, None, 20)
    await eventually(lambda: desk.projection.accounts_written == 20)


async def cancelled_by_nobody(name: str) -> None:
    """Cancel a task as a client of ours might, and wait until it has ended."""
    (task,) = [one for one in asyncio.all_tasks() if name in repr(one.get_coro())]
    task.cancel()
    await asyncio.wait({task})


async def test_a_task_that_is_cancelled_by_nobody_who_stops_ends_the_process(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    desk.projection.start(-1)
    await eventually(lambda: desk.whole)
    await cancelled_by_nobody("Projection._run")
    assert len(left) == 1
    await desk.projection.stop()
    assert len(left) == 1


async def test_who_stops_it_ends_no_process(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    desk.projection.start(-1)
    await eventually(lambda: desk.whole)
    await desk.projection.stop()
    assert left == []


async def test_a_rebuild_that_is_cancelled_by_nobody_who_stops_is_begun_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.alerts.projection.BEAT_SECONDS", 0.02)
    tries = 0

    async def cancelled() -> AsyncIterator[AccountSummary | AccountDays]:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise asyncio.CancelledError
        for one in list(desk.stored.values()):
            yield one

    monkeypatch.setattr(desk, "_read", cancelled)
    desk.projection = desk.projected("first")
    desk.fold(raised())
    desk.projection.start(-1)

    async def whole() -> bool:
        return (await desk.view.freshness()).complete

    await eventually(whole, what="the view to be whole")
    assert list(await desk.shown()) == ["acme"]
    assert "its rebuild was cancelled by one of its own tasks" in desk.away


async def test_a_partition_that_was_given_up_is_held_against_nobody(desk: Desk) -> None:
    desk.server.connected = False
    desk.projection.start(-1)
    await eventually(lambda: "EBBWATCH_REDIS_URL" in desk.away[-1], what="the reason")
    await desk.projection.stop()
    desk.server.connected = True
    assert desk.away[-1] == ""


@pytest.mark.parametrize("turns", range(5))
async def test_an_end_that_comes_just_as_something_is_folded_is_heard(
    desk: Desk, turns: int
) -> None:
    desk.projection.start(-1)
    await eventually(lambda: desk.whole)
    desk.fold(raised())
    for _ in range(turns):
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await desk.projection.stop()
