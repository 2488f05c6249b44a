"""People at the customer, and what we know from talking to them."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from .fields import Fields, Id, OptionalId, Text

Rating = Annotated[int, Meta(ge=1, le=5, description="5 is the best.")]


class ContactUpdated(Fields, frozen=True, tag="contact.updated"):
    """A contact's role or status changed; a role that is absent is unchanged, null is cleared."""

    person: Id
    role: Text | UnsetType | None = UNSET
    status: Literal["active", "away", "left"] | UnsetType = UNSET


class TouchRecorded(Fields, frozen=True, tag="touch.recorded"):
    """One of ours and one of theirs were in contact."""

    person: OptionalId = UNSET
    colleague: OptionalId = UNSET
    channel: Literal["email", "call", "meeting", "chat", "ticket", "other"] = "other"
    two_way: bool = False


class SentimentSet(Fields, frozen=True, tag="sentiment.set"):
    """A colleague's own rating of the account."""

    rating: Rating
    author: Id


class AdminGranted(Fields, frozen=True, tag="admin.granted"):
    """A person became an administrator of the customer's installation."""

    person: Id


class AdminRevoked(Fields, frozen=True, tag="admin.revoked"):
    """A person is no longer an administrator."""

    person: Id


class ReviewHeld(Fields, frozen=True, tag="review.held"):
    """A business review was held; who attended it."""

    attended: Annotated[list[Id], Meta(max_length=200)]
