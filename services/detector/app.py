"""Wires the detector: settings, Faust, health and metrics; runs until it is told to stop."""

import gc
import time
from collections.abc import Mapping
from functools import partial
from typing import NoReturn

from fastapi import FastAPI

from services import failpoints, runtime
from services.detector.agents import GROUP_WAITS, build, heard_of, lag_of
from services.detector.gate import Gate, crash_only
from services.detector.log_watch import LogWatch
from services.detector.metrics import PartitionCollector, event_to_alert
from services.detector.settings import DetectorSettings
from services.detector.store import Names
from services.detector.watch import Watch
from services.detector.worker import Worker
from services.kafka_clients import Reach, log_ends
from services.log_sizes import LogSizes
from services.process_metrics import process_registry, show_kafka
from services.runtime import (
    ConfigurationError,
    ExitCode,
    Health,
    die,
    get_logger,
    health_router,
    serve,
)
from services.snapshots import all_bounds
from services.watchdog import Watchdog

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
    names = Names.of(settings.prefix)
    reach = Reach(settings.kafka, health, time.monotonic)
    show_kafka(registry, reach)
    lag, heard = partial(lag_of, app, names.events), partial(heard_of, app, names.events)
    sizes = LogSizes(settings.kafka, names.state)
    registry.register(PartitionCollector(ownership, lag, sizes, time.time, app.conf.id))
    patience = settings.detector_stuck_seconds
    adrift = settings.detector_load_seconds * (GROUP_WAITS + 1)
    watch = Watch(names, ownership, reach, lag, heard, time.monotonic, patience, adrift)
    dog = Watchdog(watch.probe, watch.noting(partial(log_ends, settings.kafka)), patience)
    http = FastAPI(openapi_url=None)
    http.include_router(health_router(health, registry))

    @app.task  # type: ignore[untyped-decorator]
    async def work() -> None:
        await crash_only("work", ownership.work())

    async def serve_health() -> None:
        dog.start()
        await serve(http, settings.host, settings.detector_port, "EBBWATCH_DETECTOR_PORT")

    log = LogWatch(ownership.owned, partial(all_bounds, settings.kafka, names.events))

    async def watch_log() -> None:
        await log.run(lambda gone: die("log", gone, ExitCode.CONFIG))

    beside = {"http": serve_health, "watch": watch.run, "sizes": sizes.run, "log": watch_log}
    gate = Gate(settings, reach, beside)
    worker = Worker(
        app,
        gate,
        loglevel=settings.log_level,
        override_logging=False,
        redirect_stdouts=False,
        quiet=True,
    )
    # It writes what moves a terminal's cursor between our lines of JSON.
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        if ended.code:
            die("worker", f"Faust ended with {ended.code}")
        raise
