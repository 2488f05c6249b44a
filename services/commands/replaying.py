"""Sends refused events again: chosen, tried, noted, sent, noted as sent (see `replays`)."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec

from schemas import topics
from schemas.config import MODE_KEY, Input, ModeRecord, RuleSetContent
from services.commands import replays
from services.commands.config import newest_rules
from services.commands.originals import fetch
from services.commands.rejected import Refusal, Rejects, Wanted, opened
from services.commands.replays import Replays, Run
from services.commands.resending import Again, Now, again, place_of
from services.config_log import ConfigLog
from services.ingest import rejects as refusing
from services.publishing.publisher import publishing
from services.settings import ServiceSettings
from services.topic_admin import require

BYTES_AT_ONCE: Final = 64 * 1024 * 1024
"""Of refused bytes in one run; they are held in memory."""
TRIED_AT_ONCE: Final = 200
"""Refusals whose originals are in memory together."""
SENT_AT_ONCE: Final = 2_000
SEND_SECONDS: Final = 60.0

Some = TypeVar("Some")


class CannotReplay(Exception):
    """Nothing can be sent as things are; the message says why and what to do."""


@dataclass(slots=True)
class Chosen:
    """The refusals that were read, and those of them that are to be tried.

    Attributes:
        refusals: To be tried, per partition in order.
        sent_before: How many others that were meant too were replayed already.
        left: How many more are left to a later run.
        kept: Offsets of all that were read, by partition.
        begins: From where on they were read, by partition.
    """

    refusals: list[Refusal] = field(default_factory=list)
    sent_before: int = 0
    left: int = 0
    kept: "dict[int, array[int]]" = field(default_factory=dict)
    begins: dict[int, int] = field(default_factory=dict)


class Replaying:
    """Replays refusals of one deployment; one object is for one run.

    Args:
        settings: Which deployment.
        now: Aware UTC.
    """

    def __init__(self, settings: ServiceSettings, now: datetime) -> None:
        self._settings = settings
        self._log = ConfigLog(settings.kafka, settings.prefix)
        self._now_ms = round(now.timestamp() * 1000)
        self._raw: bytes | None = None
        self._replays = Replays()
        self._tracks: Mapping[int, int] = {}
        self._today = Now({}, settings.partitions, "", 0)

    async def prepare(self) -> Run | None:
        """Read the configuration; return a run that was cut off, if there is one.

        Raises:
            CannotReplay: The deployment is not live, or the record is of another version.
            ConfigurationError: Topics are missing or partitioned otherwise.
            ConfigUnavailable: Kafka does not answer.
        """
        found, settings = await self._log.read(), self._settings
        await require(settings.kafka, settings.prefix, settings.partitions)
        mode = found.get(MODE_KEY)
        if mode is None or msgspec.json.decode(mode, type=ModeRecord).mode != "live":
            raise CannotReplay("the deployment is not live, and nothing may be sent before it is")
        self._raw = found.get(replays.KEY)
        try:
            self._replays = replays.read(self._raw)
        except (ValueError, msgspec.MsgspecError) as error:
            raise CannotReplay(f"{replays.KEY!r} in the configuration: {error}") from error
        events = topics.full_name(topics.EVENTS, settings.prefix)
        self._today = Now(_inputs(found), settings.partitions, events, self._now_ms * 1000)
        return self._replays.open

    async def resume(self, run: Run) -> int:
        """Send a run that was cut off, with the origins that it had.

        Returns:
            How many refusals it sent; those that have expired meanwhile are left out.

        Raises:
            ConfigConflict: Another replay finished it meanwhile.
            Unavailable: Kafka did not take all of it; the next replay goes on with it.
        """
        chosen = await self._choose_of(run)
        tried = await self._try(chosen.refusals, run.tracks)
        await self.publish(tried)
        await self.end(chosen)
        return sum(bool(one.items) for one in tried)

    async def try_out(self, wanted: Wanted, limit: int) -> tuple[Chosen, list[Again]]:
        """Read refusals and say what would become of them; nothing is written.

        Args:
            wanted: Which.
            limit: At most so many, the oldest of each partition first.

        Raises:
            RejectsAway: Kafka does not answer.
        """
        chosen = await self._choose(wanted, limit)
        firsts: dict[int, int] = {}
        for one in chosen.refusals:
            firsts.setdefault(one.partition, one.offset)
        self._tracks = replays.tracks(self._replays, firsts)
        return chosen, await self._try(chosen.refusals, self._tracks)

    async def send(self, chosen: Chosen, tried: Sequence[Again]) -> None:
        """Note what can be sent of what was tried, send it, and note that it was.

        Args:
            chosen: What `try_out` returned.
            tried: Likewise.

        Raises:
            ConfigConflict: Another replay came in between; nothing was sent.
            Unavailable: Kafka did not take all of it; the next replay goes on with it.
        """
        if await self.begin(tried):
            await self.publish(tried)
            await self.end(chosen)

    async def begin(self, tried: Sequence[Again]) -> bool:
        """Note what is going to be sent; return whether that is anything."""
        offsets: dict[int, list[int]] = {}
        for one in tried:
            if one.items:
                offsets.setdefault(one.refusal.partition, []).append(one.refusal.offset)
        if offsets:
            await self._note(replays.begin(self._replays, self._tracks, offsets, self._now_ms))
        return bool(offsets)

    async def publish(self, tried: Iterable[Again]) -> None:
        """Send in the order of the refusals: each origin must be newer than those before it."""
        settings = self._settings
        items = [item for one in tried for item in one.items]
        anew = [reject for one in tried for reject in one.anew]
        async with publishing(settings.kafka, self._today.events, settings.partitions) as publisher:
            for some in _slices(items, SENT_AT_ONCE):
                await publisher.publish(some, SEND_SECONDS)
            topic = topics.full_name(topics.REJECTS, settings.prefix)
            await refusing.Rejects(publisher.producer, topic).write(anew, SEND_SECONDS)

    async def end(self, chosen: Chosen) -> None:
        """Note that all of the run was sent."""
        await self._note(replays.finish(self._replays, chosen.kept, chosen.begins))

    async def _choose(self, wanted: Wanted, limit: int) -> Chosen:
        chosen, room = Chosen(), BYTES_AT_ONCE
        async with self._rejects(wanted.since) as rejects:
            self._replays = replays.forget(self._replays, rejects.starts, rejects.ends)
            chosen.begins = rejects.begins
            async for one in rejects.read():
                chosen.kept.setdefault(one.partition, array("q")).append(one.offset)
                if one not in wanted:
                    continue
                if self._replays.done(one.partition, one.offset):
                    chosen.sent_before += 1
                elif len(chosen.refusals) < limit and room > 0:
                    chosen.refusals.append(one)
                    room -= len(one.reject.raw)
                else:
                    chosen.left += 1
        return chosen

    async def _choose_of(self, run: Run) -> Chosen:
        wanted = {(number, one) for number, some in run.offsets.items() for one in some}
        chosen = Chosen()
        async with self._rejects(datetime.fromtimestamp(0, UTC)) as rejects:
            chosen.begins = rejects.begins
            async for one in rejects.read():
                chosen.kept.setdefault(one.partition, array("q")).append(one.offset)
                if (one.partition, one.offset) in wanted:
                    chosen.refusals.append(one)
        return chosen

    def _rejects(self, since: datetime) -> AbstractAsyncContextManager[Rejects]:
        return opened(self._settings.kafka, self._settings.prefix, since)

    async def _try(self, refusals: Sequence[Refusal], tracks: Mapping[int, int]) -> list[Again]:
        tried: list[Again] = []
        for some in _slices(refusals, TRIED_AT_ONCE):
            places = [place_of(one, self._today) for one in some]
            originals = await fetch(self._settings.kafka, [one for one in places if one])
            tried += [
                again(
                    one, originals.get(place) if place else None, self._today, tracks[one.partition]
                )
                for one, place in zip(some, places, strict=True)
            ]
        return tried

    async def _note(self, after: Replays) -> None:
        raw = replays.write(after)
        if len(raw) > replays.RECORD_BYTES:
            raise CannotReplay(
                "what was replayed is too scattered to be noted: replay without a filter first"
            )
        await self._log.write(replays.KEY, raw, expect=self._raw)
        self._replays, self._raw = after, raw


def _inputs(found: Mapping[str, bytes]) -> Mapping[str, Input]:
    rules = newest_rules(found)
    if rules is None:
        return {}
    return msgspec.json.decode(rules.content, type=RuleSetContent).inputs


def _slices(some: Sequence[Some], size: int) -> Iterator[Sequence[Some]]:
    for begin in range(0, len(some), size):
        yield some[begin : begin + size]
