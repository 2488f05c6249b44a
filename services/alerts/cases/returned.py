"""What the detector is to learn of what people did: entries of `events.v1` (design.md §2). Pure."""

from typing import Final

from schemas.cases import FeedbackRecord
from schemas.envelope import Entry, Origin, account
from schemas.events import FeedbackGiven
from schemas.topics import ALERTS
from services.alerts.cases.case import Place

SOURCE: Final = "ebbwatch"

INPUT: Final = ALERTS.name
"""The input that an origin names; an input of the company cannot be called so: it has a dot."""


def feedback(said: FeedbackRecord, rule: str, partition: int, at: Place) -> Entry:
    """Return the entry that tells the detector what an alert was worth.

    Its origin is where the record stands in the alert log: whoever folds that again says the same
    again, and the detector drops it.

    Args:
        said: The record.
        rule: The rule that raised the alert.
        partition: The partition of the alert log.
        at: Where it stands there.
    """
    return Entry(
        id=f"feedback-{partition}-{at.offset}",
        source=SOURCE,
        time=at.appended,
        subjects=(account(said.case),),
        event=FeedbackGiven(alert=said.alert_id, verdict=said.verdict, author=said.by, rule=rule),
        origin=Origin(INPUT, partition, at.offset, 0),
    )
