"""`ebbwatch run`: services that are killed come back, and Ctrl-C ends everything."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.deployment import Deployment
from tests.platform import eventually, free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
def running(kafka: str, tmp_path: Path) -> Iterator[tuple[Deployment, subprocess.Popen[bytes]]]:
    deployment = Deployment(
        kafka,
        tmp_path,
        settings={
            "EBBWATCH_DETECTOR_PORT": str(free_port()),
            "EBBWATCH_DETECTOR_INSTANCE": "detector-0",
            "EBBWATCH_ALERTS_PORT": str(free_port()),
        },
    )
    deployment.prepare(live=False)
    with (tmp_path / "run.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "services", "run"],
            cwd=tmp_path,
            env=deployment.environ,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    yield deployment, process
    if process.poll() is None:
        process.kill()
        process.wait(10)


def detectors(parent: int) -> list[int]:
    """Return the ids of detector processes below a supervisor."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            status = (folder / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if int(status[1]) == parent and b"detector" in command:
            found.append(int(folder.name))
    return found


async def test_a_killed_service_comes_back_and_ctrl_c_ends_everything_within_ten_seconds(
    running: tuple[Deployment, subprocess.Popen[bytes]],
) -> None:
    deployment, process = running
    assert "mode new: there is no history yet" in await eventually(
        lambda: deployment.log("run"), within=30, what="the awaited command"
    )
    await eventually(lambda: "partitions owned" in deployment.log("run"), within=40)
    (first,) = detectors(process.pid)
    os.kill(first, signal.SIGKILL)
    await eventually(
        lambda: deployment.log("run").count("partitions owned") >= 2,
        within=40,
        what="the detector to own its partitions again",
    )
    (second,) = detectors(process.pid)
    assert second != first
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert not Path(f"/proc/{second}").exists()
