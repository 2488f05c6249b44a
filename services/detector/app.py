"""Wires the detector: settings, Faust, health and metrics; runs until it is told to stop."""

import asyncio
import gc
import time
from collections.abc import Coroutine, Mapping
from typing import Any, NoReturn

import faust
from fastapi import FastAPI

from schemas import topics
from services import failpoints, runtime
from services.detector.agents import build, lag_of
from services.detector.metrics import PartitionCollector, event_to_alert
from services.detector.settings import DetectorSettings
from services.detector.store import Names
from services.process_metrics import process_registry
from services.runtime import (
    ConfigurationError,
    ExitCode,
    Health,
    PortTaken,
    die,
    get_logger,
    health_router,
    serve,
)

GC_THRESHOLD = 200_000
"""Accounts live long and form no cycles: young collections would look at them in vain."""


def main(environ: Mapping[str, str]) -> int:
    """Run a worker with the settings of an environment, until SIGTERM or SIGINT.

    Args:
        environ: Variables by name.

    Returns:
        The exit code, where it cannot even start.
    """
    try:
        settings = runtime.load_settings(DetectorSettings, environ)
    except ConfigurationError as error:
        runtime.configure_logging("detector")
        faults = [str(fault) for fault in error.faults]
        get_logger(__name__).critical("configuration is wrong", faults=faults)
        return ExitCode.CONFIG
    runtime.configure_logging("detector", settings.log_level)
    failpoints.arm(settings.failpoints)
    gc.set_threshold(GC_THRESHOLD, 20, 100)
    return run(settings)


def run(settings: DetectorSettings) -> NoReturn:
    """Run a worker until SIGTERM or SIGINT, then end the process."""
    health = Health()
    registry = process_registry("detector")
    app, ownership = build(settings, health, event_to_alert(registry).observe)
    events = Names.of(settings.prefix).events
    registry.register(
        PartitionCollector(
            lambda: [owned.partition for owned in ownership.owned.values()],
            lambda: ownership.counted,
            lambda: ownership.rebalances,
            lambda number, stamp: lag_of(app, events, number, stamp),
            time.time,
            topics.EVENTS.name,
            app.conf.id,
        )
    )
    http = FastAPI(openapi_url=None)
    http.include_router(health_router(health, registry))

    @app.task  # type: ignore[untyped-decorator]
    async def work() -> None:
        await _crash_only("work", ownership.work())

    @app.task  # type: ignore[untyped-decorator]
    async def serve_health() -> None:
        port = settings.detector_port
        await _crash_only("http", serve(http, settings.host, port, "EBBWATCH_DETECTOR_PORT"))

    worker = faust.Worker(
        app,
        loglevel=settings.log_level,
        override_logging=False,
        redirect_stdouts=False,
        quiet=True,
    )
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        if ended.code:
            die("worker", f"Faust ended with {ended.code}")
        raise


async def _crash_only(where: str, body: Coroutine[Any, Any, None]) -> None:
    """Run one of the worker's tasks; Faust would log its exception and go on without it."""
    try:
        await body
    except asyncio.CancelledError:
        raise
    except PortTaken as taken:
        die(where, taken, ExitCode.FAILED)
    except Exception as error:
        die(where, error)
