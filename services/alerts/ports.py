"""What the API and the console need of the view and of the desk, and no more."""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from schemas.cases import Action
from services.alerts.directory import DirectorySnapshot
from services.alerts.shown import (
    AccountPage,
    AccountShown,
    ActionAnswer,
    AlertShown,
    CaseShown,
    Change,
    Freshness,
)


class Changes(Protocol):
    """The live stream, as `view.View` reads it; any method may raise `ViewAway`."""

    async def freshness(self) -> Freshness:
        """Return how far what is read can be relied on."""

    async def tip(self) -> str:
        """Return the id of the newest message."""

    async def changes(self, after: str | None, block_ms: int, limit: int) -> list[Change]:
        """Return messages after a place; raises `Trimmed` if some of them may be missing."""


class Reader(Changes, Protocol):
    """The view's reading side, as `view.View` has it; any method may raise `ViewAway`."""

    async def cases(self, resolved: bool = False) -> list[CaseShown]:
        """Return all cases that are not resolved, or all that are."""

    async def case(self, account: str) -> CaseShown | None:
        """Return one case."""

    async def account(self, account: str) -> AccountPage | None:
        """Return all that is known of an account."""

    async def accounts(
        self, query: str, after: str | None, limit: int
    ) -> tuple[list[AccountShown], str | None]:
        """Return accounts by id, and where the next page begins."""

    async def alert(self, alert_id: str) -> AlertShown | None:
        """Return an alert with its evidence."""

    async def alerts(
        self, open_only: bool, after: str | None, limit: int
    ) -> tuple[list[AlertShown], str | None]:
        """Return alerts without evidence, the newest first, and where the next page begins."""

    async def answer(self, action_id: str, account: str | None = None) -> ActionAnswer | None:
        """Return the verdict on an action."""

    async def sparks(
        self, wanted: Sequence[tuple[str, str]], today: date
    ) -> list[list[float | None]]:
        """Return 28 daily values per (account, metric), up to the day before `today`."""


class Desk(Protocol):
    """Where actions go, as `desk.Desk` takes them."""

    async def act(self, action: Action) -> ActionAnswer:
        """Append an action and wait a while for its verdict; raises `LogAway`."""


class Directory(Protocol):
    """The company's people and channels, as `directory.Directory` follows them."""

    @property
    def snapshot(self) -> DirectorySnapshot:
        """What the directory says now."""
