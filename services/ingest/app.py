"""Wires ingest together and runs it until SIGTERM."""

import os
import socket
import time
from collections.abc import Mapping
from typing import NoReturn

import uvloop

from services import failpoints, runtime
from services.ingest.service import Service
from services.ingest.settings import IngestSettings
from services.lifetime import live
from services.runtime import ConfigurationError, ExitCode, die, get_logger


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
        get_logger(__name__).critical(
            "configuration is wrong", faults=[str(fault) for fault in error.faults]
        )
        return ExitCode.CONFIG
    runtime.configure_logging(
        "ingest", settings.log_level, [settings.secret_key.get_secret_value()]
    )
    failpoints.arm(settings.failpoints)
    return uvloop.run(run(settings))


async def run(settings: IngestSettings) -> NoReturn:
    """Run ingest until SIGTERM or SIGINT, or an unexpected error, then end the process.

    Args:
        settings: What it is told from outside.
    """
    replica = f"{socket.gethostname()}-{os.getpid()}"

    def make() -> Service:
        return Service(settings, replica, now=lambda: time.time_ns() // 1000, on_fatal=_fatal)

    # What is not acknowledged was not answered 2xx, and its offsets are not committed.
    await live("ingest", make, left="envelopes that are not acknowledged")


def _fatal(error: BaseException) -> None:
    die("publisher", error)
