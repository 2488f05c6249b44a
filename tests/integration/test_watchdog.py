"""A process that stands still ends with 75; one whose Kafka is away waits for it."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.runtime import ExitCode
from tests.faults.brokers import Broker
from tests.faults.proxy import Api, Faults, Proxy
from tests.integration.deployment import Deployment
from tests.platform import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

REST_SECONDS = 3.0
"""Longer than the detector waits with a flush."""
PATIENCE = 5
"""Several times as long as a healthy consumer may wait for the broker's answer, 1.5 s."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    made = Broker(tmp_path_factory.mktemp("broker"))
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
async def deployment(broker: Broker, tmp_path: Path) -> AsyncIterator[Deployment]:
    if broker.node.daemon.pid() is None:
        await broker.start()
    made = Deployment(broker.address, tmp_path, 2, {"EBBWATCH_INGEST_TICK_SECONDS": "0.5"})
    try:
        await asyncio.to_thread(made.prepare)
        yield made
    finally:
        await asyncio.to_thread(made.stop)


def impatient(deployment: Deployment) -> None:
    for service in ("INGEST", "DETECTOR", "ALERTS"):
        deployment.environ[f"EBBWATCH_{service}_STUCK_SECONDS"] = str(PATIENCE)


async def asked(url: str) -> Any:
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return json.loads(await answer.text())


async def checks(deployment: Deployment, service: str) -> dict[str, Any]:
    port = {
        "ingest": deployment.ingest_port,
        "detector": deployment.detector_ports.get(0),
        "alerts": deployment.alerts_ports.get(0),
    }[service]
    try:
        answer = await asked(f"http://127.0.0.1:{port}/readyz")
    except aiohttp.ClientError:
        return {}
    found: dict[str, Any] = answer["checks"]
    return found


async def samples(deployment: Deployment, name: str) -> list[float]:
    url = f"http://127.0.0.1:{deployment.detector_ports[0]}/metrics"
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        lines = (await answer.text()).splitlines()
    return [float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))]


async def at_rest(deployment: Deployment) -> None:
    """Wait until every partition has a snapshot, and nothing was folded or written for a while."""
    changed, before = time.monotonic(), list[float]()

    async def written() -> bool:
        nonlocal changed, before
        records = await samples(deployment, "ebbwatch_state_records")
        now = [*records, *await samples(deployment, "ebbwatch_stamp")]
        if now != before:
            changed, before = time.monotonic(), now
        return min(records, default=0) > 0 and time.monotonic() - changed > REST_SECONDS

    await eventually(written, within=30, what="a snapshot of every partition")


async def ready(deployment: Deployment, *services: str) -> None:
    for service in services:

        async def all_hold(service: str = service) -> bool:
            found = await checks(deployment, service)
            return bool(found) and all(one["ok"] or not one["required"] for one in found.values())

        await eventually(all_hold, within=60, what=f"{service} to be ready")


async def ended(process: subprocess.Popen[bytes]) -> None:
    await eventually(lambda: process.poll() is not None, within=40, what=f"{process.pid} to end")


async def ready_again(deployment: Deployment, *services: str) -> None:
    """As `ready`; one that could not take its partitions up again is started anew, once."""
    waiting = asyncio.create_task(ready(deployment, *services))
    while not waiting.done():
        for service in services:
            if deployment.processes[f"{service}-0"].poll() == ExitCode.BUG:
                deployment.start(service)
        await asyncio.wait({waiting}, timeout=0.5)
    await waiting


def lines(deployment: Deployment, service: str) -> list[dict[str, Any]]:
    """What a service has logged; the last line may be half written."""
    told = [line for line in deployment.log(f"{service}-0").splitlines() if line.startswith("{")]
    return [json.loads(line) for line in told if line.endswith("}")]


async def test_an_event_loop_that_stands_still_ends_its_process_with_75(
    deployment: Deployment,
) -> None:
    impatient(deployment)
    key = await asyncio.to_thread(deployment.key)
    stalls = {
        "ingest": "http.published",
        "detector": "detector.fold",
        "alerts": "snapshot.load",
    }
    processes = {}
    for service, failpoint in stalls.items():
        deployment.environ["EBBWATCH_FAILPOINTS"] = f"{failpoint}=stall:60"
        processes[service] = deployment.start(service)
    await ready(deployment, "ingest")
    posting = asyncio.create_task(post(deployment, key))
    for service, process in processes.items():
        await ended(process)
        last = lines(deployment, service)[-1]
        assert process.returncode == ExitCode.STUCK
        assert (last["event"], last["where"], last["code"]) == ("process ends", "watchdog", 75)
        assert "the event loop has not answered for 5 s; it is in" in last["error"]
        assert "failpoints.py" in last["error"]
    await asyncio.gather(posting, return_exceptions=True)


async def post(deployment: Deployment, key: str) -> None:
    event = {"id": "1", "source": "/x", "specversion": "1.0", "type": "usage.recorded"}
    body = {**event, "subject": "acme", "data": {"metric": "api_calls", "quantity": 1}}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/cloudevents+json"}
    url = f"http://127.0.0.1:{deployment.ingest_port}/v1/events"
    async with aiohttp.ClientSession(headers=headers) as client:
        await (await client.post(url, data=json.dumps(body))).read()


async def test_while_kafka_is_frozen_nothing_ends_and_it_is_told_once(
    deployment: Deployment, broker: Broker
) -> None:
    services = ("ingest", "detector", "alerts")
    impatient(deployment)
    # With nothing to write, as a transaction that gets no answer rightly ends the process.
    deployment.environ["EBBWATCH_INGEST_TICK_SECONDS"] = "60"
    processes = {service: deployment.start(service) for service in services}
    await ready(deployment, *services)

    await at_rest(deployment)
    broker.freeze()
    try:
        for service in ("detector", "alerts"):

            async def away(service: str = service) -> bool:
                found = await checks(deployment, service)
                return "kafka" in found and not found["kafka"]["ok"]

            await eventually(away, within=30, what=f"{service} to notice")

        def was_patient() -> bool:
            told = [line["event"] for line in lines(deployment, "detector")]
            return "no progress, but Kafka does not answer" in told

        await eventually(was_patient, within=30, what="the watchdog to ask Kafka")
        assert await samples(deployment, "ebbwatch_kafka_up") == [0]
        ends = {name: process.poll() for name, process in processes.items()}
        assert ends == dict.fromkeys(services)
    finally:
        broker.thaw()
    await ready_again(deployment, *services)
    for service in ("detector", "alerts"):
        told = [line["event"] for line in lines(deployment, service)]
        assert next(one for one in told if one.startswith("Kafka ")) == "Kafka away"
        assert told.count("Kafka away") == 1


async def test_a_consumer_that_is_told_nothing_though_kafka_answers_ends_with_75(
    deployment: Deployment, broker: Broker
) -> None:
    impatient(deployment)
    deployment.environ["EBBWATCH_INGEST_TICK_SECONDS"] = "60"
    deployment.start("ingest")
    services = ("detector", "alerts")
    async with Proxy(broker.proxied, broker.behind) as proxy:
        deployment.environ["EBBWATCH_KAFKA"] = broker.proxied_address
        processes = [deployment.start(service) for service in services]
        await ready(deployment, *services)
        proxy.set(Faults(withheld=frozenset({Api.FETCH})))
        for process in processes:
            await ended(process)
    for service, process in zip(services, processes, strict=True):
        last = lines(deployment, service)[-1]
        assert (process.returncode, last["where"]) == (ExitCode.STUCK, "watchdog")
        assert f"no progress for {PATIENCE} s: {deployment.prefix}" in last["error"]
        assert "and Kafka has it up to" in last["error"]


async def test_ingest_rests_while_kafka_is_away(deployment: Deployment, broker: Broker) -> None:
    ingest = deployment.start("ingest")
    await ready(deployment, "ingest")
    # In good order: so the producer learns that its partitions have no leader, and asks for one.
    await broker.end()

    async def away() -> bool:
        return not (await checks(deployment, "ingest"))["kafka"]["ok"]

    begun, loop = used(ingest.pid), asyncio.get_running_loop()
    began = loop.time()
    await eventually(away, within=30, what="ingest to notice")
    await eventually(lambda: loop.time() > began + 8, within=10)
    # 0.87 before its metadata updates were paced, 0.04 since.
    assert (used(ingest.pid) - begun) / (loop.time() - began) < 0.3


def used(pid: int) -> float:
    """CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_a_worker_with_another_partition_count_ends_before_it_joins_the_group(
    deployment: Deployment,
) -> None:
    deployment.start("detector")
    deployment.start("ingest")
    await ready(deployment, "detector")
    before = await samples(deployment, "ebbwatch_rebalances_total")
    deployment.environ["EBBWATCH_PARTITIONS"] = "3"
    wrong = deployment.start("detector", 1)
    await eventually(lambda: wrong.poll() is not None, within=30, what="the refusal")
    assert wrong.returncode == ExitCode.CONFIG
    assert "set EBBWATCH_PARTITIONS=2" in deployment.log("detector-1")
    assert await samples(deployment, "ebbwatch_rebalances_total") == before == [1]
    assert (await checks(deployment, "detector"))["snapshots"]["ok"]


async def test_a_worker_that_starts_without_kafka_says_so_and_ends_when_it_is_told(
    deployment: Deployment, broker: Broker
) -> None:
    await broker.end()
    deployment.start("detector")

    async def away() -> dict[str, Any] | None:
        found: dict[str, Any] | None = (await checks(deployment, "detector")).get("kafka")
        return found if found and "127.0.0.1" in found["detail"] else None

    told = await eventually(away, within=30, what="an answer of /readyz")
    assert told is not None
    assert (told["ok"], told["required"]) == (False, True)
    assert await asyncio.to_thread(deployment.end, "detector-0") == ExitCode.OK
    deployment.start("detector")
    await broker.start()
    await ready(deployment, "detector")
