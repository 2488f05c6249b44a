import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.cases import Action, Notice
from services.alerts.appender import Appender, LogAway
from services.runtime import Health
from tests.platform import eventually, free_port
from tests.unit.alerts import builders as b

REFUSED = "[Error 29] TopicAuthorizationFailedError"


class Refusing(Appender):
    """An alert log that takes a record only after some refusals."""

    def __init__(self, health: Health, refusals: int) -> None:
        super().__init__("nowhere:1", "alerts", 1, "test", health)
        self._left: Iterator[int] = iter(range(refusals))
        self.taken: list[Action | Notice] = []

    async def append(self, record: Action | Notice, within: float) -> None:
        """Refuse, as a broker does whose rights are not what they must be."""
        if next(self._left, None) is not None:
            raise LogAway(REFUSED)
        self.taken.append(record)


def log_of(health: Health) -> dict[str, Any]:
    found: dict[str, Any] = health.as_json()["checks"].get("log", {})
    return found


async def test_while_a_record_is_not_taken_the_service_is_not_ready() -> None:
    health = Health()
    health.set("kafka", True)
    appender, record = Refusing(health, 2), b.commented()
    insisting = asyncio.create_task(appender.insist(record))

    await eventually(lambda: "2 attempt" in log_of(health).get("detail", ""))
    shown, ready = log_of(health), health.ready
    await insisting

    detail = f"1 record(s) wait, this one since 2 attempt(s): {REFUSED}"
    assert (shown, ready) == ({"ok": False, "required": True, "detail": detail}, False)
    assert (appender.taken, health.ready) == ([record], True)
    assert log_of(health) == {"ok": True, "required": True, "detail": ""}


async def test_it_is_ready_again_when_the_last_of_them_has_gone() -> None:
    health = Health()
    appender = Refusing(health, 2)
    first = asyncio.create_task(appender.insist(b.commented()))
    second = asyncio.create_task(appender.insist(b.commented()))

    await eventually(lambda: "2 record(s)" in log_of(health).get("detail", ""))
    first.cancel()
    await asyncio.wait({first})
    assert not health.ready
    await second
    assert health.ready


async def test_who_is_given_up_while_kafka_is_away_is_counted_no_longer() -> None:
    health, port = Health(), free_port()
    health.set("kafka", True)
    appender = Appender(f"127.0.0.1:{port}", "alerts", 1, "test", health)
    insisting = asyncio.create_task(appender.insist(b.commented()))
    await eventually(lambda: not log_of(health).get("ok", True), what="the log to be away")
    assert f"127.0.0.1:{port}" in log_of(health)["detail"]
    insisting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await insisting
    assert health.ready
    await appender.stop()


async def test_a_record_that_is_taken_at_once_changes_nothing() -> None:
    health = Health()
    await Refusing(health, 0).insist(b.commented())
    assert log_of(health) == {}
