"""What the detector is to learn of what people did: entries of `events.v1` (design.md §2). Pure."""

from typing import Final

from schemas.cases import FeedbackRecord
from schemas.envelope import Entry, Origin, account
from schemas.events import FeedbackGiven
from schemas.topics import ALERTS
from services.alerts.cases.case import Place

SOURCE: Final = "ebbwatch"

INPUT: Final = ALERTS.name
"""What an origin names begins so; an input of the company cannot be called so: it has a dot."""


def feedback(
    said: FeedbackRecord,
    rule: str,
    partition: int,
    at: Place,
    begun: int,
    spot: tuple[int, int] | None = None,
) -> Entry:
    """Return the entry that tells the detector what an alert was worth.

    Its origin is where the record stands in the alert log, and which log that is: whoever folds it
    again says the same again, and the detector drops it. In a log that was created anew offsets
    begin anew, and nobody said the same before.

    Args:
        said: The record.
        rule: The rule that raised the alert.
        partition: The partition of the alert log.
        at: Where it stands there.
        begun: When the first record of that partition entered it, microseconds; 0 if that is not
            known, as where an earlier version said what was said first.
        spot: Offset and place of its origin; where the record was held back, behind all that was
            said before it was folded, or the detector would take it for a repetition. None for
            where it stands.
    """
    life = f"~{begun}" if begun else ""
    return Entry(
        id=f"feedback{life}-{partition}-{at.offset}",
        source=SOURCE,
        time=at.appended,
        subjects=(account(said.case),),
        event=FeedbackGiven(alert=said.alert_id, verdict=said.verdict, author=said.by, rule=rule),
        origin=Origin(f"{INPUT}{life}", partition, *(spot or (at.offset, 0))),
    )
