"""What the last line of a worker that Faust has ended says."""

import subprocess
import sys

import pytest
from aiokafka.errors import CommitFailedError, ProducerFenced, UnknownError, UnknownMemberIdError

from services.detector.worker import cause
from services.snapshots import Fenced

CRASHING = """
import asyncio, faust
from aiokafka.errors import CommitFailedError
from services import runtime
from services.detector.worker import Worker

runtime.configure_logging("detector")
app = faust.App("t", broker="kafka://127.0.0.1:1", store="memory://", web_enabled=False)

class Crashing(faust.Service):
    async def on_start(self):
        await self.crash(CommitFailedError("the group has moved on"))

worker = Worker(app, Crashing(), override_logging=False, redirect_stdouts=False, quiet=True)
worker.services = [service for service in worker.services if service is not app]
worker.spinner = None
worker.execute_from_commandline()
"""


@pytest.mark.parametrize(
    "error, told",
    [
        (CommitFailedError("moved on"), "session lost: the group heard nothing of this worker"),
        (UnknownMemberIdError(), "session lost: the group heard nothing of this worker"),
        (Fenced("another worker owns the partition"), "fenced: another worker has taken over"),
        (ProducerFenced(), "fenced: another worker has taken over"),
        (UnknownError(), "Faust crashed: UnknownError"),
    ],
)
def test_why_faust_ended_is_told(error: Exception, told: str) -> None:
    assert cause(error, 1).startswith(told)
    assert cause(error, 1).endswith(repr(error))


def test_the_last_line_of_a_worker_that_faust_ended_names_the_cause() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CRASHING], capture_output=True, text=True, timeout=60, check=False
    )
    last = ended.stdout.splitlines()[-1]
    assert ended.returncode == 70
    assert "session lost: " in last
    assert "CommitFailedError(" in last
