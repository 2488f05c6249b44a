"""Notices: what somebody had to be told, for whom it was meant, and how each delivery ended."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from schemas.cases import NoticeDelivered, NoticeFailed, NoticeIntended, Target


@dataclass
class Told:
    """One notice.

    Attributes:
        alert: The record to tell of.
        caused: Offset of the record that caused it.
        intended: Where its targets were written: offset and append time; None while they are not.
        targets: To whom it goes, by channel; None until that is in the log.
        outcomes: How it ended, by channel: `delivered` or `failed`.
    """

    id: str
    case: str
    step: str
    alert: str
    caused: int = 0
    intended: tuple[int, int] | None = None
    targets: dict[str, Target] | None = None
    outcomes: dict[str, str] = field(default_factory=dict)

    @property
    def webhook_id(self) -> str:
        """The id under which it is sent."""
        return f"msg_{self.id.replace('-', '')}"

    def take(
        self, record: NoticeIntended | NoticeDelivered | NoticeFailed, offset: int, appended: int
    ) -> None:
        """Take the record of a delivery over; what was not intended ends nothing.

        Args:
            record: The record.
            offset: Where it stands.
            appended: When it was appended, microseconds.
        """
        if isinstance(record, NoticeIntended):
            if self.targets is None:
                self.intended = (offset, appended)
                # One target a channel, the first.
                self.targets = {one.channel: one for one in reversed(record.targets)}
        elif record.channel in (self.targets or {}):
            if isinstance(record, NoticeDelivered):
                # After the last failure nothing is awaited; what arrives all the same has arrived.
                self.outcomes[record.channel] = "delivered"
            elif record.retry_at is None:
                self.outcomes.setdefault(record.channel, "failed")


def unfinished(notices: Iterable[Told]) -> Iterator[str]:
    """Yield what nobody was told although somebody had to be."""
    for told in notices:
        what = f"notice {told.id} ({told.step}, alert {told.alert} of {told.case})"
        if told.targets is None:
            yield f"{what} was never intended for anybody"
        for channel in sorted((told.targets or {}).keys() - told.outcomes.keys()):
            yield f"{what} has no outcome by {channel}"
