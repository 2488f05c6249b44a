"""What stands in Redis, and what a reader sees of it."""

from typing import Any

from schemas.accounts import AccountDays, AccountSummary
from services.alerts.view import View
from tests.contract.redis_servers import RedisServer

ODD = "a/b cé:{x}<script>alert(1)</script>/days/2026-05" + "y" * 60
"""An account id that is nothing but awkward."""


def summary(account: str = "acme", **fields: Any) -> AccountSummary:
    known: dict[str, Any] = {"stamp": 9, "name": "Acme Ltd", "owner": "bob", "arr": 120_000}
    return AccountSummary(account=account, **(known | fields))


def month(account: str, name: str, *values: float, metric: str = "usage") -> AccountDays:
    return AccountDays(account=account, month=name, metrics={metric: list(values)})


async def dump(server: RedisServer) -> dict[str, Any]:
    """Everything that stands in Redis but the stream, versions, and when it was written."""
    found: dict[str, Any] = {}
    for key in await server.keys():
        kind = (await server.client.type(key)).decode()
        if key.endswith(("marker", "moved", "stream")):
            continue
        if kind == "hash":
            found[key] = await server.client.hgetall(key)
        elif kind == "set":
            found[key] = await server.client.smembers(key)
        else:
            found[key] = await server.client.zrange(key, 0, -1, withscores=True)
    return found


async def read(view: View, account: str = "acme") -> tuple[Any, ...]:
    """All that a reader can see of an account and its alerts."""
    return (
        sorted(await view.cases(), key=lambda one: one.account),
        sorted(await view.cases(resolved=True), key=lambda one: one.account),
        await view.account(account),
        await view.alerts(False, None, 100),
        await view.alerts(True, None, 100),
    )
