"""Takes the events of one request in: keys, formats, refusals, the acknowledgement."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from schemas.cloudevents import Incoming, Refused
from schemas.config import ApiKey
from services import failpoints
from services.ingest import keys
from services.ingest.entries import admit
from services.ingest.formats import WHOLE_BODY, Batch, Format, failed, read
from services.ingest.metrics import Metrics
from services.ingest.rejects import DETAIL_LIMIT, Rejects, reject
from services.ingest.seen import HOUR_MICROS, Seen
from services.publishing.publisher import Publisher, Unavailable
from services.runtime import get_logger

_log = get_logger(__name__)


class Unauthorized(Exception):
    """The key is missing, unknown, wrong or revoked; create one with `ebbwatch keys create`."""


class RefusedBody(Exception):
    """The body is refused as a whole.

    Args:
        refused: Why.
    """

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.detail)
        self.refused = refused


class Answer(NamedTuple):
    """What became of a request's events, all of it durable.

    Attributes:
        accepted: How many were accepted.
        rejected: The others, with their index in the body.
    """

    accepted: int
    rejected: list[tuple[int, Refused]]

    @property
    def status(self) -> int:
        """400 if nothing of a body that is not empty was accepted, else 200."""
        return 400 if self.rejected and not self.accepted else 200

    def as_json(self) -> dict[str, object]:
        """Return the answer, plain JSON."""
        rejected = [
            {
                "index": index,
                "id": each.id,
                "field": each.field,
                "reason": each.reason,
                "detail": each.detail[:DETAIL_LIMIT],
            }
            for index, each in self.rejected
        ]
        return {"accepted": self.accepted, "rejected": rejected}


class Intake:
    """Takes events in for whoever holds a key.

    Args:
        publisher: Takes the entries.
        rejects: Takes the refusals.
        metrics: Counts.
        seen: Learns when each source sent something.
        now: The wall clock, microseconds since 1970-01-01 UTC.
        obstacles: Each says why nothing may be taken in now, or None; asked in order.
        api_keys: Returns all API keys by id.
        pepper: What keys are hashed with.
        deadline: How long Kafka may take, seconds.
        limit: Events in one body.
    """

    def __init__(
        self,
        publisher: Publisher,
        rejects: Rejects,
        metrics: Metrics,
        seen: Seen,
        now: Callable[[], int],
        obstacles: Sequence[Callable[[], str | None]],
        api_keys: Callable[[], Mapping[str, ApiKey]],
        pepper: str,
        deadline: float,
        limit: int,
    ) -> None:
        self.metrics = metrics
        self._publisher = publisher
        self._rejects = rejects
        self._seen = seen
        self._now = now
        self._obstacles = obstacles
        self._api_keys = api_keys
        self._pepper = pepper
        self._deadline = deadline
        self._limit = limit

    def check_open(self) -> None:
        """Let the request pass if events may be taken in now.

        Raises:
            Unavailable: Says what is awaited.
        """
        for why_closed in self._obstacles:
            obstacle = why_closed()
            if obstacle is not None:
                raise Unavailable(obstacle)

    def authenticate(self, authorization: str | None) -> ApiKey:
        """Return the key of an `Authorization` header.

        Raises:
            Unauthorized: There is none that holds; which of the reasons, only the log tells.
        """
        presented = keys.parse(authorization)
        verdict: ApiKey | keys.Denied = (
            presented
            if isinstance(presented, keys.Denied)
            else keys.verify(presented, self._api_keys(), self._pepper)
        )
        if isinstance(verdict, keys.Denied):
            self.metrics.denied.labels(verdict.reason).inc()
            _log.info("key denied", key=verdict.id, reason=verdict.reason)
            raise Unauthorized(Unauthorized.__doc__)
        return verdict

    async def accept(
        self, key: ApiKey, format: Format, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Take in one body; returns when Kafka has acknowledged events and refusals.

        Args:
            key: Whose request it is.
            format: How the body is read.
            headers: By lower-case name.
            body: Uncompressed.

        Raises:
            RefusedBody: It is refused as a whole.
            Unavailable: Kafka does not take it within the deadline.
        """
        batch = read(format, headers, body, self._limit)
        sorting = _Sorting(key, self._publisher.partitions, self._now(), format)
        for index, outcome in enumerate(batch.outcomes):
            sorting.add(index, outcome)
        await self._write(sorting, batch)
        failpoints.reach("http.published")
        self._seen.note(sorting.seen)
        self.metrics.accepted(sorting.accepted)
        self.metrics.refused((each.source, each.reason) for _, each in sorting.refused)
        return Answer(sum(sorting.accepted.values()), sorting.refused)

    async def _write(self, sorting: "_Sorting", batch: Batch) -> None:
        publishing = self._publisher.publish(sorting.items, self._deadline)
        if not sorting.refused:
            await publishing
            return
        refusals = [
            reject(each, batch.raws[index], index, source=sorting.told_by(each))
            for index, each in sorting.refused
        ]
        # Refusals are part of the answer: who is told of one can look it up.
        await asyncio.gather(publishing, self._rejects.write(refusals, self._deadline))


class _Sorting:
    """The events of one body, sorted into entries and refusals."""

    def __init__(self, key: ApiKey, partitions: int, now: int, format: Format) -> None:
        self.items: list[tuple[int, bytes]] = []
        self.refused: list[tuple[int, Refused]] = []
        self.seen: set[tuple[str, int]] = set()
        self.accepted: dict[str, int] = {}
        self._key = key
        self._partitions = partitions
        self._now = now
        self._format = format

    def add(self, index: int, outcome: Incoming | Refused) -> None:
        if isinstance(outcome, Refused):
            if outcome.reason in WHOLE_BODY:
                raise RefusedBody(outcome)
            # Of what cannot be read today, a later version may be able to make an event.
            held = outcome.source and not keys.may_send(self._key, outcome.source)
            self.refused.append((index, _forbidden(outcome, self._key) if held else outcome))
        elif not keys.may_send(self._key, outcome.source):
            self.refused.append((index, _forbidden(outcome, self._key)))
        else:
            self._admit(index, outcome)

    def told_by(self, refused: Refused) -> str:
        """Return whose a refusal is: of an event that names no source, the key's, if it has one."""
        return refused.source or ("" if self._key.source == keys.ANY_SOURCE else self._key.source)

    def _admit(self, index: int, incoming: Incoming) -> None:
        try:
            admitted = admit(incoming, self._partitions, self._now)
        except (MemoryError, RecursionError):
            # Nothing is wrong with the event: whoever sends it again may be lucky.
            raise
        except Exception as error:
            # A bug, and yet neither 500 nor the end of the process: the sender would send the same
            # event again for ever, and with it end every replica. It is kept, as of an input.
            bug = failed(self._format, error)
            admitted = bug._replace(id=incoming.id, source=incoming.source)
        if isinstance(admitted, Refused):
            self.refused.append((index, admitted))
            return
        self.items += admitted
        source = incoming.source
        self.seen.add((source, (incoming.time or self._now) // HOUR_MICROS))
        self.accepted[source] = self.accepted.get(source, 0) + 1


def _forbidden(incoming: Incoming | Refused, key: ApiKey) -> Refused:
    detail = f"key {key.id} may send for source {key.source!r} only; use another key"
    return Refused("forbidden_source", "source", detail, incoming.id, incoming.source)
