"""A desk under test: alerts put into the log as the detector does, and where webhooks arrive."""

import asyncio
import base64
import contextlib
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from schemas import alerts, topics
from schemas.accounts import AccountDays, AccountSummary, days_key
from schemas.alerts import AccountNow, Alert, AlertRaised, Severity
from services.partitioning import partition_of
from services.snapshots import Record, SnapshotWriter
from tests.integration.deployment import PARTITIONS, Deployment
from tests.platform import eventually

DIRECTORY = """\
[person.ana]
name = "Ana Lima"
[person.kim]
name = "Kim Larsen"
"""


class Receiver:
    """An endpoint that takes webhooks, as slowly as it is told.

    Attributes:
        bodies: What came, by `webhook-id`, each time it came.
        delay: Seconds that it takes for each.
        status: What it answers.
        ended: How many it has answered.
    """

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = defaultdict(list)
        self.delay = 0.0
        self.status = 204
        self.ended = 0
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.bodies[request.headers["webhook-id"]].append(body)
        await asyncio.sleep(self.delay)
        self.ended += 1
        return web.Response(status=self.status)

    def told(self) -> dict[str, str]:
        """Return the account that each webhook told of."""
        return {
            id: msgspec.json.decode(bodies[0])["data"]["case"]["account"]
            for id, bodies in self.bodies.items()
        }


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Listen as long as the block lasts."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server: Any = site._server
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def configure(deployment: Deployment, channels: dict[str, str]) -> None:
    """Write company files with people and webhook channels, name to URL; apply them if asked."""
    company = deployment.folder / "company"
    company.mkdir(exist_ok=True)
    secret = "whsec_" + base64.b64encode(b"a secret of the tests, 32 bytes.").decode()
    (company / "secret").write_text(secret)
    (company / "directory.toml").write_text(DIRECTORY)
    (company / "channels.toml").write_text(
        "\n".join(
            f'[channel.{name}]\nkind = "webhook"\nurl = "{url}"\nsecret_file = "secret"\n'
            'allow = ["127.0.0.1/32"]\nallow_http = true\n'
            for name, url in channels.items()
        )
    )
    deployment.environ["EBBWATCH_CONFIG_DIR"] = str(company)


def raised(account: str, severity: Severity = "high", **changes: Any) -> AlertRaised:
    """An alert begins."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "alert_id": str(uuid.uuid5(uuid.NAMESPACE_OID, account)),
        "account": account,
        "rule": "usage-drop",
        "rule_set": 1,
        "kind": "usage_drop",
        "object": "api_calls",
        "day": now.date(),
        "fired_at": now,
        "severity": severity,
        "category": "early_signals",
        "churn_kind": "voluntary",
        "historic": False,
        "account_now": AccountNow(stamp=1, owner="ana", name=f"The {account}"),
        "because": {"headline": "api_calls fell 42 %", "text": "They fell.", "play": "call"},
    }
    return AlertRaised(**fields | changes)


async def append(deployment: Deployment, records: Iterable[Alert]) -> None:
    """Append records of alerts, in one transaction as the detector does."""
    topic = topics.full_name(topics.ALERTS, deployment.prefix)
    await write(
        deployment,
        [Record(topic, place(one.account), one.account, alerts.encode(one)) for one in records],
    )


async def append_accounts(
    deployment: Deployment, records: Iterable[AccountSummary | AccountDays]
) -> None:
    """Append what the detector says of accounts."""
    topic = topics.full_name(topics.ACCOUNTS, deployment.prefix)
    written = []
    for one in records:
        key = days_key(one.account, one.month) if isinstance(one, AccountDays) else one.account
        written.append(Record(topic, place(one.account), key, msgspec.json.encode(one)))
    await write(deployment, written)


async def write(deployment: Deployment, records: Sequence[Record]) -> None:
    """Write records in one transaction."""
    writer = SnapshotWriter(deployment.kafka, f"{deployment.prefix}test")
    await writer.start()
    await writer.write(records)
    await writer.stop()


def place(account: str) -> int:
    """Return an account's partition."""
    return partition_of(account, PARTITIONS)


class Person:
    """Somebody who uses the API of one replica or another.

    Args:
        client: Makes requests.
        url: Where the replica listens.
    """

    def __init__(self, client: aiohttp.ClientSession, url: str) -> None:
        self.client = client
        self.url = url

    async def get(self, path: str) -> tuple[int, Any]:
        """Return status and JSON of a resource; 0 if nobody listens."""
        try:
            async with self.client.get(f"{self.url}{path}") as answer:
                return answer.status, await answer.json(content_type=None)
        except aiohttp.ClientError:
            return 0, None

    async def act(
        self, account: str, id: str, body: dict[str, Any], seen: str = "*"
    ) -> tuple[int, Any]:
        """Act on a case; 0 if nobody listens, or the connection broke."""
        headers = {"Idempotency-Key": id, "If-Match": seen, "X-Ebbwatch-Person": "kim"}
        url = f"{self.url}/api/v1/cases/{account}/actions"
        try:
            async with self.client.post(url, json=body, headers=headers) as answer:
                return answer.status, await answer.json(content_type=None)
        except aiohttp.ClientError:
            return 0, None

    async def cases(self) -> list[dict[str, Any]]:
        """Return all cases that are not resolved; none unless the view is whole."""
        found: list[dict[str, Any]] = []
        path = "/api/v1/cases?limit=200&sort=age"
        while True:
            status, page = await self.get(path)
            if status != 200 or not page["freshness"]["complete"]:
                return []
            found += page["items"]
            if page["next"] is None:
                return found
            path = f"/api/v1/cases?limit=200&sort=age&cursor={page['next']}"

    async def ready(self) -> None:
        """Wait until the replica is ready and the view whole."""

        async def whole() -> bool:
            status, state = await self.get("/readyz")
            return status == 200 and bool(state["checks"]["view"]["ok"])

        await eventually(whole, within=40, what=f"{self.url} to be ready")

    async def timeline(self, account: str) -> list[dict[str, Any]]:
        """Return the moments of an account's case, the newest first; none if there is none."""
        status, page = await self.get(f"/api/v1/accounts/{account}")
        return list(page["timeline"]) if status == 200 else []


@contextlib.asynccontextmanager
async def person(deployment: Deployment, number: int = 0) -> AsyncIterator[Person]:
    """Use a replica as long as the block lasts."""
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        yield Person(client, deployment.desk(number))


async def some(receiver: Receiver, count: int) -> None:
    """Wait until so many notices have arrived."""
    await eventually(
        lambda: len(receiver.bodies) >= count, within=60, what=f"{count} notices to arrive"
    )


async def answered(kim: Person) -> bool:
    """Tell whether no notice is open any more."""
    async with kim.client.get(f"{kim.url}/metrics") as answer:
        samples = await answer.text()
    return "\nebbwatch_oldest_undelivered_alert_timestamp_seconds 0.0\n" in samples


async def all_seen(user: Person, count: int) -> list[dict[str, Any]]:
    """Wait until a replica shows so many cases."""
    return await eventually(lambda: all_of(user, count), within=20, what=f"{count} cases")


async def all_of(kim: Person, count: int) -> list[dict[str, Any]]:
    found = await kim.cases()
    return found if len(found) == count else []


async def partitions(user: Person) -> list[int]:
    """Return which partitions a replica owns."""
    async with user.client.get(f"{user.url}/metrics") as answer:
        samples = (await answer.text()).splitlines()
    return [
        int(line.split('partition="')[1].partition('"')[0])
        for line in samples
        if line.startswith("ebbwatch_stamp{")
    ]


async def shared(one: Person, other: Person) -> bool:
    status, _ = await other.get("/readyz")
    if status != 200:
        return False
    mine, others = await partitions(one), await partitions(other)
    return len(mine) == len(others) == 4 and not {*mine} & {*others}


async def owned(user: Person, count: int) -> bool:
    status, _ = await user.get("/readyz")
    return status == 200 and len(await partitions(user)) == count
