"""A view, a desk and a directory without Redis and Kafka, for tests of the API and the console."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal

import msgspec

from schemas.cases import (
    Action,
    CaseAcknowledged,
    CaseAssigned,
    CaseReopened,
    CaseResolved,
    CaseSnoozed,
    FeedbackRecord,
)
from services.alerts.appender import LogAway
from services.alerts.directory import DirectorySnapshot
from services.alerts.shown import (
    AccountPage,
    AccountShown,
    ActionAnswer,
    AlertShown,
    CaseShown,
    CaseState,
    Change,
    Freshness,
)
from services.alerts.view import Trimmed, ViewAway

NOW = datetime(2026, 5, 14, 9, 30, tzinfo=UTC)
MOVING = (CaseSnoozed, CaseResolved, CaseAssigned, CaseReopened)
"""Actions that a case that has moved on refuses."""
STATES: dict[str, CaseState] = {
    "CaseAcknowledged": "acknowledged",
    "CaseSnoozed": "snoozed",
    "CaseResolved": "resolved",
    "CaseReopened": "open",
}


def alert(account: str = "acct_1", **changes: Any) -> AlertShown:
    """An open alert of high severity about API calls."""
    fields: dict[str, Any] = {
        "alert_id": f"alert-of-{account}",
        "rule": "usage.drop",
        "rule_set": 7,
        "kind": "usage_drop",
        "object": "api_calls",
        "title": "Usage drop",
        "day": date(2026, 5, 13),
        "fired_at": datetime(2026, 5, 14, 0, 15, tzinfo=UTC),
        "severity": "high",
        "category": "early_signals",
        "churn_kind": "voluntary",
        "headline": "api_calls fell 42 % in 28 days",
    }
    return AlertShown(account=account, **fields | changes)


def case(account: str = "acct_1", **changes: Any) -> CaseShown:
    """An open case with one alert, 12,000.00 EUR a year, that renews in 32 days."""
    fields: dict[str, Any] = {
        "name": "Acme Ltd",
        "state": "open",
        "version": 1,
        "severity": "high",
        "owner": "ana",
        "segment": "mid-market",
        "arr": 1_200_000,
        "currency": "EUR",
        "renewal_on": date(2026, 6, 15),
        "opened_at": datetime(2026, 5, 14, 0, 15, tzinfo=UTC),
        "changed_at": datetime(2026, 5, 14, 0, 15, tzinfo=UTC),
        "alerts": [alert(account)],
    }
    return CaseShown(account=account, **fields | changes)


def page_of(case: CaseShown) -> AccountPage:
    """The account page of a case."""
    return AccountPage(
        account=case.account,
        name=case.name,
        owner=case.owner,
        arr=case.arr,
        currency=case.currency,
        renewal_on=case.renewal_on,
        case=case,
        alerts=case.alerts,
    )


class FakeView:
    """A view of what is put into it; `away` makes every method raise `ViewAway`."""

    def __init__(self, *cases: CaseShown) -> None:
        self.away = False
        self.fresh = Freshness(as_of=NOW, partitions=8, current=8, complete=True, stale=False)
        self.pages: dict[str, AccountPage] = {}
        self.answers: dict[str, ActionAnswer] = {}
        self.stream: list[Change] = []
        self.trimmed = 0
        self.looks = 0
        self.spark: list[float | None] = [None, *map(float, range(27))]
        self._arrived = asyncio.Condition()
        for one in cases:
            self.put(one)

    def put(self, case: CaseShown) -> None:
        """Let a case be as given, and its account's page show it."""
        page = self.pages.get(case.account, page_of(case))
        self.pages[case.account] = page.model_copy(update={"case": case, "alerts": case.alerts})

    async def tell(self, *changes: Change) -> None:
        """Append messages to the stream; their ids count from `1-0` on."""
        for change in changes:
            place = f"{len(self.stream) + 1}-0"
            self.stream.append(change.model_copy(update={"id": place}))
        async with self._arrived:
            self._arrived.notify_all()

    async def cases(self, resolved: bool = False) -> list[CaseShown]:
        self._ask()
        found = [page.case for page in self.pages.values() if page.case is not None]
        return [case for case in found if (case.state == "resolved") == resolved]

    async def case(self, account: str) -> CaseShown | None:
        self._ask()
        page = self.pages.get(account)
        return None if page is None else page.case

    async def account(self, account: str) -> AccountPage | None:
        self._ask()
        return self.pages.get(account)

    async def accounts(
        self, query: str, after: str | None, limit: int
    ) -> tuple[list[AccountShown], str | None]:
        self._ask()
        named = (page for _, page in sorted(self.pages.items()) if page.account > (after or ""))
        found = [
            AccountShown(
                **page.model_dump(include={"account", "name", "owner", "arr", "currency"}),
                open_alerts=len(page.alerts),
                state=page.case.state if page.case else None,
            )
            for page in named
            if any(
                word.casefold().startswith(query.casefold())
                for word in (page.account, *(page.name or "").split())
            )
        ]
        return found[:limit], found[limit - 1].account if len(found) > limit else None

    async def alert(self, alert_id: str) -> AlertShown | None:
        self._ask()
        return next((one for one in self._alerts() if one.alert_id == alert_id), None)

    async def alerts(
        self, open_only: bool, after: str | None, limit: int
    ) -> tuple[list[AlertShown], str | None]:
        self._ask()
        found = [one for one in self._alerts() if one.open or not open_only]
        found = found[int(after or 0) :]
        begin = int(after or 0) + limit
        return found[:limit], str(begin) if len(found) > limit else None

    async def answer(self, action_id: str, account: str | None = None) -> ActionAnswer | None:
        self._ask()
        found = self.answers.get(action_id)
        return found if found and account in (None, found.account) else None

    async def sparks(
        self, wanted: Sequence[tuple[str, str]], today: date
    ) -> list[list[float | None]]:
        self._ask()
        return [self.spark for _ in wanted]

    async def freshness(self) -> Freshness:
        self._ask()
        self.looks += 1
        return self.fresh

    async def tip(self) -> str:
        self._ask()
        return self.stream[-1].id if self.stream else "0-0"

    async def changes(self, after: str | None, block_ms: int, limit: int) -> list[Change]:
        self._ask()
        place = int((after or await self.tip()).partition("-")[0])
        if place < self.trimmed or place > len(self.stream):
            raise Trimmed
        if place == len(self.stream) and block_ms:
            try:
                async with asyncio.timeout(block_ms / 1000), self._arrived:
                    await self._arrived.wait()
            except TimeoutError:
                pass
            self._ask()
        return self.stream[place : place + limit]

    def _alerts(self) -> list[AlertShown]:
        return [one for page in self.pages.values() for one in page.alerts]

    def _ask(self) -> None:
        if self.away:
            raise ViewAway("Redis at 127.0.0.1:16379 does not answer; start it")


@dataclass
class FakeDesk:
    """Folds actions into a fake view at once, as far as the API and the console can tell.

    Attributes:
        view: What it changes.
        heard: All actions, in order.
        verdict: `pending` for a desk that hears nothing in time, `away` for a log that is.
    """

    view: FakeView
    heard: list[Action] = field(default_factory=list)
    verdict: Literal["at once", "pending", "away"] = "at once"

    async def act(self, action: Action) -> ActionAnswer:
        if self.verdict == "away":
            raise LogAway("the alert log did not take a record in time")
        self.heard.append(action)
        if self.verdict == "pending":
            return ActionAnswer(id=action.id, account=action.case, status="pending")
        answer = await self._fold(action)
        self.view.answers[action.id] = answer
        return answer

    async def _fold(self, action: Action) -> ActionAnswer:
        page = self.view.pages.get(action.case)
        found = page.case if page else None
        if found is None:
            return self._answer(action, "unknown_case", None)
        if isinstance(action, FeedbackRecord):
            known = any(one.alert_id == action.alert_id for one in found.alerts)
            return self._answer(action, "applied" if known else "unknown_alert", found)
        state = STATES.get(type(action).__name__)
        if isinstance(action, CaseAcknowledged) and found.state != "open":
            return self._answer(action, "unchanged", found)
        if isinstance(action, MOVING) and action.seen not in (None, found.version):
            return self._answer(action, "conflict", found)
        if state is not None:
            until = action.until if isinstance(action, CaseSnoozed) else None
            changes = {"state": state, "version": found.version + 1, "until": until}
            found = found.model_copy(update=changes)
            self.view.put(found)
            type_ = str(msgspec.to_builtins(action)["type"])
            told = Change(id="", type=type_, account=action.case, version=found.version)
            await self.view.tell(told)
        return self._answer(action, "applied", found)

    def _answer(
        self,
        action: Action,
        status: Literal["applied", "unchanged", "conflict", "unknown_case", "unknown_alert"],
        case: CaseShown | None,
    ) -> ActionAnswer:
        return ActionAnswer(
            id=action.id,
            account=action.case,
            status=status,
            version=case.version if case else None,
            state=case.state if case else None,
        )


@dataclass
class FakeDirectory:
    """A directory that says what it is given."""

    snapshot: DirectorySnapshot = field(default_factory=DirectorySnapshot)
