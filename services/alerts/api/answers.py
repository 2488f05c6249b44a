"""The shapes of the JSON API: what it answers."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.alerts import SEVERITIES, Severity
from schemas.config import PersonRecord
from services.alerts.channels import Channel
from services.alerts.shown import (
    AccountShown,
    ActionAnswer,
    AlertShown,
    CaseShown,
    CaseState,
    Freshness,
)

STATES: Final[tuple[CaseState, ...]] = ("open", "acknowledged", "snoozed", "resolved")


class _Answered(BaseModel):
    model_config = ConfigDict(frozen=True)


class CasesPage(_Answered):
    """One page of cases.

    Attributes:
        next: Cursor of the following page; null on the last one.
        total: How many cases the filter finds on all pages.
        freshness: How far the list can be relied on.
    """

    items: list[CaseShown]
    next: str | None
    total: int
    freshness: Freshness


class AlertsPage(_Answered):
    """One page of alerts, the newest first, without evidence."""

    items: list[AlertShown]
    next: str | None
    freshness: Freshness


class AccountsPage(_Answered):
    """One page of accounts, by id."""

    items: list[AccountShown]
    next: str | None
    freshness: Freshness


class Acted(_Answered):
    """What became of an action, and the case after it; null while the view is away."""

    answer: ActionAnswer
    case: CaseShown | None


class Pending(_Answered):
    """An action that is in the log; its verdict is asked for at the `Location`."""

    answer: ActionAnswer


class FieldFault(_Answered):
    """One field that is at fault."""

    field: str
    detail: str


class Problem(_Answered):
    """Why something was not done.

    Attributes:
        error: For a machine.
        detail: For a person, with the remedy.
        field: The first field that is at fault.
        faults: All fields that are.
    """

    error: str
    detail: str
    field: str | None = None
    faults: list[FieldFault] | None = None


class Conflict(_Answered):
    """The case had moved on: how it is now, and its verdict on the action."""

    error: Literal["conflict"] = "conflict"
    detail: str
    answer: ActionAnswer
    case: CaseShown | None


class PersonShown(_Answered):
    """One of the company's people."""

    id: str
    name: str
    email: str | None = None
    manager: str | None = None


class PeoplePage(_Answered):
    """All people of the directory, by id."""

    items: list[PersonShown]
    signal_manager: str | None = Field(description="Who gets what has no other owner.")


class ChannelShown(_Answered):
    """One channel; neither its secret nor its whole address, which often is one.

    Attributes:
        host: Where it sends.
        state: ok · failing: since `failing_since`, and tried on · disabled: until `ebbwatch
            channels enable NAME` · broken: it cannot send, see `detail`.
    """

    name: str
    kind: str
    host: str
    state: Literal["ok", "failing", "disabled", "broken"]
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    detail: str = ""


class ChannelsPage(_Answered):
    """All channels, by name."""

    items: list[ChannelShown]


class Status(_Answered):
    """How the desk stands.

    Attributes:
        cases: Cases that are not resolved, by state.
        severities: The same, by severity.
        freshness: How far this can be relied on.
    """

    cases: dict[CaseState, int]
    severities: dict[Severity, int]
    freshness: Freshness


def status(cases: Iterable[CaseShown], freshness: Freshness) -> Status:
    """Count the cases that are not resolved.

    Args:
        cases: They.
        freshness: How far they can be relied on.
    """
    found = [(case.state, case.severity) for case in cases]
    states = Counter(state for state, _ in found)
    severities = Counter(severity for _, severity in found)
    return Status(
        cases={state: states[state] for state in STATES if state != "resolved"},
        severities={severity: severities[severity] for severity in SEVERITIES},
        freshness=freshness,
    )


def person_shown(person: PersonRecord) -> PersonShown:
    """Return what others see of a person."""
    return PersonShown(id=person.id, name=person.name, email=person.email, manager=person.manager)


def channel_shown(channel: Channel) -> ChannelShown:
    """Return what people see of a channel, without what would let them use it."""
    health = channel.health
    return ChannelShown(
        name=channel.name,
        kind=channel.kind,
        host=channel.host,
        state=channel.state,
        failing_since=health.failing_since,
        disabled_at=health.disabled_at,
        detail=channel.fault or health.reason or "",
    )
