"""The writing side of the view: whoever owns a partition writes it."""

from collections.abc import AsyncIterable, Callable, Iterable
from typing import Final

from schemas.accounts import AccountDays, AccountSummary
from services.alerts.showing import ShownCase
from services.alerts.shown import ActionAnswer
from services.alerts.view.batch import Batch
from services.alerts.view.keys import Keys
from services.alerts.view.link import Link, Superseded
from services.alerts.view.part import Part
from services.alerts.view.rebuild import rebuild

SHAPE: Final = 1
"""Grows with every change of what stands in Redis that an older version cannot read, or that an
older version did not write: the first owner of the new version then rebuilds."""


class Writer:
    """The partitions that this process owns.

    Args:
        link: The connection.
        keys: Names of the keys.
        partitions: Partition count of the deployment.
        now: Seconds since 1970.
    """

    def __init__(self, link: Link, keys: Keys, partitions: int, now: Callable[[], float]) -> None:
        self._link = link
        self._keys = keys
        self._partitions = partitions
        self._now = now
        self._owned: dict[int, Part] = {}

    async def claim(self, partition: int, epoch: str, stamp: int = -1, appended: int = -1) -> bool:
        """Take a partition's marker; from now on only writes of this epoch are taken.

        Args:
            partition: The partition.
            epoch: Unique for this ownership, such as `<generation>/<member>`.
            stamp: Offset in `alerts.v1` up to which the caller has folded; -1 asks for a rebuild.
            appended: The append time at that stamp, microseconds: a log that was begun anew has
                younger records at smaller offsets.

        Returns:
            True if the view holds everything up to `stamp`; False: the caller must `rebuild`. So
            it must after a restart of Redis, whose data may be older than they were.

        Raises:
            ViewAway: Redis does not answer.
        """
        former = self._owned.get(partition)
        sent = former.sent if former else 0
        part = Part(self._link, self._keys, partition, epoch, self._now, sent)
        self._owned[partition] = part
        return await part.claim(f"{self._partitions}.{SHAPE}", stamp, appended)

    async def write(self, partition: int, epoch: str, batch: Batch) -> None:
        """Write a batch; each case with its alerts and its timeline at once.

        A batch that could not be written is kept and written with the next one, or by `beat`.
        If too much waits it is dropped, and `beat` asks for a rebuild. Writing twice does no
        harm, except that the live stream may say a thing twice.

        Raises:
            Superseded: Another epoch holds the marker; nothing was written.
            ViewLost: The partition is gone from Redis, or older than what was written: claim and
                rebuild; `beat` says so, too.
            ViewAway: Redis does not answer; the batch is kept.
        """
        await self._claimed(partition, epoch).write(batch)

    async def beat(self, partition: int, epoch: str, as_of: float) -> bool:
        """Tell that the partition is followed; about once a second.

        Args:
            partition: The partition.
            epoch: Its owner.
            as_of: Up to when everything is folded, seconds since 1970; 0 for unknown.

        Returns:
            False if the partition must be claimed and rebuilt.

        Raises:
            Superseded: Another epoch holds the marker.
            ViewAway: Redis does not answer.
        """
        return await self._claimed(partition, epoch).beat(as_of)

    async def rebuild(
        self,
        partition: int,
        epoch: str,
        cases: Iterable[ShownCase],
        answers: Iterable[ActionAnswer],
        accounts: AsyncIterable[AccountSummary | AccountDays],
        stamp: Callable[[], tuple[int, int, float]],
    ) -> None:
        """Write a partition anew, and remove what else it holds; `claim` it before.

        Verdicts that are not among `answers` stay for their seven days.

        Folding and `write` may go on meanwhile. What is there stays readable until it is
        replaced; until the end `Freshness.complete` is False.

        Args:
            partition: The partition.
            epoch: Its owner.
            cases: `showing.whole` of every case, made lazily: each is taken just before it is
                written, with no other write in between, so that it is never older than one.
                Walk over a copy: cases may be added meanwhile.
            answers: The newest verdicts, made lazily as well.
            accounts: Everything of `accounts.v1`; what `write` wrote meanwhile is newer.
            stamp: Tells stamp, append time and `as_of` of what is folded; asked at the beginning,
                since from then on `write` tells how far it is, and for `as_of` at the end.

        Raises:
            Superseded: Another epoch holds the marker.
            ViewAway: Redis does not answer: the partition is not complete, and `beat` says so.
        """
        await rebuild(self._claimed(partition, epoch), cases, answers, accounts, stamp)

    def _claimed(self, partition: int, epoch: str) -> Part:
        part = self._owned.get(partition)
        if part is None or part.epoch != epoch:
            raise Superseded(f"partition {partition} was not claimed as {epoch!r} by this process")
        return part
