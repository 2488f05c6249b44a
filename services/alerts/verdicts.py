"""From an action to its answer: what the view knows already, else what the desk hears."""

from collections import OrderedDict
from typing import Final

from schemas.cases import Action
from services.alerts.acting import no_case
from services.alerts.ports import Desk, Reader
from services.alerts.shown import ActionAnswer, CaseShown
from services.alerts.view import ViewAway

REMEMBERED: Final = 10_000
"""Actions of this process whose verdict was not known in time."""


class Verdicts:
    """Takes actions of people; the API and the console each have one. Safe between tasks.

    The view is asked first, and never needed: without it every action goes into the log, and the
    fold knows the ids that it has seen.

    Args:
        view: Knows verdicts of the last seven days, and cases.
        desk: Appends to the log and waits for the verdict.
    """

    def __init__(self, view: Reader, desk: Desk) -> None:
        self._view = view
        self._desk = desk
        # Two cases may know the same id.
        self._pending: OrderedDict[tuple[str, str], ActionAnswer] = OrderedDict()

    async def on(self, action: Action) -> ActionAnswer:
        """Act, once: an id that is known gets its first answer again.

        Args:
            action: As `acting.to_action` made it.

        Raises:
            LogAway: The log did not take it in time; to repeat it with the same id is safe.
        """
        known = await self._known(action)
        if known is not None:
            return known
        answer = await self._desk.act(action)
        if answer.status == "pending":
            self._remember(answer)
        return answer

    async def asked(self, id: str, account: str | None = None) -> ActionAnswer | None:
        """Return the answer to an action of some time ago; None if nobody knows it.

        Args:
            id: The action's.
            account: Only if it was done to this account's case; None takes any that knows the id.

        Raises:
            ViewAway: The view cannot be asked, and this process has not taken the action.
        """
        pending = self._waiting(id, account)
        try:
            return await self._view.answer(id, account) or pending
        except ViewAway:
            if pending is None:
                raise
            return pending

    async def case(self, account: str) -> CaseShown | None:
        """Return a case as it is after an action; None also if the view cannot be asked."""
        try:
            return await self._view.case(account)
        except ViewAway:
            return None

    async def _known(self, action: Action) -> ActionAnswer | None:
        try:
            first = await self._view.answer(action.id, action.case)
            if first is not None or await self._has_case(action.case):
                return first
            freshness = await self._view.freshness()
        except ViewAway:
            return None
        if freshness.stale or not freshness.complete:
            # It may just not be in the view yet: the fold decides.
            return None
        detail = no_case(action.case)
        return ActionAnswer(id=action.id, account=action.case, status="unknown_case", detail=detail)

    async def _has_case(self, account: str) -> bool:
        if await self._view.case(account) is not None:
            return True
        # Of an account with shadow alerts only there is a case that no list shows.
        page = await self._view.account(account)
        return page is not None and bool(page.alerts)

    def _waiting(self, id: str, account: str | None) -> ActionAnswer | None:
        if account is not None:
            return self._pending.get((id, account))
        return next((one for (known, _), one in self._pending.items() if known == id), None)

    def _remember(self, answer: ActionAnswer) -> None:
        self._pending[answer.id, answer.account] = answer
        while len(self._pending) > REMEMBERED:
            self._pending.popitem(last=False)
