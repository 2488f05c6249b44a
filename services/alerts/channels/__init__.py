"""One module per kind of channel: a notice out, what became of it back.

A new kind is one module with what `sending.Kind` names, and its line in `KINDS`.
"""

from datetime import datetime

from services.alerts.channels import webhook
from services.alerts.channels.lookup import Lookup
from services.alerts.channels.sending import (
    Channel,
    Delivered,
    Kind,
    Network,
    Outcome,
    Refused,
)

KINDS: tuple[Kind, ...] = (webhook,)

__all__ = [
    "KINDS",
    "Channel",
    "Delivered",
    "Kind",
    "Network",
    "Outcome",
    "Refused",
    "Sender",
    "find",
]


def find(kind: str) -> Kind | None:
    """Return the kind of a name, as in `channels.toml`; None if there is none.

    >>> find("webhook").KIND
    'webhook'
    """
    return next((each for each in KINDS if kind == each.KIND), None)


class Sender:
    """Sends by every channel; one per process, safe for many tasks at once.

    Args:
        within: Seconds for one attempt, all in all, > 0.
    """

    def __init__(self, within: float) -> None:
        self._within = within
        self._lookup = Lookup()

    async def send(self, channel: Channel, notice_id: str, body: bytes, now: datetime) -> Outcome:
        """Make one attempt; whatever goes wrong is an outcome.

        Args:
            channel: As the directory has it now.
            notice_id: The notice; the same for every attempt.
            body: What to send, as `message.py` composed it.
            now: Aware UTC.
        """
        if channel.disabled:
            return Refused("channel_disabled", f"channel {channel.name!r} is switched off")
        return await self.attempt(channel, notice_id, body, now)

    async def attempt(
        self, channel: Channel, notice_id: str, body: bytes, now: datetime
    ) -> Outcome:
        """Make one attempt although the channel may be switched off, as a test of it does."""
        kind = find(channel.kind)
        if kind is None or channel.fault:
            fault = channel.fault or f"kind {channel.kind!r} is unknown to this version"
            return Refused("misconfigured", f"channel {channel.name!r}: {fault}")
        return await kind.send(channel, notice_id, body, now, self._within, self._lookup)

    async def close(self) -> None:
        """Wait for no look-up any more."""
        await self._lookup.close()
