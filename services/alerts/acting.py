"""What people may ask of a case over HTTP, checked, and made into records of the alert log."""

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from schemas.cases import COMMENT_LIMIT, Action, Outcome, Verdict

KEY_LIMIT: Final = 200
"""Characters of an `Idempotency-Key`; the log's bound for ids."""

SNOOZE_LIMIT: Final = timedelta(days=5 * 366)
"""Past the renewal of the longest usual contract; a case that is never to be heard of again is
resolved."""

# Nine digits: the log's bound for a version is 1,000,000,000 (`schemas.events.fields.Count`).
_VERSION = re.compile(r'(?:W/)?"?([1-9]\d{0,8})(?:-[0-9a-f]+)?"?', re.ASCII)

_SENT_AS: Final = {"id": "Idempotency-Key", "seen": "If-Match", "by": "X-Ebbwatch-Person"}
"""How a field of the record is called by whoever sends it, where that differs."""


def _only_text(value: object) -> object:
    """Refuse numbers: pydantic would take them for seconds, or for milliseconds."""
    if not isinstance(value, str):
        raise ValueError("a moment is a text such as 2026-06-01T09:00:00+02:00")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_only_text)]
_Id = Annotated[str, Field(min_length=1, max_length=KEY_LIMIT)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Acknowledge(_Asked):
    """Somebody is on it."""

    type: Literal["acknowledge"]


class Snooze(_Asked):
    """Nothing is to be heard of it until a moment, unless it gets worse."""

    type: Literal["snooze"]
    until: Moment = Field(
        description="With its offset from UTC; after now.", examples=["2026-06-01T09:00:00+02:00"]
    )


class Resolve(_Asked):
    """Somebody says how it ended."""

    type: Literal["resolve"]
    outcome: Outcome
    note: str = Field("", max_length=COMMENT_LIMIT)


class Assign(_Asked):
    """Somebody is to work on it; null gives it back to the account's owner."""

    type: Literal["assign"]
    to: _Id | None = Field(description="A person's id.")


class Comment(_Asked):
    """Somebody writes something."""

    type: Literal["comment"]
    text: str = Field(min_length=1, max_length=COMMENT_LIMIT, pattern=r"\S")


class Reopen(_Asked):
    """Somebody takes it up again."""

    type: Literal["reopen"]


class Feedback(_Asked):
    """Somebody says what an alert was worth."""

    type: Literal["feedback"]
    alert_id: _Id
    verdict: Verdict


ActionBody = Annotated[
    Acknowledge | Snooze | Resolve | Assign | Comment | Reopen | Feedback,
    Field(discriminator="type"),
]

RECORDS: Final = {
    "acknowledge": "case.acknowledged",
    "snooze": "case.snoozed",
    "resolve": "case.resolved",
    "assign": "case.assigned",
    "comment": "case.commented",
    "reopen": "case.reopened",
    "feedback": "feedback.given",
}
"""The record of the alert log that each becomes."""


class FieldRefused(ValueError):
    """A field is at fault in a way that its type cannot say.

    Args:
        field: Its name, as it was sent.
        detail: What is wrong, its bound, and the remedy.
    """

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class NoSuchCase(Exception):
    """No account can have that id, so there is no case of it.

    Args:
        account: The id.
    """

    def __init__(self, account: str) -> None:
        super().__init__(no_case(account))


class VersionMissing(Exception):
    """Nobody may act on a case without saying which version of it was seen."""

    def __str__(self) -> str:
        return (
            'Send `If-Match` with the `ETag` of the case as you saw it, such as If-Match: "3"; '
            "`*` acts whatever it is now."
        )


def no_case(account: str) -> str:
    """Return what people read where there is no case of an account."""
    return f"There is no case of account {account[:200]!r}."


def seen_version(if_match: str | None) -> int | None:
    """Read which version of a case somebody saw.

    Args:
        if_match: The header: a case's `ETag`, or its version with or without quotes, or `*`. A
            weak one is taken too: proxies that compress make it weak.

    Returns:
        The version; None for whichever.

    Raises:
        VersionMissing: There is none.
        FieldRefused: It is something else.

    Source:
        RFC 9110 §13.1.1; RFC 6585 §3 (428).

    >>> seen_version('"3-5f0c"'), seen_version('W/"3"'), seen_version("3"), seen_version("*")
    (3, 3, 3, None)
    """
    if if_match is None or not if_match.strip():
        raise VersionMissing
    if if_match.strip() == "*":
        return None
    found = _VERSION.fullmatch(if_match.strip())
    if found is None:
        raise FieldRefused("If-Match", f"{if_match[:60]!r} is neither one `ETag` of a case nor `*`")
    return int(found[1])


def action_key(key: str | None, fresh: str) -> str:
    """Return the id of an action.

    Args:
        key: The `Idempotency-Key`, if the caller gave one: 1..200 printable ASCII characters.
        fresh: An id that nobody else has, for a caller who gave none.

    Raises:
        FieldRefused: It is no such text.
    """
    if key is None:
        return fresh
    if not (0 < len(key) <= KEY_LIMIT and key.isascii() and key.isprintable() and key.strip()):
        raise FieldRefused(
            "Idempotency-Key", f"{key[:60]!r} is not 1..{KEY_LIMIT} printable ASCII characters"
        )
    return key


def check_assignee(body: ActionBody, people: Collection[str]) -> None:
    """Refuse to assign a case to somebody who is not there: nobody would ever see it.

    Args:
        body: What is asked.
        people: Ids of the directory; an empty one knows nobody, and refuses nobody.

    Raises:
        FieldRefused: The directory does not know the person.
    """
    if isinstance(body, Assign) and body.to is not None and people and body.to not in people:
        raise FieldRefused("to", f"{body.to[:60]!r} is nobody whom directory.toml names")


def to_action(
    body: ActionBody, *, case: str, key: str, by: str, at: datetime, seen: int | None
) -> Action:
    """Make the record of the alert log.

    Args:
        body: What is asked.
        case: The account's id.
        key: The action's id.
        by: Who asks.
        at: Now, aware UTC.
        seen: The version of the case that was seen; None for whichever.

    Raises:
        FieldRefused: A snooze that would end before it begins, or something that the log's own
            schema refuses.
        NoSuchCase: The account's id is one that no account can have.
    """
    fields: dict[str, Any] = dict(body)
    if isinstance(body, Snooze):
        fields["until"] = _bounded(body.until, at)
    head = {"type": RECORDS[body.type], "id": key, "case": case, "by": by, "at": at, "seen": seen}
    try:
        return msgspec.convert(fields | head, Action)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        detail, _, where = str(error).partition(" - at `$.")
        field = where.rstrip("`") or "body"
        if field == "case":
            raise NoSuchCase(case) from None
        raise FieldRefused(_SENT_AS.get(field, field), detail) from None


def _bounded(until: datetime, at: datetime) -> datetime:
    if until <= at:
        raise FieldRefused("until", f"{until.isoformat()} is not after now, {at.isoformat()}")
    if until > at + SNOOZE_LIMIT:
        limit = f"{SNOOZE_LIMIT.days} days"
        raise FieldRefused("until", f"{until.isoformat()} is more than {limit} ahead; resolve it")
    return until.astimezone(UTC)
