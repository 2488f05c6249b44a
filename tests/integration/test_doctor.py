"""`ebbwatch doctor` against a real deployment: well, half of it down, and all of it."""

import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from tests.integration.gateway import Live, started, usage
from tests.platform import eventually, free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

LIMIT_SECONDS = 10.0


@pytest.fixture
async def live(kafka: str, valkey: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with started(kafka, tmp_path, valkey) as made:
        made.deployment.environ["EBBWATCH_TOKEN"] = "a token of the tests' own"
        made.deployment.start("alerts")
        yield made


Findings = list[tuple[str, str]]


def examined(live: Live, code: int = 0, **environ: str) -> list[dict[str, str]]:
    """Return what the doctor finds; it must end in time, and say so by its exit code."""
    live.deployment.environ.update(environ)
    began = time.monotonic()
    told = json.loads(live.deployment.ebbwatch("doctor", "--json", code=code))
    assert time.monotonic() - began < LIMIT_SECONDS
    assert told["ok"] == (code == 0)
    found: list[dict[str, str]] = told["checks"]
    return found


def short(found: list[dict[str, str]]) -> Findings:
    return [(each["verdict"], each["name"]) for each in found]


def failing(found: list[dict[str, str]]) -> dict[str, tuple[str, str]]:
    """Return text and remedy of what fails, by name."""
    return {
        each["name"]: (each["text"], each["remedy"]) for each in found if each["verdict"] == "FAIL"
    }


WELL: Findings = [
    *(("ok", name) for name in ("kafka", "topics", "copies", "mode", "keys", "inputs", "refusals")),
    *(("ok", name) for name in ("workers", "partitions", "log", "rules", "lag", "clock")),
    *(("ok", name) for name in ("accounts", "alerts", "alert log")),
    ("warn", "channels"),
    *(("ok", name) for name in ("files", "redis", "secrets")),
]


async def well(live: Live) -> list[dict[str, str]]:
    """Wait until nothing is wrong any more but that there is no channel."""

    def now() -> list[dict[str, str]] | None:
        told = json.loads(live.deployment.ebbwatch("doctor", "--json", code=0))
        found: list[dict[str, str]] = told["checks"]
        return found if short(found) == WELL else None

    found = await eventually(now, within=60, what="a deployment that is well")
    assert found is not None
    return found


async def test_a_deployment_that_works_is_said_to_be_well_in_words_too(live: Live) -> None:
    await live.produce(usage("1", "a"))
    await live.counted(a=1)
    await well(live)

    told = live.deployment.ebbwatch("doctor").splitlines()

    assert told[0].startswith("ok    kafka       Kafka 4.1 at 127.0.0.1:")
    assert told[-1] == "0 FAIL, 1 warn, 19 ok"
    at = told.index("warn  channels    there is none: alerts stand in the console only")
    assert told[at + 1] == (
        "                  -> name one in channels.toml, then `ebbwatch config apply`"
    )


async def test_what_is_down_or_differs_is_named_with_its_remedy(live: Live, tmp_path: Path) -> None:
    deployment = live.deployment
    await live.produce(usage("1", "a"), "poison")
    await live.counted(a=1)
    await eventually(lambda: len(live.refused()) == 1, within=30)
    assert deployment.end("detector-0") == 0
    await cut_log(live)
    for service in ("ingest-0", "alerts-0"):
        assert deployment.end(service) == 0
    await live.produce(usage("2", "a"))
    (tmp_path / "company" / "company.toml").write_text('currency = "USD"\n')

    # A static member counts until its session has ended.
    await eventually(lambda: "workers" in failing(examined(live, code=1)), within=30)
    found = examined(live, code=1)
    failed = failing(found)
    warned = {each["name"]: each["text"] for each in found if each["verdict"] == "warn"}
    reparted = failing(examined(live, code=1, EBBWATCH_PARTITIONS="8"))

    assert failed.keys() == {"inputs", "workers", "log", "alerts"}
    assert failed["inputs"] == ("nobody reads them", "start ingest: `ebbwatch serve ingest`")
    assert failed["workers"][1] == "start one: `ebbwatch serve detector`"
    assert failed["alerts"][1] == "start one: `ebbwatch serve alerts`"
    assert failed["log"][0].endswith("the messages between were deleted unread")
    assert failed["log"][1].startswith("Restore them, or start a new deployment")
    assert warned["refusals"] == "1 within the last hour: ingest invalid 1"
    assert warned["files"].endswith("company says something else than was applied: rules")
    assert reparted.keys() == {*failed, "topics", "partitions"}
    assert reparted["partitions"][0].startswith("events.v1 has 4 partitions, the snapshot was made")


async def test_it_ends_in_time_when_nothing_answers(live: Live) -> None:
    gone = failing(examined(live, code=1, EBBWATCH_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        found = examined(
            live,
            code=1,
            EBBWATCH_KAFKA=where,
            EBBWATCH_REDIS_URL=f"redis://{where}/0",
            EBBWATCH_SECRET_KEY="",
        )

    assert "redis" in gone
    assert short(found) == [
        ("FAIL", "kafka"),
        ("warn", "the rest"),
        ("FAIL", "redis"),
        ("FAIL", "secrets"),
    ]
    assert found[0]["text"] == f"{where} does not answer (TimeoutError)"


async def cut_log(live: Live) -> None:
    """Delete all of the log; ticks go on, so that what the detector did not fold is among it."""
    name = f"{live.deployment.prefix}events.v1"
    parts = [TopicPartition(name, number) for number in range(4)]
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=live.deployment.kafka)
    await admin.start()
    try:

        async def cut() -> bool:
            await admin.delete_records({part: RecordsToDelete(-1) for part in parts})
            failed = failing(examined(live, code=1))
            return "log" in failed

        await eventually(cut, within=40, what="a log that begins behind the snapshot")
    finally:
        await admin.close()
