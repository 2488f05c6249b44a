"""Wires ingest together and runs it until SIGTERM."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Coroutine, Mapping
from typing import NoReturn

import uvloop

from services import runtime
from services.ingest.service import Service
from services.ingest.settings import IngestSettings
from services.runtime import ConfigurationError, ExitCode, PortTaken, die, get_logger, leave

STOP_SECONDS = 7.5
"""A supervisor kills after 9 s, and Python itself needs a moment to end."""

_log = get_logger(__name__)


def main(environ: Mapping[str, str]) -> int:
    """Run ingest with the settings of an environment.

    Args:
        environ: Variables by name.

    Returns:
        The exit code, if it does not begin to run.
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
    return uvloop.run(run(settings))


async def run(settings: IngestSettings) -> NoReturn:
    """Run ingest until SIGTERM or SIGINT, or an unexpected error, then end the process.

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
    stopping = asyncio.create_task(service.stop())
    _, late = await asyncio.wait({stopping, running}, timeout=STOP_SECONDS)
    if stopping.done() and (error := stopping.exception()) is not None:
        die("stop", error)
    if late:
        # What is not acknowledged was not answered 2xx, and its offsets are not committed.
        _log.warning("stopped before everything was acknowledged")
    _log.info("stopped")
    # Not by returning: the loop would wait for what did not end in time.
    leave(ExitCode.OK)


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
