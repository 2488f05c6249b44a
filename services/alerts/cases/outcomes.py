"""What the record of a delivery does to a case: its notice goes on, or is closed. Pure."""

from schemas import cases
from schemas.cases import NoticeIntended
from services.alerts.cases.case import Case, Place
from services.alerts.cases.notices import Notice


def take(case: Case, record: cases.Notice, at: Place) -> Notice | None:
    """Fold the record of a delivery into its case.

    A timeline tells of every attempt, and of a notice that had nowhere to go.

    Args:
        case: The case; it changes.
        record: The record.
        at: Where it stands.

    Returns:
        The notice after it; None if nothing changed: by what is known, was not intended, or came
        after the end.
    """
    known = case.notices.get(record.id)
    if known is None:
        return None
    if isinstance(record, NoticeIntended):
        after = known.intend(record.targets)
        delivery = None
    else:
        after = known.take(record)
        delivery = (after.deliveries or {}).get(record.channel)
    if after is known:
        return None
    case.keep(after)
    if delivery is not None or not after.deliveries:
        case.note(record, at, delivery=delivery)
    return after
