"""Who is told of a case. Pure; the ownership arrives as data."""

from collections.abc import Mapping
from typing import NamedTuple

from schemas.accounts import AccountSummary
from schemas.config import PersonRecord, RoutingRecord
from services.alerts.cases.case import Case
from services.alerts.cases.notices import Why


class Recipient(NamedTuple):
    """Whom a notice is addressed to.

    Attributes:
        person: Id of the person; None if there is nobody, so that only the channel hears of it.
        why: Why that person.
    """

    person: str | None
    why: Why


def route(
    case: Case,
    summary: AccountSummary | None,
    people: Mapping[str, PersonRecord],
    routing: RoutingRecord,
) -> Recipient:
    """Return who is told: who works on the case, else who owns the account, else the stand-in.

    A directory that has people decides who exists: an id that it does not know is passed over, as
    of somebody who has left. An empty one knows nothing, and every id is taken as it is.

    Args:
        case: The case.
        summary: The account's newest summary, if there is one.
        people: The directory, by id.
        routing: Who gets what has no other owner.

    Source: design.md §6, Routing, without delegates and managers, which come with escalation.
    """
    wanted: tuple[tuple[str | None, Why], ...] = (
        (case.assignee, "assignee"),
        (owner(case, summary), "owner"),
        (routing.signal_manager, "signal_manager"),
    )
    for person, why in wanted:
        if person is not None and (not people or person in people):
            return Recipient(person, why)
    return Recipient(None, "nobody")


def owner(case: Case, summary: AccountSummary | None) -> str | None:
    """Return who owns the account: of the case's newest alert and the summary the newer one says.

    Equal stamps are the same fold, in which the summary is written last.

    Args:
        case: The case.
        summary: The account's newest summary, if there is one.
    """
    now = case.account_now
    if summary is not None and (now is None or summary.stamp >= now.stamp):
        return summary.owner
    return None if now is None else now.owner
