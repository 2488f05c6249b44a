"""An action goes into the log; its verdict comes by the view, or is asked for later."""

import asyncio
import contextlib

import pytest

from schemas.cases import Action
from services.alerts.desk import Desk, LogAway
from services.alerts.shown import ActionAnswer
from services.alerts.view import ViewAway
from tests.platform import eventually
from tests.unit.alerts.builders import acknowledged


class Log:
    """A log that takes everything, unless it is away."""

    def __init__(self, away: bool = False) -> None:
        self.taken: list[Action] = []
        self._away = away

    async def append(self, record: Action, within: float) -> None:
        if self._away:
            raise LogAway("Kafka is away")
        self.taken.append(record)


class View:
    """Verdicts by case and action, unless it is away."""

    def __init__(self, away: bool = False) -> None:
        self.answers: dict[tuple[str, str | None], ActionAnswer] = {}
        self.asked = 0
        self.away = away

    async def answer(self, action_id: str, account: str | None = None) -> ActionAnswer | None:
        self.asked += 1
        if self.away:
            raise ViewAway("Redis is away")
        return self.answers.get((action_id, account))


ACTION = acknowledged(id="a1")
APPLIED = ActionAnswer(id="a1", account="acme", status="applied", version=2, state="acknowledged")
PENDING = ActionAnswer(id="a1", account="acme", status="pending")


async def test_the_verdict_is_waited_for() -> None:
    log, view = Log(), View()
    acting = asyncio.ensure_future(Desk(log, view, 60.0).act(ACTION))
    await eventually(lambda: view.asked > 2, what="the view to be asked again")
    # Of another case that knows the same id.
    view.answers["a1", "beta"] = APPLIED
    view.answers["a1", "acme"] = APPLIED
    assert await acting == APPLIED
    assert log.taken == [ACTION]


async def test_without_a_verdict_in_time_the_action_is_pending() -> None:
    assert await Desk(Log(), View(), 0.05).act(ACTION) == PENDING


async def test_while_redis_is_away_the_action_is_taken_and_pending_at_once() -> None:
    log = Log()
    assert await asyncio.wait_for(Desk(log, View(away=True), 60.0).act(ACTION), 5) == PENDING
    assert log.taken == [ACTION]


async def test_a_redis_that_goes_away_meanwhile_leaves_it_pending() -> None:
    view = View()
    acting = asyncio.ensure_future(Desk(Log(), view, 60.0).act(ACTION))
    await eventually(lambda: view.asked > 0)
    view.away = True
    assert await asyncio.wait_for(acting, 5) == PENDING


async def test_an_action_that_the_log_does_not_take_is_refused() -> None:
    view = View()
    with pytest.raises(LogAway, match="Kafka is away"):
        await Desk(Log(away=True), view, 60.0).act(ACTION)
    assert view.asked == 0


async def test_a_view_that_loses_the_end_of_the_wait_does_not_prolong_it() -> None:
    class Deaf(View):
        async def answer(self, action_id: str, account: str | None = None) -> None:
            # As redis-py does when the cancellation comes just as a command was sent.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)

    assert await asyncio.wait_for(Desk(Log(), Deaf(), 0.02).act(ACTION), 5) == PENDING
