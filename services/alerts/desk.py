"""Where people's actions go: into the log; the verdict of the case's owner comes by the view."""

import asyncio
import contextlib
from typing import Final, Protocol

from schemas.cases import Action
from services.alerts.appender import LogAway
from services.alerts.shown import ActionAnswer
from services.alerts.view import ViewAway

__all__ = ["Desk", "LogAway"]

APPEND_SECONDS: Final = 5.0
"""For the log to take an action; longer than that and the caller is told to repeat it."""
LOOKS_SECONDS: Final = (0.01, 0.02, 0.03, 0.05, 0.1)
"""Between two looks for the verdict; the last one again and again."""


class Log(Protocol):
    """Where actions go: `appender.Appender`."""

    async def append(self, record: Action, within: float) -> None:
        """Append a record; raises `LogAway` if it is not acknowledged in time."""


class Verdicts(Protocol):
    """Where verdicts are read: `view.View`."""

    async def answer(self, action_id: str, account: str | None = None) -> ActionAnswer | None:
        """Return the verdict on an action, if there is one yet."""


class Desk:
    """Takes actions on behalf of any replica; safe for many tasks at once.

    Args:
        log: Takes the actions.
        view: Where the verdicts appear.
        seconds: How long an action waits for its verdict, >= 0.
    """

    def __init__(self, log: Log, view: Verdicts, seconds: float) -> None:
        self._log = log
        self._view = view
        self._seconds = seconds

    async def act(self, action: Action) -> ActionAnswer:
        """Append an action, and wait a while for its verdict.

        Args:
            action: With an id of its own; one that is known already changes nothing.

        Returns:
            The verdict; `pending` if there is none yet, or the view is away.

        Raises:
            LogAway: The log did not take it in time; to repeat it with the same id is safe.
        """
        await self._log.append(action, APPEND_SECONDS)
        found: ActionAnswer | None = None
        with contextlib.suppress(TimeoutError, ViewAway):
            async with asyncio.timeout(self._seconds):
                found = await self._verdict(action)
        return found or ActionAnswer(id=action.id, account=action.case, status="pending")

    async def _verdict(self, action: Action) -> ActionAnswer | None:
        looks, clock = iter(LOOKS_SECONDS), asyncio.get_running_loop().time
        until = clock() + self._seconds
        # By the clock as well: until Python 3.12 redis-py may lose the cancellation by which a
        # timeout ends what it bounds, and it comes only once.
        while clock() < until:
            found = await self._view.answer(action.id, action.case)
            if found is not None:
                return found
            await asyncio.sleep(next(looks, LOOKS_SECONDS[-1]))
        return None
