"""The reading side of the view: any process, any partition."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Final

import msgspec

from schemas.accounts import AccountSummary, LeftOut
from services.alerts import daily, showing
from services.alerts.shown import (
    AccountPage,
    AccountShown,
    ActionAnswer,
    AlertShown,
    CaseShown,
    Freshness,
    Moment,
)
from services.alerts.view.codec import plain, unpack
from services.alerts.view.commands import MONTHS, month
from services.alerts.view.freshness import Marker, freshness
from services.alerts.view.keys import Keys, PartKeys
from services.alerts.view.link import STEPS_SECONDS, Link
from services.alerts.view.script import Command
from services.alerts.view.search import Found, Search
from services.alerts.view.shelf import Shelf
from services.partitioning import partition_of

MOMENTS: Final = 1_000
"""Entries of a timeline that a page shows at most, the newest."""

_metrics = msgspec.json.Decoder(dict[str, list[float]]).decode
_left_out = msgspec.json.Decoder(LeftOut).decode
_summary = msgspec.json.Decoder(AccountSummary).decode


class Reader:
    """Reads what the owners of all partitions write.

    Args:
        link: The connection.
        keys: Names of the keys.
        partitions: Partition count of the deployment.
        stale_seconds: A partition that was not written for so long is stale.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        link: Link,
        keys: Keys,
        partitions: int,
        stale_seconds: float,
        now: Callable[[], float],
    ) -> None:
        self._link = link
        self._keys = keys
        self._parts = [keys.part(number) for number in range(partitions)]
        self._stale_seconds = stale_seconds
        self._now = now
        self._open = Shelf(link, keys, "open", partitions, _case)
        self._resolved = Shelf(link, keys, "resolved", partitions, _case)
        self._accounts = Shelf(link, keys, "accounts", partitions, Found.read)
        self._search = Search(self._accounts)

    async def cases(self, resolved: bool = False) -> list[CaseShown]:
        """Return all cases that are not resolved, or all that are; without sparklines.

        They are held in this process: the first reading takes all of them, 0.4 s for 10,000, a
        later one what moved since, about 1 ms.

        Raises:
            ViewAway: Redis does not answer.
        """
        shelf = self._resolved if resolved else self._open
        async with self._link.bounded(STEPS_SECONDS):
            await shelf.read()
        return list(shelf.items())

    async def case(self, account: str) -> CaseShown | None:
        """Return one case; None if there is none that lists show."""
        async with self._link.bounded():
            # At once: between two looks it could move to the shelf that was looked at first.
            return _case_of(await self._link.ask_at_once(self._asking_case(account)))

    async def account(self, account: str) -> AccountPage | None:
        """Return all that is known of an account; None if nothing is."""
        keys = self._keys_of(account)
        asked: list[Command] = [
            *self._asking_case(account),
            ("HGET", keys.shelf("accounts"), account),
            ("HVALS", keys.alerts(account)),
            ("ZREVRANGE", keys.timeline(account), 0, MOMENTS - 1),
            ("HGETALL", keys.days(account)),
            ("HGETALL", keys.left_out(account)),
        ]
        async with self._link.bounded():
            found = await self._link.ask_at_once(asked)
            opened, resolved, summary, alerts, moments, days, left = found
            if not (opened or resolved or summary or alerts):
                return None
            return showing.account_page(
                account,
                None if summary is None else _summary(summary),
                _case_of([opened, resolved]),
                [unpack(AlertShown, one) for one in alerts],
                [unpack(Moment, one) for one in moments],
                self._months(zip(days[::2], days[1::2], strict=True)),
                self._today(),
                {
                    name.decode(): _left_out(plain(one))
                    for name, one in zip(left[::2], left[1::2], strict=True)
                },
            )

    async def accounts(
        self, query: str, after: str | None, limit: int
    ) -> tuple[list[AccountShown], str | None]:
        """Return accounts whose id, or a word of whose name, begins with each word of a query.

        Args:
            query: In any case; empty for all accounts.
            after: The last account of the page before; any text that lies before the next id.
            limit: Accounts of a page, >= 1.

        Returns:
            Accounts by id, and `after` of the next page; None on the last one.
        """
        async with self._link.bounded(STEPS_SECONDS):
            found, following = await self._search.page(query, after, limit)
            asked = [one for summary in found for one in self._asking_case(summary.account)]
            cases = await self._link.ask_at_once(asked)
        return [
            showing.account_shown(summary, _case_of(pair))
            for summary, pair in zip(found, zip(cases[::2], cases[1::2], strict=True), strict=True)
        ], following

    async def alert(self, alert_id: str) -> AlertShown | None:
        """Return an alert with its evidence; None if there is none."""
        async with self._link.bounded():
            asked = [("HGET", keys.where, alert_id) for keys in self._parts]
            for keys, member in zip(self._parts, await self._link.ask_all(asked), strict=True):
                if member is not None:
                    account = _account_of(member)
                    stored = await self._link.ask("HGET", keys.alerts(account), alert_id)
                    return None if stored is None else unpack(AlertShown, stored)
        return None

    async def alerts(
        self, open_only: bool, after: str | None, limit: int
    ) -> tuple[list[AlertShown], str | None]:
        """Return alerts without evidence, the newest first.

        Args:
            open_only: Only those whose condition still holds.
            after: What the page before gave; any other text is a place in time, too.
            limit: Alerts of a page, >= 1.

        Returns:
            The alerts, and `after` of the next page; None on the last one.
        """
        top, most = "+" if after is None else f"({after}", ("LIMIT", 0, limit + 1)
        async with self._link.bounded():
            ranges = [
                ("ZREVRANGEBYLEX", keys.firing if open_only else keys.fired, top, "-", *most)
                for keys in self._parts
            ]
            placed = [
                (member, keys)
                for keys, some in zip(self._parts, await self._link.ask_all(ranges), strict=True)
                for member in some
            ]
            placed.sort(key=lambda one: one[0], reverse=True)
            asked = [
                ("HGET", keys.alerts(_account_of(member)), _id_of(member))
                for member, keys in placed[:limit]
            ]
            stored = await self._link.ask_all(asked)
            alerts = [unpack(AlertShown, one) for one in stored if one is not None]
        following = placed[limit - 1][0].partition(b"\x1f")[0].decode() if placed[limit:] else None
        return [one.model_copy(update={"because": None}) for one in alerts], following

    async def answer(self, action_id: str, account: str | None = None) -> ActionAnswer | None:
        """Return the verdict on an action of the last seven days; None if it is not known.

        Args:
            action_id: The action's id.
            account: Only if it was done to this account's case: two cases may know the same id.
        """
        key = self._keys.answer(action_id)
        async with self._link.bounded():
            if account is not None:
                stored = await self._link.ask("HGET", key, account)
            else:
                stored = next(iter(await self._link.ask("HVALS", key)), None)
            return None if stored is None else unpack(ActionAnswer, stored)

    async def sparks(
        self, wanted: Sequence[tuple[str, str]], today: date
    ) -> list[list[float | None]]:
        """Return the daily values of what cases are about, for the lines of one page.

        Args:
            wanted: Account and metric; for what is no metric of the account (a person, a
                payment) all its metrics together are shown.
            today: The last day is the one before; earlier for an account that has not ended it.

        Returns:
            Per pair 28 values, the newest last; None where nothing is known.
        """
        if not wanted:
            return []
        months = [name.encode() for name in daily.spark_months(today)]
        asked: list[Command] = []
        for account, _ in wanted:
            keys = self._keys_of(account)
            asked.append(("HMGET", keys.days(account), *months))
            asked.append(("HGET", keys.shelf("accounts"), account))
        async with self._link.bounded():
            found = await self._link.ask_all(asked)
            return [
                daily.spark(
                    self._months(zip(months, days, strict=True)),
                    metric,
                    daily.ended_day(self._today(), _zone(summary)),
                    today,
                )
                for (_, metric), days, summary in zip(wanted, found[::2], found[1::2], strict=True)
            ]

    async def freshness(self) -> Freshness:
        """Return how far what is read can be relied on.

        Raises:
            ViewAway: Redis does not answer, so nothing can be read at all.
        """
        asked = [("HMGET", one.marker, "complete", "as_of", "written") for one in self._parts]
        async with self._link.bounded():
            found = await self._link.ask_all(asked)
        markers = [
            Marker(complete == b"1", float(as_of or 0), float(written or 0))
            for complete, as_of, written in found
        ]
        return freshness(markers, self._now(), self._stale_seconds)

    def _keys_of(self, account: str) -> PartKeys:
        return self._parts[partition_of(account, len(self._parts))]

    def _months(self, days: Iterable[tuple[bytes, bytes | None]]) -> daily.Months:
        oldest = month(self._today(), MONTHS - 1)
        found = {name.decode(): stored for name, stored in days if stored is not None}
        return {name: _metrics(plain(one)) for name, one in found.items() if name >= oldest}

    def _asking_case(self, account: str) -> list[Command]:
        keys = self._keys_of(account)
        return [("HGET", keys.shelf("open"), account), ("HGET", keys.shelf("resolved"), account)]

    def _today(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)


def _case(stored: bytes) -> CaseShown:
    return unpack(CaseShown, stored)


def _case_of(stored: Sequence[bytes | None]) -> CaseShown | None:
    return next((_case(one) for one in stored if one is not None), None)


def _account_of(member: bytes) -> str:
    return member.partition(b"\x1f")[2].decode()


def _id_of(member: bytes) -> bytes:
    return member.partition(b"\x1f")[0][17:]


def _zone(summary: bytes | None) -> str | None:
    return None if summary is None else _summary(summary).timezone
