"""Records whose fold raised: kept in the snapshot until a mended fold takes them. Pure.

The rest of the log goes on. Only later records of the same alert wait behind what is held of it,
for they mean nothing without it, and what one person says of one alert waits behind what that
person said before. Each is folded where it stood, so that whoever is to be told because of it is
told under the same id, however often that is begun anew. An action is folded as that of somebody
who saw the version that held when it came: it conflicts once there is another.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from schemas import cases
from schemas.alerts import AlertRecord
from schemas.cases import Act, FeedbackRecord, LogRecord
from services.alerts.cases.case import Place
from services.alerts.cases.reading import Refusal
from services.alerts.cases.reading import read as read_log
from services.alerts.cases.records import HELD, SEPARATOR
from services.garbled import read

VERSION: Final = 1

HELD_BYTES: Final = 64 * 1024 * 1024
"""All that one partition holds: some twenty thousand alerts, which are read and tried at a load."""

RAW_BYTES: Final = 128 * 1024
"""Of a longer record only what this version understands is kept: it must fit into its topic."""

ERROR_LIMIT: Final = 1_000


class TooManyHeld(Exception):
    """So much raises that the log is not read on: nothing is lost that way."""


class Held(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record that waits.

    Attributes:
        v: Version of this record.
        case: The case's key.
        offset: Where the record stands in its partition of `alerts.v1`.
        appended: When it entered that, microseconds since 1970-01-01 UTC.
        thread: What keeps the order of the log within its case; empty for nothing.
        version: The case's when the record came.
        error: What its fold raised; empty if it waits behind another one.
        record: The record itself, JSON.
    """

    v: int
    case: str
    offset: int
    appended: int
    thread: str = ""
    version: int = 0
    error: str = ""
    record: msgspec.Raw

    @property
    def key(self) -> str:
        """Its key in the snapshot."""
        return f"{HELD}{self.offset:020d}"

    @property
    def at(self) -> Place:
        """Where it stands in the alert log."""
        return Place(self.offset, self.appended, late=True)

    def read(self) -> LogRecord | Refusal:
        """Return the record, or why this version cannot read it."""
        record = read_log(self.case, bytes(self.record))
        if isinstance(record, Act) and record.seen is None:
            return replace(record, seen=self.version)
        return record


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Held).decode


def hold(record: LogRecord, at: Place, value: bytes, version: int) -> Held:
    """Return a record that is to wait.

    Args:
        record: What was read of it.
        at: Where it stands.
        value: Its bytes.
        version: Its case's; 0 where there is none.
    """
    case, thread = _thread(record)
    return Held(
        v=VERSION,
        case=case,
        offset=at.offset,
        appended=at.appended,
        thread=thread,
        version=version,
        record=msgspec.Raw(value if len(value) <= RAW_BYTES else cases.encode(record)),
    )


def because(held: Held, error: str) -> Held:
    """Return a record with what its fold raised."""
    return replace(held, error=error[:ERROR_LIMIT])


class Waiting:
    """What waits, in the order of the log.

    Args:
        held: Records of a snapshot, by offset rising.
    """

    def __init__(self, held: Iterable[Held] = ()) -> None:
        self._held: dict[int, Held] = {}
        self._threads: set[tuple[str, str]] = set()
        self._bytes = 0
        for one in held:
            self._put(one)

    def __len__(self) -> int:
        """Return how many records wait."""
        return len(self._held)

    def is_before(self, record: LogRecord) -> bool:
        """Tell whether something waits that the record must not overtake."""
        return _thread(record) in self._threads

    def add(self, held: Held) -> bytes:
        """Let a record wait, behind all others; return it as it is written.

        Raises:
            TooManyHeld: If that is more than a partition may hold.
        """
        self._put(held)
        if self._bytes > HELD_BYTES:
            raise TooManyHeld(
                f"the folds of {len(self._held)} records raised, and more than "
                f"{HELD_BYTES // 1024**2} MB may not wait; run a version in which that is mended: "
                "it folds all of them"
            )
        return _encode(held)

    def take(self) -> list[Held]:
        """Return all that waits, and hold nothing."""
        taken = list(self._held.values())
        self._held, self._threads, self._bytes = {}, set(), 0
        return taken

    def _put(self, held: Held) -> None:
        self._held[held.offset] = held
        self._bytes += len(bytes(held.record))
        if held.thread:
            self._threads.add((held.case, held.thread))


def restore(snapshot: Mapping[str, bytes]) -> Waiting:
    """Return what a snapshot holds.

    Args:
        snapshot: Newest value per key; what is not held is passed over.

    Raises:
        ValueError: If a record cannot be read, or is of an unknown version.
    """
    keys = sorted(key for key in snapshot if key.startswith(HELD))
    return Waiting(_restored(key, snapshot[key]) for key in keys)


def _restored(key: str, raw: bytes) -> Held:
    held = read(_decode, key, raw)
    if held.v != VERSION:
        raise ValueError(f"record {key!r} is of version {held.v}, this code reads {VERSION}")
    if held.key != key:
        raise ValueError(f"record {key!r} is the one of {held.key!r}")
    return held


def _thread(record: LogRecord) -> tuple[str, str]:
    """Return the case of a record, and what within it keeps the order of the log."""
    if isinstance(record, AlertRecord):
        return record.account, record.alert_id
    if isinstance(record, FeedbackRecord):
        return record.case, f"{record.alert_id}{SEPARATOR}{record.by}"
    return record.case, ""
