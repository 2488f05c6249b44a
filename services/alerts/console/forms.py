"""What the console's forms send, read and made into actions."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import TypeAdapter, ValidationError

from schemas.cases import COMMENT_LIMIT, Action
from services.alerts.acting import (
    ActionBody,
    action_key,
    check_assignee,
    seen_version,
    to_action,
)
from services.alerts.shown import AccountPage

FIELDS: Final = 2_000
"""Fields of one form; a page of the inbox has 50 boxes."""

SNOOZES: Final[Mapping[str, str]] = {
    "1d": "One day",
    "1w": "One week",
    "renewal": "Until after the renewal",
}

_BODY: Final[TypeAdapter[Any]] = TypeAdapter(ActionBody)


class BadForm(ValueError):
    """A form holds something that the page which sent it does not offer."""


Form = Mapping[str, list[str]]


async def read_form(request: Request) -> Form:
    """Read a form's fields; each may come several times.

    Args:
        request: With a body of `application/x-www-form-urlencoded`, bounded by `body.Bodies`.

    Raises:
        BadForm: It is no such form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadForm(f"the form came as {kind[:60] or 'nothing'}; send it from the page")
    try:
        raw = (await request.body()).decode()
        pairs = parse_qsl(raw, keep_blank_values=True, max_num_fields=FIELDS, errors="strict")
    except ValueError as error:
        raise BadForm(f"the form cannot be read: {error}") from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def last(form: Form, name: str) -> str:
    """Return a field's last value, an empty text without one."""
    return form.get(name, [""])[-1]


def snooze_until(choice: str, page: AccountPage | None, now: datetime) -> datetime | None:
    """Return when a snooze ends.

    Args:
        choice: One of `SNOOZES`.
        page: The account; `renewal` lasts until the first hour of the day after its renewal.
        now: Aware UTC.

    Returns:
        The moment; None for a choice that the account does not have.
    """
    days = {"1d": 1, "1w": 7}.get(choice)
    if days is not None:
        return now + timedelta(days=days)
    renewal = page.renewal_on if choice == "renewal" and page is not None else None
    if renewal is None or renewal < now.astimezone(UTC).date():
        return None
    return datetime.combine(renewal + timedelta(days=1), time(6), UTC)


def action_of(
    form: Form,
    page: AccountPage | None,
    people: Collection[str],
    *,
    account: str,
    by: str,
    now: datetime,
    fresh: str,
) -> Action:
    """Make what a form asks for into a record of the alert log.

    Args:
        form: Its fields: `type`, `version`, `key`, and what the type needs.
        page: The account, which a snooze until after the renewal needs.
        people: Ids of the directory, to whom a case can be assigned.
        account: Its id.
        by: Who acts.
        now: Aware UTC.
        fresh: An id for a form without one.

    Raises:
        BadForm: A field is missing or wrong; names it and the remedy.
        FieldRefused: The same, where the log's own schema finds it.
    """
    asked = _asked(form, page, now)
    try:
        body = _BODY.validate_python(asked)
    except ValidationError as error:
        raise BadForm(_told(error)) from None
    check_assignee(body, people)
    key = action_key(last(form, "key") or None, fresh)
    seen = seen_version(last(form, "version") or "*")
    return to_action(body, case=account, key=key, by=by, at=now, seen=seen)


def _asked(form: Form, page: AccountPage | None, now: datetime) -> dict[str, object]:
    kind = last(form, "type")
    asked: dict[str, object] = {"type": kind}
    if kind == "snooze":
        until = snooze_until(last(form, "until"), page, now)
        if until is None:
            raise BadForm("choose how long: one day, one week, or until after a coming renewal")
        asked["until"] = until.isoformat()
    elif kind == "assign":
        asked["to"] = last(form, "to") or None
    else:
        wanted = {
            "resolve": ("outcome", "note"),
            "comment": ("text",),
            "feedback": ("alert_id", "verdict"),
        }
        asked |= {name: last(form, name).replace("\r\n", "\n") for name in wanted.get(kind, ())}
    return asked


def _told(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = str(first["loc"][-1]) if first["loc"] else "type"
    known = {
        "text": f"a comment has 1 to {COMMENT_LIMIT:,} characters",
        "note": f"a note has at most {COMMENT_LIMIT:,} characters",
        "outcome": "choose how it ended",
        "verdict": "choose what the alert was worth",
    }
    return known.get(field, f"{field}: {first['msg']}")
