"""One alert as its records leave it: since when, how bad now, open or over. Pure."""

from collections.abc import Mapping

import msgspec
import xxhash
from msgspec.structs import replace

from schemas import alerts
from schemas.alerts import Alert, AlertCleared
from schemas.cases import Verdict

KNOWN_LIMIT = 64
"""Records of one alert that are told apart from repetitions; older ones count as new again."""

FEEDBACK_LIMIT = 50
"""People whose feedback on one alert is kept; the first ones go."""


class Standing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One alert as its records leave it.

    Attributes:
        first: The oldest record known, in which it was raised unless the log no longer holds that.
        latest: The newest record that says how bad it is.
        raised_at: When the first one entered the log, microseconds since 1970-01-01 UTC.
        changed_at: When the newest one entered the log, microseconds.
        cleared: The record that ended it, or None while it is open.
        cleared_at: When that entered the log, microseconds.
        feedback: What people said it was worth, by person.
        n: Offset of the first record; standings of a case are kept in this order.
        known: Hashes of its newest records, so that a repeated one changes nothing.
    """

    first: Alert
    latest: Alert
    raised_at: int
    changed_at: int
    cleared: AlertCleared | None = None
    cleared_at: int | None = None
    feedback: Mapping[str, Verdict] = msgspec.field(default_factory=dict)
    n: int = 0
    known: tuple[int, ...] = ()

    @property
    def open(self) -> bool:
        """Whether its condition still holds."""
        return self.cleared is None

    @property
    def counts(self) -> bool:
        """Whether somebody still has to act: it is open, and its rule is not only measured."""
        return self.open and not self.latest.shadow

    def take(self, record: Alert, at: int) -> "Standing":
        """Return the standing after one more record of the alert.

        The ending stands: an alert that is over is not ended again. Anything else that is new
        opens it again.

        Args:
            record: A record of the same alert.
            at: When it entered the log, microseconds.

        Returns:
            The standing itself if the record is known, or changes nothing.
        """
        known = digest(record)
        if known in self.known or (isinstance(record, AlertCleared) and not self.open):
            return self
        hashes = (*self.known, known)[-KNOWN_LIMIT:]
        if isinstance(record, AlertCleared):
            return replace(self, changed_at=at, cleared=record, cleared_at=at, known=hashes)
        return replace(
            self, latest=record, changed_at=at, cleared=None, cleared_at=None, known=hashes
        )

    def judged(self, person: str, verdict: Verdict) -> "Standing":
        """Return the standing after a person said what the alert was worth."""
        others = {who: said for who, said in self.feedback.items() if who != person}
        kept = list(others.items())[-(FEEDBACK_LIMIT - 1) :]
        return replace(self, feedback=dict(kept) | {person: verdict})


def begin(record: Alert, at: int, n: int = 0) -> Standing:
    """Return the standing of an alert of which nothing was known.

    Args:
        record: Its first record known; a clearing leaves it ended.
        at: When it entered the log, microseconds.
        n: Its offset.
    """
    cleared = record if isinstance(record, AlertCleared) else None
    return Standing(
        first=record,
        latest=record,
        raised_at=at,
        changed_at=at,
        cleared=cleared,
        cleared_at=None if cleared is None else at,
        n=n,
        known=(digest(record),),
    )


def digest(record: Alert) -> int:
    """Return a hash of a record's content; it is the same wherever it is computed."""
    return xxhash.xxh3_64_intdigest(alerts.encode(record))
