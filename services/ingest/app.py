"""Wires ingest together and runs it until SIGTERM."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Coroutine, Mapping

import uvloop

from services import runtime
from services.ingest.service import Service
from services.ingest.settings import IngestSettings
from services.runtime import ConfigurationError, ExitCode, PortTaken, die, get_logger

STOP_SECONDS = 7.5
"""A supervisor kills after 9 s, and Python itself needs a moment to end."""

_log = get_logger(__name__)


def main(environ: Mapping[str, str]) -> int:
    """Run ingest with the settings of an environment.

    Args:
        environ: Variables by name.

    Returns:
        The exit code.
    """
    try:
        settings = runtime.load_settings(IngestSettings, environ)
    except ConfigurationError as error:
        runtime.configure_logging("ingest")
        _log.critical("configuration is wrong", faults=[str(fault) for fault in error.faults])
        return ExitCode.CONFIG
    runtime.configure_logging(
        "ingest", settings.log_level, [settings.secret_key.get_secret_value()]
    )
    uvloop.run(run(settings))
    return ExitCode.OK


async def run(settings: IngestSettings) -> None:
    """Run ingest until SIGTERM or SIGINT; any unexpected error ends the process.

    Args:
        settings: What it is told from outside.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    replica = f"{socket.gethostname()}-{os.getpid()}"
    service = Service(settings, replica, now=lambda: time.time_ns() // 1000, on_fatal=_fatal)
    running = asyncio.create_task(_edge("ingest", service.run()))
    await stop.wait()
    _log.info("stopping")
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await service.stop()
            await asyncio.wait({running})
    except TimeoutError:
        # What is not acknowledged was not answered 2xx, and its offsets are not committed.
        _log.warning("stopped before everything was acknowledged")
    _log.info("stopped")


def _fatal(error: BaseException) -> None:
    die("publisher", error)


async def _edge(where: str, work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except* ConfigurationError as group:
        die(where, "; ".join(map(str, group.exceptions)), ExitCode.CONFIG)
    except* PortTaken as group:
        die(where, "; ".join(map(str, group.exceptions)), ExitCode.FAILED)
    except* Exception as group:
        die(where, group)
