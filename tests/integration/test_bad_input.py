"""Bad input by the thousand against running services: schemathesis over HTTP, poison in the topics.

Both OpenAPI documents are taken at their word: whatever they allow and whatever they forbid is
sent, and no answer may be one that they do not tell of. `make fuzz` sends more of it.
"""

import asyncio
import gzip
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import httpx2
import msgspec
import pytest
import schemathesis
from aiokafka import AIOKafkaProducer
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

from schemas import topics
from schemas.envelope import Entry, encode_entry, join
from schemas.events import UsageRecorded
from services.partitioning import partition_of
from tests.integration.deployment import Deployment
from tests.integration.desk import append, configure, person, raised
from tests.integration.gateway import usage
from tests.platform import create_topics, eventually

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600 if "FUZZ_EXAMPLES" in os.environ else 180),
]

TIMES = int(os.environ.get("FUZZ_EXAMPLES") or 8)
"""Requests for each operation of the desk, of what is allowed and of what is not."""

POISON: Sequence[tuple[str, bytes | None]] = (
    ("broken_json", None),
    ("broken_json", b""),
    ("broken_json", b'{"specversion":"1.0"'),
    ("broken_json", b"\xff\xfe{"),
    ("invalid", b"[1]"),
    ("invalid", b'{"specversion":"1.0","id":7}'),
    ("too_deep", b"{" + b'"a":{' * 50),
    ("unknown_type", msgspec.json.encode(usage("p-1", "acct_bad", type="no.such_type"))),
    ("future", msgspec.json.encode(usage("p-2", "acct_bad", 10_000_000))),
    ("unattributed", msgspec.json.encode(usage("p-3", None))),
    ("invalid", msgspec.json.encode(usage("p-4", "acct\x1fbad"))),
)
"""Reason and value of records that nobody should write into an input topic."""

Sent = Case[Any]

JSON = frozenset(
    {
        "application/json",
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
    }
)
PATIENCE = 60
"""Seconds for an answer, however much else the machine has to do."""

TOKEN = "a token of the tests"
INPUT = '[input.gateway]\ntopic = "{topic}"\nformat = "cloudevents"\nsource = "/gateway"\n'


@pytest.fixture(scope="module")
def running(
    kafka: str, valkey: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """All services with an input topic, a case, a channel and two people."""
    folder = tmp_path_factory.mktemp("bad-input")
    deployment = Deployment(kafka, folder, settings={"EBBWATCH_TOKEN": TOKEN}, redis_url=valkey)
    topic = f"{deployment.prefix}gateway"
    asyncio.run(create_topics(kafka, topic))
    configure(deployment, {"crm": "http://127.0.0.1:1/hook"})
    (folder / "company" / "inputs.toml").write_text(INPUT.format(topic=topic))
    try:
        deployment.prepare()
        for service in ("ingest", "detector", "alerts"):
            deployment.start(service)
        asyncio.run(_made(deployment))
        yield deployment
    finally:
        deployment.stop()


async def _made(deployment: Deployment) -> None:
    async with person(deployment) as kim:
        kim.client.headers["authorization"] = f"Bearer {TOKEN}"
        await kim.ready()
        await append(deployment, [raised("acct_1"), raised("acct_2", severity="low")])
        await eventually(lambda: _two(kim), within=40, what="two cases")


async def _two(kim: Any) -> bool:
    return len(await kim.cases()) == 2


def test_ingest_answers_whatever_is_sent_as_its_document_says(running: Deployment) -> None:
    url = f"http://127.0.0.1:{running.ingest_port}"
    key = running.key()
    document = httpx2.get(f"{url}/v1/openapi.json", timeout=10).json()
    event = validator(document, {"$ref": "#/components/schemas/Event"})

    def sent(case: Sent) -> None:
        bodies = case.body if isinstance(case.body, list) else [case.body]
        compress(case)
        answer = case.call_and_validate(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            excluded_checks=[negative_data_rejection, positive_data_acceptance],
            timeout=PATIENCE,
        )
        told = answer.json()
        if "error" not in told and case.media_type in JSON and not in_binary_mode(case):
            assert told["accepted"] + len(told["rejected"]) == len(bodies)
            refused = {one["index"] for one in told["rejected"]}
            assert {at for at, one in enumerate(bodies) if not event.is_valid(one)} <= refused

    ask_everything(document, sent, 4 * TIMES)


def compress(case: Sent) -> None:
    """Let the body be what its header says, or every such body would end with that."""
    headers: Any = case.headers or {}
    if headers.get("Content-Encoding") == "gzip" and case.media_type in JSON:
        case.body = gzip.compress(msgspec.json.encode(case.body))


def in_binary_mode(case: Sent) -> bool:
    return any(name.lower().startswith("ce-") for name in case.headers or ())


async def test_poison_is_told_with_its_place_and_what_stands_around_it_counts(
    running: Deployment,
) -> None:
    """In an input topic and in the log itself."""
    topic = f"{running.prefix}gateway"
    good = [msgspec.json.encode(usage(f"good-{n}", "acct_good")) for n in range(len(POISON))]
    values = [value for n, (_, bad) in enumerate(POISON) for value in (bad, good[n])]
    await write(running.kafka, topic, values, 0)
    log, number = topics.full_name(topics.EVENTS, running.prefix), partition_of("acct_good", 8)
    event = UsageRecorded(metric="api_calls", quantity=1)
    fine = [
        encode_entry(Entry(f"log-{n}", "/log", 0, ("account:acct_good",), event)) for n in range(3)
    ]
    whole = join([fine[0], b"\xa3bad", fine[1]])
    broken = [None, b"", b"\xc1", whole[:-5], b"\x92\x09\x90", whole, join([fine[2]])]
    offsets = await write(running.kafka, log, broken, number)

    def counted() -> bool:
        shown = running.accounts().get("acct_good", {"buckets": {}})
        return bool(sum(shown["buckets"].get("api_calls", {}).values()) == len(good) + len(fine))

    await eventually(counted, within=60, what="all that is good to be counted")
    listed = running.ebbwatch("rejects", "list", "--json", "--limit", "10000").split("\n")
    # Not `splitlines`: in what others have sent there are characters that it takes for a break.
    found = [json.loads(line) for line in listed if line.startswith("{")]
    told = sorted((one["topic_offset"], one["reason"]) for one in found if one["topic"] == topic)
    assert told == [(2 * n, reason) for n, (reason, _) in enumerate(POISON)]
    of_log = [one for one in found if one["topic"] == topics.EVENTS.name]
    assert sorted(one["topic_offset"] for one in of_log) == offsets[:-1]
    assert {one["reason"] for one in of_log} == {"unreadable"}


async def write(
    kafka: str, topic: str, values: Sequence[bytes | None], partition: int
) -> list[int]:
    """Write records, one after the other; return their offsets: ticks may stand between them."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        told = [await producer.send_and_wait(topic, one, b"k", partition) for one in values]
    finally:
        await producer.stop()
    return [int(one.offset) for one in told]


def test_the_desk_answers_whatever_is_asked_as_its_document_says(running: Deployment) -> None:
    url = f"{running.desk()}/api/v1"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    document = httpx2.get(f"{url}/openapi.json", headers=headers, timeout=10).json()
    del document["paths"]["/stream"]  # It does not end.

    def sent(case: Sent) -> None:
        if any({".", ".."} & {*str(one).split("/")} for one in case.path_parameters.values()):
            # No path can carry these, as the document says.
            return
        answer = case.call_and_validate(
            base_url=url,
            headers=headers,
            excluded_checks=[negative_data_rejection, positive_data_acceptance],
            timeout=PATIENCE,
        )
        if answer.status_code < 400:
            assert faults(document, case, str(answer.request.url)) == []

    ask_everything(document, sent, TIMES)


def faults(document: Any, case: Sent, url: str) -> list[str]:
    """Return what of a request the document forbids: its body, or parts of its query."""
    told: Any = case.operation.definition.raw
    found = []
    schemas = {
        one["name"]: one["schema"] for one in told.get("parameters", ()) if one["in"] == "query"
    }
    for name, values in parse_qs(urlsplit(url).query, keep_blank_values=True).items():
        if name not in schemas or not permits(validator(document, schemas[name]), values):
            found.append(f"{name}={values}")
    if case.media_type in JSON:
        schema = told["requestBody"]["content"]["application/json"]["schema"]
        if not validator(document, schema).is_valid(case.body):
            found.append(f"body {case.body!r}")
    return found


def permits(schema: Draft202012Validator, values: list[str]) -> bool:
    """Tell whether a schema allows what a query can only say as text."""
    last = values[-1]
    number = int(last) if re.fullmatch(r"[+-]?\d{1,30}", last.strip()) else last
    return any(schema.is_valid(one) for one in (values, last, number))


def validator(document: Any, schema: Any) -> Draft202012Validator:
    """Return what judges by a part of a document."""
    whole = {**schema, "components": document["components"]}
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


def ask_everything(document: Any, sent: Callable[[Sent], None], examples: int) -> None:
    """Send what each operation allows, and what it does not."""
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            ask(cast(Any, found).ok(), mode, sent, examples)


def ask(operation: Any, mode: GenerationMode, sent: Callable[[Sent], None], examples: int) -> None:
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def one(case: Sent) -> None:
        sent(case)

    one()
