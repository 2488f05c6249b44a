"""Which run an import is, decided from `config.v1`: new, gone on with, back-fill, or refused."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, TypeVar

import msgspec

from schemas.config import (
    IMPORT_KEY,
    IMPORTED_PREFIX,
    MODE_KEY,
    ImportRecord,
    Mode,
    ModeRecord,
)

Values = Mapping[str, bytes]
Record = TypeVar("Record", ImportRecord, ModeRecord)


class Plan(NamedTuple):
    """What an import does.

    Attributes:
        run: Its number: entries of a smaller run, or known ones of this run, count no more.
        history: True to play the history's clock and go live; False for a back-fill beside it.
        resumed: True if an interrupted import of the same files is repeated.
        begin: What to write into `config.v1` before the first entry, by key.
        done: What to write after the last one was acknowledged.
    """

    run: int
    history: bool
    resumed: bool
    begin: Values
    done: Values


class Refusal(NamedTuple):
    """Why nothing is imported, and the remedy."""

    detail: str


def mode(found: Values) -> Mode:
    """Return the deployment's mode."""
    record = _read(found, MODE_KEY, ModeRecord)
    return "new" if record is None else record.mode


def plan(found: Values, digest: str, now: datetime, *, again: bool = False) -> Plan | Refusal:
    """Decide what an import of some files is.

    Args:
        found: The records of `config.v1`.
        digest: Of the files' contents.
        now: When the import begins.
        again: True to count files that were imported already once more.
    """
    last = _read(found, IMPORT_KEY, ImportRecord)
    history = mode(found) != "live"
    interrupted = last is not None and not last.done
    same = last is not None and last.digest == digest
    if last is not None and interrupted and same:
        return _plan(last.run, digest, now, history, resumed=True)
    if last is not None and interrupted and history:
        return Refusal(
            f"run {last.run} imported other files and was interrupted; import those files again "
            "to finish it, or give its rest up with `ebbwatch live`"
        )
    if last is not None and interrupted and not again:
        return Refusal(
            f"run {last.run} imported other files and was interrupted; import those files again "
            "to finish it, or give its rest up with --again"
        )
    before = last if same else _read(found, IMPORTED_PREFIX + digest, ImportRecord)
    if before is not None and not again:
        return Refusal(f"imported already as run {before.run}; --again counts it again")
    return _plan(1 if last is None else last.run + 1, digest, now, history, resumed=False)


def go_live(found: Values, now: datetime) -> tuple[Values, bool] | None:
    """Decide what `ebbwatch live` writes.

    Returns:
        The records by key, and True if the rest of an interrupted import is given up with them;
        None if the deployment is live already.
    """
    if mode(found) == "live":
        return None
    last = _read(found, IMPORT_KEY, ImportRecord)
    values = {MODE_KEY: msgspec.json.encode(ModeRecord(mode="live", at=now))}
    if last is None or last.done:
        return values, False
    given_up = msgspec.structs.replace(last, done=True, at=now)
    return values | {IMPORT_KEY: msgspec.json.encode(given_up)}, True


def _plan(run: int, digest: str, now: datetime, history: bool, *, resumed: bool) -> Plan:
    record = ImportRecord(run=run, digest=digest, done=False, at=now)
    begin = {IMPORT_KEY: msgspec.json.encode(record)}
    ended = msgspec.json.encode(msgspec.structs.replace(record, done=True))
    done = {IMPORT_KEY: ended, IMPORTED_PREFIX + digest: ended}
    if history:
        begin[MODE_KEY] = msgspec.json.encode(ModeRecord(mode="importing", at=now))
        done[MODE_KEY] = msgspec.json.encode(ModeRecord(mode="live", at=now))
    return Plan(run, history, resumed, begin, done)


def _read(found: Values, key: str, record: type[Record]) -> Record | None:
    value = found.get(key)
    return None if value is None else msgspec.json.decode(value, type=record)
