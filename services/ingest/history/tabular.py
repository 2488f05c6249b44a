"""Rows of tables as typed events: usage, accounts, tickets (formats.md, files for history)."""

import json
import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from schemas.cloudevents import Incoming, Refused
from schemas.envelope import COMPANY
from schemas.events import AccountUpdated, Event, TicketOpened, UsageRecorded
from services.ingest.history.asked import refused, shown
from services.ingest.history.files import COLUMNS, HistoryFile
from services.ingest.history.staging import Row

TICKETS_LIMIT: Final = 10_000
"""More tickets of one account on one day are taken for a mistake."""

ACCOUNT_LIMIT: Final = 200
DEFAULT_METRIC: Final = "usage"
"""The metric of rows that name none. Source: formats.md, files for history."""

Outcome = Sequence[Incoming] | Refused

_CODES: Final = MappingProxyType(
    {
        "country": re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?", re.I | re.A),
        "currency": re.compile(r"[A-Z]{3}", re.I | re.A),
    }
)
"""Codes that people write in small letters too; what is no code stays as it is written."""


def read(file: HistoryFile, row: Row) -> Outcome:
    """Return the events of a row of a table, or why it is refused.

    Args:
        file: The row's file, of any kind but events.
        row: A row whose time is readable.
    """
    if file.kind == "usage":
        return _usage(file, row)
    return _account(file, row) if file.kind == "accounts" else _tickets(file, row)


def _usage(file: HistoryFile, row: Row) -> Outcome:
    _, _, count, metric, person, feature = row.cells
    fields: dict[str, object] = {"metric": metric or DEFAULT_METRIC, "quantity": _number(count)}
    if person is not None:
        fields["person"] = person
    if feature is not None:
        fields["feature"] = feature
    return _typed(file, row, fields, UsageRecorded, {"quantity": "count"})


def _account(file: HistoryFile, row: Row) -> Outcome:
    given = zip(COLUMNS["accounts"][1:], row.cells[1:], strict=True)
    fields: dict[str, object] = {name: text for name, text in given if text is not None}
    if "start" in fields:
        fields["started_on"] = str(fields.pop("start"))[:10]
    for name in ("arr", "seats"):
        if name in fields:
            fields[name] = _number(str(fields[name]))
    for name, code in _CODES.items():
        if code.fullmatch(str(fields.get(name))):
            fields[name] = str(fields[name]).upper()
    zone = fields.get("timezone")
    if zone is not None and not _zone_exists(str(zone)):
        return refused("timezone", zone)
    return _typed(file, row, fields, AccountUpdated, {"started_on": "start"})


def _tickets(file: HistoryFile, row: Row) -> Outcome:
    _, _, count, ticket, priority = row.cells
    fields: dict[str, object] = {"ticket": ticket or f"{file.stem}:{row.number}"}
    if priority is not None:
        fields["priority"] = _number(priority)
    number = 1 if count is None else _number(count)
    if type(number) is not int or not 0 <= number <= TICKETS_LIMIT:
        detail = f"{shown(count)} must be a whole number from 0 to {TICKETS_LIMIT}"
        return Refused("invalid", "count", detail)
    if count is None:
        return _typed(file, row, fields, TicketOpened, {})
    if ticket is not None and number > 1:
        return Refused("invalid", "ticket", f"one ticket cannot be counted {number} times")
    found: list[Incoming] = []
    for index in range(1, number + 1):
        name = fields["ticket"] if ticket is not None else f"{fields['ticket']}:{index}"
        outcome = _typed(file, row, fields | {"ticket": name}, TicketOpened, {}, f":{index}")
        if isinstance(outcome, Refused):
            return outcome
        found.extend(outcome)
    return found


def _typed(
    file: HistoryFile,
    row: Row,
    fields: dict[str, object],
    event_type: type[Event],
    columns: dict[str, str],
    suffix: str = "",
) -> Outcome:
    """Check the fields and return the one event that they make."""
    account = row.cells[0]
    wrong = _misnamed(account)
    if account is None or wrong is not None:
        return Refused("invalid", "account_id", wrong or "")
    try:
        event = msgspec.convert(fields, event_type)
    except msgspec.ValidationError as error:
        path = str(error).partition(" - at `$")[2]
        # Only a quantity's decimals are refused by the event as a whole, which has no path.
        field = path.strip("`.") or "quantity"
        return refused(columns.get(field, field), fields.get(field))
    identity = f"{file.stem}:{row.number}{suffix}"
    return (Incoming(identity, file.source, row.at, account, event, row.day),)


def _misnamed(account: str | None) -> str | None:
    """Return what is wrong with an account's id, as ingest says it of an event's."""
    if account is None:
        return f"the account is missing; it has 1 to {ACCOUNT_LIMIT} characters"
    if len(account) > ACCOUNT_LIMIT:
        return f"{shown(account)} is too long; it has 1 to {ACCOUNT_LIMIT} characters"
    if not account.isprintable():
        return f"{shown(account)} must be printable text, without control characters"
    if account == COMPANY:
        return f"{COMPANY!r} stands for your own company; give the account another id"
    return None


def _number(text: str | None) -> object:
    """Return a number as JSON would hold it; what is none stays text, for the type to refuse."""
    if text is None:
        return None
    try:
        found: object = json.loads(text)
    except ValueError:
        return text
    if type(found) is float and found.is_integer() and abs(found) < 1 << 53:
        # Parquet writes a whole number as 12.0 where its column is of floating type.
        return int(found)
    return found if type(found) in (int, float) else text


def _zone_exists(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
