"""The desk without Kafka and Redis: the real fold and the real shapes, in one process."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from schemas import cases
from schemas.accounts import AccountDays, AccountSummary
from schemas.cases import (
    Action,
    CaseAcknowledged,
    CaseAssigned,
    CaseCommented,
    CaseResolved,
    CaseSnoozed,
    LogRecord,
    NoticeDelivered,
    NoticeFailed,
    NoticeIntended,
    Target,
)
from schemas.config import ChannelHealth, RoutingRecord
from services.alerts import daily, showing
from services.alerts.appender import LogAway
from services.alerts.cases.partition import Partition
from services.alerts.channels import Channel
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
from services.alerts.view import Trimmed, ViewAway
from tests.browser.stories import PEOPLE, STORIES, alert_of, facts_of, months_of, summary_of

CRM = Channel(name="crm", kind="webhook", url="https://hooks.crm.example/ebbwatch")
PAGER = Channel(name="backup", kind="webhook", url="https://backup.example/in")


class World:
    """View, desk and directory at once.

    Args:
        now: The wall clock, aware UTC.
        empty: Without any account.
    """

    def __init__(self, now: Callable[[], datetime], empty: bool = False) -> None:
        self.now = now
        self.away = False
        self.pending = False
        self.log_away = False
        self.heard: list[Action] = []
        self.fresh: Freshness | None = None
        self.snapshot = DirectorySnapshot(
            people=PEOPLE,
            routing=RoutingRecord(signal_manager="kim"),
            channels={"crm": CRM, "backup": PAGER},
        )
        self._partition = Partition.begin(0, 1)
        self._offset = 0
        self._summaries: dict[str, AccountSummary] = {}
        self._days: dict[str, list[AccountDays]] = {}
        self._answers: dict[str, ActionAnswer] = {}
        self._stream: list[Change] = []
        self._arrived = asyncio.Condition()
        if not empty:
            self._begin()

    def _begin(self) -> None:
        now = self.now()
        for story in STORIES:
            self.summarise(summary_of(story, now), list(months_of(story, now.date())))
        alerts = [one for story in STORIES if (one := alert_of(story, now.date()))]
        alerts += [one for story in STORIES for one in facts_of(story, now.date())]
        for alert in sorted(alerts, key=lambda one: one.fired_at):
            self.fold(alert, alert.fired_at)
            self._deliver(alert.account, alert.fired_at)
        for at, action in _done(now):
            self.fold(action, at)
        self._partition.take_answers()
        self._partition.take_changed()

    def summarise(self, summary: AccountSummary, days: list[AccountDays] | None = None) -> None:
        """Let an account be known."""
        self._summaries[summary.account] = summary
        self._days[summary.account] = days or []

    def fold(self, record: LogRecord, at: datetime | None = None) -> None:
        """Append a record to the log and fold it."""
        key = getattr(record, "account", None) or record.case  # type: ignore[union-attr]
        micros = int((at or self.now()).timestamp() * 1_000_000)
        self._offset += 1
        self._partition.apply(self._offset, micros, key, cases.encode(record))
        assert self._partition.failures == []

    def _deliver(self, account: str, at: datetime) -> None:
        case = self._partition.cases[account]
        for notice in list(case.notices.values()):
            told = self._summaries[account].owner or "kim"
            why = "owner" if self._summaries[account].owner else "signal_manager"
            targets = [Target(channel="crm", person=told, why=why)]  # type: ignore[arg-type]
            head: dict[str, Any] = {"id": notice.id, "case": account, "at": at}
            self.fold(NoticeIntended(**head, targets=targets), at + timedelta(seconds=1))
            if account == "acct_tessellate":
                failed = NoticeFailed(
                    **head, channel="crm", attempt=1, reason="timeout", retry_at=at
                )
                self.fold(failed, at + timedelta(seconds=16))
            sent = NoticeDelivered(**head, channel="crm", attempt=1, answer="204", took_ms=41)
            self.fold(sent, at + timedelta(seconds=22))

    async def tell(self, record: LogRecord) -> None:
        """Fold a record and tell the live stream."""
        self.fold(record)
        self._partition.take_answers()
        await self._tell()

    async def _tell(self) -> None:
        for account, entries in self._partition.take_changed().items():
            for change in showing.changes(self._partition.cases[account], entries):
                place = f"{len(self._stream) + 1}-0"
                self._stream.append(change.model_copy(update={"id": place}))
        async with self._arrived:
            self._arrived.notify_all()

    # Desk
    async def act(self, action: Action) -> ActionAnswer:
        if self.log_away:
            raise LogAway("Kafka at 127.0.0.1:19092 did not take the record")
        self.heard.append(action)
        self.fold(action)
        for answer in self._partition.take_answers():
            self._answers[answer.id] = showing.answer_shown(answer)
        await self._tell()
        if self.pending:
            return ActionAnswer(id=action.id, account=action.case, status="pending")
        return self._answers[action.id]

    async def acknowledge(self, account: str) -> None:
        """Let somebody acknowledge a case elsewhere."""
        await self.act(CaseAcknowledged(id=account, case=account, by="kim", at=self.now()))

    # View
    async def cases(self, resolved: bool = False) -> list[CaseShown]:
        self._ask()
        shown = [self._case(account) for account in self._partition.cases]
        return [one for one in shown if one and (one.state == "resolved") == resolved]

    async def case(self, account: str) -> CaseShown | None:
        self._ask()
        return self._case(account)

    def _case(self, account: str) -> CaseShown | None:
        known = self._partition.cases.get(account)
        return showing.case_shown(known, self._summaries.get(account)) if known else None

    async def account(self, account: str) -> AccountPage | None:
        self._ask()
        summary, known = self._summaries.get(account), self._partition.cases.get(account)
        if summary is None and known is None:
            return None
        whole = showing.whole(known, summary) if known else None
        return showing.account_page(
            account,
            summary,
            whole.case if whole else None,
            whole.alerts if whole else (),
            list(whole.moments)[::-1] if whole else (),
            self._months(account),
            self.now(),
            {one.month: one.left_out for one in self._days.get(account, ())},
        )

    def _months(self, account: str) -> dict[str, dict[str, list[float]]]:
        return {one.month: one.metrics for one in self._days.get(account, ())}

    async def accounts(
        self, query: str, after: str | None, limit: int
    ) -> tuple[list[AccountShown], str | None]:
        self._ask()
        wanted = query.casefold()
        found = [
            showing.account_shown(one, self._case(id))
            for id, one in sorted(self._summaries.items())
            if id > (after or "")
            and any(word.startswith(wanted) for word in [id, *(one.name or "").casefold().split()])
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
        return found[:limit], None

    def _alerts(self) -> list[AlertShown]:
        """Every alert, the newest first."""
        shown = [
            showing.alert_shown(standing)
            for case in self._partition.cases.values()
            for standing in case.standings.values()
        ]
        return sorted(shown, key=lambda one: one.fired_at, reverse=True)

    async def answer(self, action_id: str, account: str | None = None) -> ActionAnswer | None:
        self._ask()
        return None if self.pending else self._answers.get(action_id)

    async def sparks(
        self, wanted: Sequence[tuple[str, str]], today: date
    ) -> list[list[float | None]]:
        self._ask()
        return [self._spark(account, metric, today) for account, metric in wanted]

    def _spark(self, account: str, metric: str, today: date) -> list[float | None]:
        months = self._months(account)
        ended = daily.ended_day(self.now(), "UTC")
        return daily.spark(months, metric, ended, today)

    async def freshness(self) -> Freshness:
        self._ask()
        whole = Freshness(
            as_of=self.now() - timedelta(seconds=1),
            partitions=8,
            current=8,
            complete=True,
            stale=False,
        )
        return self.fresh or whole

    async def tip(self) -> str:
        self._ask()
        return self._stream[-1].id if self._stream else "0-0"

    async def changes(self, after: str | None, block_ms: int, limit: int) -> list[Change]:
        self._ask()
        place = int((after or await self.tip()).partition("-")[0])
        if place > len(self._stream):
            raise Trimmed
        if place == len(self._stream) and block_ms:
            try:
                async with asyncio.timeout(block_ms / 1000), self._arrived:
                    await self._arrived.wait()
            except TimeoutError:
                pass
        return self._stream[place : place + limit]

    def _ask(self) -> None:
        if self.away:
            raise ViewAway("Redis at 127.0.0.1:16379 does not answer; start it")

    def break_channel(self) -> None:
        """Let one channel fail, and another be switched off."""
        since = self.now() - timedelta(days=2)
        off = ChannelHealth(failing_since=since, disabled_at=since, reason="gone")
        failing = replace(PAGER, health=ChannelHealth(failing_since=since))
        channels = {"crm": CRM, "backup": failing, "old": replace(CRM, name="old", health=off)}
        self.snapshot = replace(self.snapshot, channels=channels)

    def without_channels(self) -> None:
        """Let nobody be notified."""
        self.snapshot = replace(self.snapshot, channels={})


Done = tuple[datetime, Action]


def _done(now: datetime) -> list[Done]:
    """What people did so far."""

    def act(make: Callable[..., Action], account: str, by: str, ago: Any, **more: Any) -> Done:
        at = now - ago
        return at, make(id=f"{account}-{at:%s}-{by}", case=account, by=by, at=at, **more)

    hour, day = timedelta(hours=1), timedelta(days=1)
    castor, pelican, tessellate = "acct_castor", "acct_pelican", "acct_tessellate"
    note = "They moved two teams to the new workspace; usage is counted there."
    asked = "Asked Maria whether the migration is behind this.\nShe calls back on Thursday."
    done = [
        act(CaseAcknowledged, castor, "dmitri", 10 * day),
        act(CaseCommented, castor, "dmitri", 9 * day, text=asked),
        act(CaseAcknowledged, tessellate, "dmitri", 30 * hour),
        act(CaseSnoozed, "acct_riverbend", "kim", 5 * day, until=now + 3 * day),
        act(CaseAssigned, "acct_orchid", "kim", 20 * hour, to="ana"),
        act(CaseCommented, "acct_northwind", "ben", 5 * hour, text=asked),
        act(CaseResolved, pelican, "ben", 3 * day, outcome="saved", note=note),
    ]
    return [(at.astimezone(UTC), action) for at, action in done]
