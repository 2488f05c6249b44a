"""How the endpoints of channels do: written to `config.v1` by whichever replica notices a change.

Since when a channel fails, when it did so last, that it was switched off, that all is well again:
what stays as it is writes nothing.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

import msgspec
from msgspec.structs import replace

from schemas.config import HEALTH_PREFIX, ChannelHealth
from services.alerts.delivery import JITTER_SHARE, SCHEDULE
from services.config_log import ConfigConflict, ConfigUnavailable
from services.runtime import get_logger

DISABLE_AFTER: Final = timedelta(days=5)
"""So long without one success and a channel is switched off. Source: Standard Webhooks, retries."""

HOUR: Final = timedelta(hours=1)
"""How exactly the newest failure is written; of more there is no need, and each is a record."""

FORGET_AFTER: Final = SCHEDULE[-1] * (1 + JITTER_SHARE) + HOUR
"""A channel that failed no more for so long has no attempt that fails again and again: two single
failures, days apart, are not days of failing. The longest step of the schedule, with its jitter."""

HEALTHY: Final = ChannelHealth()

Why = Literal["gone", "failing"]
Change = Callable[[ChannelHealth], ChannelHealth]

_TRIES: Final = 5

_log = get_logger(__name__)


class HealthLog(Protocol):
    """Where health is written: `ConfigLog`."""

    async def read(self) -> dict[str, bytes]:
        """Return the newest value of every key."""

    async def write(self, key: str, value: bytes | None, expect: bytes | None) -> None:
        """Write one key, unless it holds something else than expected."""


def after_failure(health: ChannelHealth, now: datetime) -> ChannelHealth:
    """Return a channel's health after an attempt that failed.

    >>> from datetime import UTC
    >>> day = datetime(2026, 5, 14, tzinfo=UTC)
    >>> later = day + timedelta(days=5)
    >>> after_failure(ChannelHealth(failing_since=day, failed_at=later - HOUR), later).reason
    'failing'
    """
    if health.disabled_at is not None:
        return health
    newest = health.failed_at or health.failing_since
    if health.failing_since is None or newest is None or now - newest > FORGET_AFTER:
        return ChannelHealth(failing_since=now, failed_at=now)
    if now - health.failing_since >= DISABLE_AFTER:
        return switched_off(health, "failing", now)
    return replace(health, failed_at=now) if now - newest >= HOUR else health


def after_success(health: ChannelHealth) -> ChannelHealth:
    """Return a channel's health after an attempt that succeeded.

    One that was switched off meanwhile stays so: only a person switches it on again.
    """
    return health if health.disabled_at is not None else HEALTHY


def switched_off(health: ChannelHealth, reason: Why, now: datetime) -> ChannelHealth:
    """Return a channel's health once it is switched off; the first reason stands."""
    if health.disabled_at is not None:
        return health
    since = health.failing_since or now
    return ChannelHealth(failing_since=since, disabled_at=now, reason=reason)


class HealthWriter:
    """Writes health so that of two replicas neither undoes what the other noticed.

    Args:
        log: Writes `config.v1`.
    """

    def __init__(self, log: HealthLog) -> None:
        self._log = log
        self._turn = asyncio.Lock()

    async def change(self, name: str, known: Callable[[], ChannelHealth], then: Change) -> None:
        """Write what follows for a channel, if it is another than before.

        Where the log cannot be written, the next attempt notices the same, and tries again.

        Args:
            name: The channel.
            known: Returns its health as far as it is known here; asked when it is our turn. Until
                what we wrote is known, the log is asked again, and says that nothing changes.
            then: What follows from a health.
        """
        async with self._turn:
            if then(known()) == known():
                return
            try:
                await self._write(name, then)
            except (ConfigConflict, ConfigUnavailable) as error:
                _log.warning("health of a channel not written", channel=name, error=str(error))

    async def _write(self, name: str, then: Change) -> None:
        """Follow from what the log says, which another replica may have changed meanwhile."""
        key, conflict = f"{HEALTH_PREFIX}{name}", None
        for _ in range(_TRIES):
            raw = (await self._log.read()).get(key)
            health = HEALTHY if raw is None else _readable(raw)
            wanted = then(health)
            if wanted == health:
                return
            try:
                value = None if wanted == HEALTHY else msgspec.json.encode(wanted)
                await self._log.write(key, value, expect=raw)
            except ConfigConflict as error:
                conflict = error
            else:
                _log.info("health of a channel", channel=name, health=msgspec.to_builtins(wanted))
                return
        assert conflict is not None
        raise conflict


def _readable(raw: bytes) -> ChannelHealth:
    try:
        return msgspec.json.decode(raw, type=ChannelHealth)
    except msgspec.MsgspecError:
        return HEALTHY
