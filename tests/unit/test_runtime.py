import asyncio
import base64
import json
import logging
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import httpx2
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter

from services import runtime
from services.runtime import ExitCode, Health, PortTaken, health_router, serve
from tests.platform import eventually, free_port

KEY = "ebw_live_k1_" + "s" * 43


@pytest.fixture
def logs(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield capsys
    root.handlers[:], root.level = before


def lines(logs: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    found = [json.loads(line) for line in logs.readouterr().out.splitlines()]
    return [{name: value for name, value in line.items() if name != "at"} for line in found]


def test_our_logs_and_those_of_libraries_are_json_lines(logs: pytest.CaptureFixture[str]) -> None:
    runtime.configure_logging("ingest", "info")

    runtime.get_logger("services.x").info("tick missed", partition=3)
    runtime.get_logger("services.x").debug("not shown")
    logging.getLogger("aiokafka").warning("broker %s away", 1)

    assert lines(logs) == [
        {
            "service": "ingest",
            "event": "tick missed",
            "partition": 3,
            "logger": "services.x",
            "level": "info",
        },
        {
            "service": "ingest",
            "event": "broker 1 away",
            "hidden": 0,
            "logger": "aiokafka",
            "level": "warning",
        },
    ]


def test_a_line_that_a_library_repeats_is_shown_once_and_counted(
    logs: pytest.CaptureFixture[str],
) -> None:
    runtime.configure_logging("ingest")

    def log(name: str, text: str, node: int, at: float) -> None:
        level = {"levelno": logging.ERROR, "levelname": "ERROR"}
        parts = {"name": name, "msg": text, "args": (node,), "created": at, **level}
        logging.getLogger().handle(logging.makeLogRecord(parts))

    for n in range(50):
        log("aiokafka.conn", "node %s away", 1, 1000 + n / 10)
        log("ours", "node %s away", 1, 1000 + n / 10)
    log("aiokafka.conn", "node %s away", 2, 1000 + runtime.SELDOM_SECONDS)
    log("aiokafka.conn", "node %s is back", 2, 1000 + runtime.SELDOM_SECONDS)

    found = lines(logs)
    shown = [line for line in found if line["logger"] == "aiokafka.conn"]
    assert len(found) - len(shown) == 50
    assert [(line["event"], line["hidden"]) for line in shown] == [
        ("node 1 away", 0),
        ("node 2 away", 49),
        ("node 2 is back", 0),
    ]


def test_no_log_line_shows_a_secret(logs: pytest.CaptureFixture[str]) -> None:
    runtime.configure_logging("ingest", "info", ["canary"])

    try:
        raise ValueError(f"key {KEY} and canary")
    except ValueError:
        runtime.get_logger("x").exception("failed", authorization="Bearer abc", token="t")

    text = logs.readouterr().out
    assert "s" * 43 not in text
    assert "canary" not in text
    assert "Bearer abc" not in text
    shown = json.loads(text)
    assert (shown["token"], "ebw_live_k1_[redacted]" in shown["exception"]) == ("[redacted]", True)


def test_no_log_line_shows_the_secret_of_a_webhook(logs: pytest.CaptureFixture[str]) -> None:
    runtime.configure_logging("alerts")

    secret = "whsec_" + base64.b64encode(bytes(range(224, 256))).decode()
    runtime.get_logger("x").warning(f"{secret} is old", used=[secret.rstrip("="), "whsec_"])

    (line,) = lines(logs)
    assert (line["event"], line["used"]) == (
        "whsec_[redacted] is old",
        ["whsec_[redacted]", "whsec_"],
    )


def test_dying_ends_the_process_at_once_with_its_code_and_the_reason() -> None:
    program = (
        "import threading, time\n"
        "from services.runtime import configure_logging, die\n"
        "configure_logging('ingest')\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    die('edge', error)\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=30, check=False
    )

    told = json.loads(ended.stdout)
    assert (ended.returncode, int(ExitCode.BUG)) == (70, 70)
    assert (told["where"], told["error"], told["code"]) == ("edge", "division by zero", 70)
    assert "ZeroDivisionError" in told["exception"]


def test_leaving_waits_neither_for_tasks_that_do_not_end_nor_for_threads() -> None:
    program = (
        "import asyncio, threading, time\n"
        "from services.runtime import ExitCode, configure_logging, get_logger, leave\n"
        "configure_logging('ingest')\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "async def stubborn():\n"
        "    while True:\n"
        "        try:\n            await asyncio.sleep(60)\n"
        "        except asyncio.CancelledError:\n            pass\n"
        "async def main():\n"
        "    task = asyncio.create_task(stubborn())\n    await asyncio.sleep(0)\n"
        "    get_logger('x').info('stopped')\n    leave(ExitCode.OK)\n"
        "asyncio.run(main())\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=30, check=False
    )

    assert (ended.returncode, json.loads(ended.stdout)["event"]) == (0, "stopped")


def test_a_service_is_ready_when_every_required_check_holds() -> None:
    health = Health()
    assert not health.ready

    health.set("kafka", True)
    health.set("input:usage", False, "topic 'usage' does not exist", required=False)
    assert health.as_json() == {
        "ready": True,
        "degraded": True,
        "checks": {
            "input:usage": {
                "ok": False,
                "required": False,
                "detail": "topic 'usage' does not exist",
            },
            "kafka": {"ok": True, "required": True, "detail": ""},
        },
    }
    health.set("kafka", False, "away")
    assert not health.ready
    health.set("kafka", True)
    health.remove("input:usage")
    assert (health.ready, health.as_json()["degraded"]) == (True, False)


async def test_health_and_metrics_are_served() -> None:
    health, registry, app = Health(), CollectorRegistry(), FastAPI()
    Counter("ebbwatch_things", "Things.", registry=registry).inc()
    app.include_router(health_router(health, registry))
    health.set("snapshots", False, "3 of 8 are loaded")

    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://service"
    ) as client:
        alive, ready = await client.get("/livez"), await client.get("/readyz")
        health.set("snapshots", True)
        answers = [(await client.get(path)).status_code for path in ("/readyz", "/-/version")]
        metrics = await client.get("/metrics")

    assert (alive.status_code, alive.text) == (200, "ok\n")
    assert (ready.status_code, ready.json()["checks"]["snapshots"]["detail"]) == (
        503,
        "3 of 8 are loaded",
    )
    assert answers == [200, 200]
    assert "ebbwatch_things_total 1.0" in metrics.text
    assert metrics.headers["content-type"].startswith("text/plain; version=")


async def test_a_server_ends_when_cancelled_and_lets_a_running_request_finish() -> None:
    app, port = FastAPI(), free_port()
    entered, release = asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        entered.set()
        await release.wait()
        return "done"

    serving = asyncio.create_task(serve(app, "127.0.0.1", port))
    url = f"http://127.0.0.1:{port}/slow"

    def ask() -> bytes:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bytes(answer.read())

    asking = asyncio.create_task(asyncio.to_thread(ask))
    await eventually(entered.is_set)
    serving.cancel()
    release.set()

    assert await asking == b'"done"'
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_a_taken_port_names_the_port_and_the_setting() -> None:
    port = free_port()
    serving = asyncio.create_task(serve(FastAPI(), "127.0.0.1", port))
    await eventually(lambda: _listens(port))

    with pytest.raises(PortTaken) as raised:
        await serve(FastAPI(), "127.0.0.1", port, "EBBWATCH_INGEST_PORT")

    assert str(raised.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; end that process or set "
        "EBBWATCH_INGEST_PORT"
    )
    serving.cancel()
    await asyncio.wait({serving})


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def test_a_command_that_imports_it_does_not_pay_for_the_web_framework() -> None:
    program = "import sys, services.runtime; sys.exit('fastapi' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
