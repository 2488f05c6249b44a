"""Support tickets."""

from typing import Annotated

from msgspec import Meta

from .fields import Fields, Id

Priority = Annotated[int, Meta(ge=1, le=5, description="1 is the most urgent.")]


class TicketOpened(Fields, frozen=True, tag="ticket.opened"):
    """A customer opened a ticket."""

    ticket: Id
    priority: Priority = 3


class TicketClosed(Fields, frozen=True, tag="ticket.closed"):
    """A ticket was closed."""

    ticket: Id
