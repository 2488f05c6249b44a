"""The official CloudEvents SDK, its present and its former API, and kcat, against real ingest."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from cloudevents.core.bindings import http as sdk_http
from cloudevents.core.bindings import kafka as sdk_kafka
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.conversion import to_binary, to_structured
from cloudevents.v1.http import CloudEvent as FormerEvent

from schemas.envelope import Entry
from schemas.events import UsageRecorded
from tests.integration.ingesting import Deployment, Process, deployment, event, produce
from tests.platform import create_topics, eventually

pytestmark = pytest.mark.integration

DATA = {"metric": "api_calls", "quantity": 2.5, "person": "u17"}
USAGE = UsageRecorded(metric="api_calls", quantity=2.5, person="u17")


@pytest.fixture
async def ours(kafka: str, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with deployment(kafka, tmp_path) as made:
        yield made


def made(id: str, at: datetime) -> CloudEvent:
    attributes = {
        "id": id,
        "source": "/sdk",
        "type": "usage.recorded",
        "subject": "Zoë & Søn",
        "time": at,
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    return CloudEvent(attributes, DATA)


async def post(ingest: Process, key: str, headers: dict[str, str], body: bytes) -> object:
    headers = {**headers, "Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{ingest.url}/v1/events", data=body, headers=headers) as answer,
    ):
        return await answer.json()


async def usage(ours: Deployment) -> list[Entry]:
    return [e for part in await ours.entries() for e in part if e.source == "/sdk"]


async def test_the_sdk_posts_structured_and_binary_events(ours: Deployment) -> None:
    key, ingest, at = await ours.key(), await ours.live(), datetime.now(UTC)
    binary = sdk_http.to_binary_event(made("binary", at))
    structured = sdk_http.to_structured_event(made("structured", at))

    for message in (binary, structured):
        answer = await post(ingest, key, dict(message.headers), message.body)
        assert answer == {"accepted": 1, "rejected": []}

    micros = round(at.timestamp() * 1e6)
    assert await usage(ours) == [
        Entry(id, "/sdk", micros, ("account:Zoë & Søn",), USAGE) for id in ("binary", "structured")
    ]


async def test_the_sdk_s_former_api_posts_structured_and_binary_events(ours: Deployment) -> None:
    key, ingest = await ours.key(), await ours.live()
    at = datetime.now(UTC)
    attributes = {
        "source": "/sdk",
        "type": "usage.recorded",
        "subject": "acct_1",
        "time": at.isoformat(),
    }

    for id, write in (("b", to_binary), ("s", to_structured)):
        headers, body = write(FormerEvent({**attributes, "id": id}, DATA))
        answer = await post(ingest, key, dict(headers), body)
        assert answer == {"accepted": 1, "rejected": []}

    micros = round(at.timestamp() * 1e6)
    assert await usage(ours) == [
        Entry(id, "/sdk", micros, ("account:acct_1",), USAGE) for id in ("b", "s")
    ]


async def test_the_sdk_s_kafka_messages_are_read_in_both_modes(ours: Deployment) -> None:
    topic, at = f"{ours.prefix}usage", datetime.now(UTC)
    await create_topics(ours.kafka, topic)
    await ours.set_rules(1, {"gateway": topic})
    for write, id in (
        (sdk_kafka.to_binary_event, "binary"),
        (sdk_kafka.to_structured_event, "structured"),
    ):
        message = write(made(id, at))
        assert isinstance(message.value, bytes)
        await produce(ours.kafka, topic, [message.value], list(message.headers.items()))
    await ours.live()

    found = await eventually(lambda: _two(ours), within=30)

    micros = round(at.timestamp() * 1e6)
    assert [(e.id, e.time, e.subjects, e.event) for e in found] == [
        (id, micros, ("account:Zoë & Søn",), USAGE) for id in ("binary", "structured")
    ]


async def _two(ours: Deployment) -> list[Entry]:
    found = await usage(ours)
    return found if len(found) == 2 else []


async def test_kcat_writes_an_input_and_reads_the_refusals(ours: Deployment) -> None:
    topic = f"{ours.prefix}usage"
    await create_topics(ours.kafka, topic)
    await ours.set_rules(1, {"gateway": topic})
    good, bad = json.dumps(event("k1", source="/sdk")), "broken"
    await _kcat(ours, "-P", "-t", topic, stdin=f"{good}\n{bad}\n".encode())
    await ours.live()

    async def refused() -> bytes:
        return await _kcat(ours, "-C", "-e", "-q", "-t", f"{ours.prefix}rejects.v1")

    reject = json.loads(await eventually(refused, within=30))

    assert (reject["topic"], reject["offset"], reject["reason"]) == (topic, 1, "broken_json")
    assert [entry.id for entry in await usage(ours)] == ["k1"]


async def _kcat(ours: Deployment, *arguments: str, stdin: bytes = b"") -> bytes:
    child = await asyncio.create_subprocess_exec(
        *("kcat", "-b", ours.kafka, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await child.communicate(stdin)
    assert child.returncode == 0
    return output
