import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.platform import free_port, free_ports

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "services", "demo", "--headless"]


def environment(kafka: str, valkey: str) -> dict[str, str]:
    """The demo beside other deployments: servers that run already, ports of its own."""
    ports = free_ports()
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "PYTHONPATH": str(REPOSITORY),
        "EBBWATCH_KAFKA": kafka,
        "EBBWATCH_REDIS_URL": valkey,
        "EBBWATCH_PREFIX": f"{uuid4().hex}.",
        "EBBWATCH_SECRET_KEY": uuid4().hex,
        "EBBWATCH_INGEST_PORT": str(ports.kafka),
        "EBBWATCH_DETECTOR_PORT": str(ports.valkey),
        "EBBWATCH_ALERTS_PORT": str(free_port()),
    }


def descendants(folder: Path) -> list[str]:
    """Processes that run in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder:
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.timeout(300)
def test_the_demo_runs_by_itself_and_leaves_nothing_running(
    kafka: str, valkey: str, tmp_path: Path
) -> None:
    environ = environment(kafka, valkey)
    done = subprocess.run(
        DEMO, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert set(outcome) == {"accounts", "events", "alerts_by_rule", "delivered", "seconds"}
    assert outcome["accounts"] == 181
    answered = outcome["alerts_by_rule"]
    assert (answered["payment-failed"], answered["contact-left"]) == (1, 1)
    assert outcome["delivered"] >= 2
    # The API that died in the last imported week, of whichever stops there are.
    assert answered["usage-stopped"] >= 1
    assert "usage (api_calls) all but stopped" in done.stdout
    assert descendants(tmp_path) == []


@pytest.mark.timeout(120)
def test_a_demo_that_fails_says_why_and_leaves_nothing_running(
    kafka: str, valkey: str, tmp_path: Path
) -> None:
    environ = environment(kafka, valkey) | {"EBBWATCH_PARTITIONS": "none"}
    done = subprocess.run(
        DEMO, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "EBBWATCH_PARTITIONS" in done.stderr) == (1, True)
    assert descendants(tmp_path) == []
