"""What the demo stands on: a platform and services of its own, which end with it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from services import local, tether
from services.alerts.settings import AlertsSettings
from services.daemon import HOST
from services.detector.settings import DetectorSettings
from services.ingest.settings import IngestSettings
from services.settings import load_settings

STOP_SECONDS: Final = 12.0
"""Ingest and detector end within 10 s of a signal (issue 3, point 3)."""
TAIL_LINES: Final = 15
DAY_SECONDS: Final = 86_400.0

Tell = Callable[[str], None]


class DemoError(Exception):
    """The demo cannot go on; the message says why, and the remedy."""


@contextlib.contextmanager
def platform(
    folder: Path, jars: Path, environ: Mapping[str, str], tell: Tell
) -> Iterator[dict[str, str]]:
    """Run a Kafka and a Valkey that begin empty, as long as the block lasts.

    Args:
        folder: The demo's own folder, which is emptied: what an earlier demo left is gone.
        jars: The broker's jars.
        environ: May name a Kafka or Redis of one's own, which is then used in place of a local one.
        tell: Takes each line of progress.

    Yields:
        The environment of everything that runs on this platform.
    """
    try:
        local.down(folder, tell=lambda _line: None)
        shutil.rmtree(folder, ignore_errors=True)
        addresses = local.up(folder, jars=jars, environ=environ, tell=tell)
        yield {**environ, **addresses.environment()}
    except local.LocalError as error:
        raise DemoError(str(error)) from error
    finally:
        with _undisturbed():
            local.down(folder, tell=lambda _line: None)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no impatient second Ctrl-C leave a server behind."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Services:
    """The services under their supervisor, as a child that cannot outlive this process.

    Args:
        environ: Their environment.
        log: Takes what they write.
    """

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        self._log = log
        self.ingest = _free("INGEST", load_settings(IngestSettings, environ).ingest_port)
        self.detector = _free("DETECTOR", load_settings(DetectorSettings, environ).detector_port)
        self.alerts = _free("ALERTS", load_settings(AlertsSettings, environ).alerts_port)
        own = (sys.executable, "-I", "-S", str(tether.__file__), str(os.getpid()))
        with log.open("wb") as lines:
            self._process = subprocess.Popen(
                [*own, sys.executable, "-m", "services", "run"],
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise `DemoError` if the services have ended."""
        code = self._process.poll()
        if code is not None:
            raise self.failure(f"the services ended with {code}")

    def failure(self, what: str) -> DemoError:
        """Return an error that shows the last lines of the services' log."""
        lines = self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        last = "\n".join(f"  {line[:300]}" for line in lines)
        return DemoError(f"{what}; their log {self._log} says:\n{last}")

    def stop(self) -> None:
        """End them, and wait until they have ended."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


@contextlib.contextmanager
def running_services(environ: Mapping[str, str], log: Path) -> Iterator[Services]:
    """Run the services as long as the block lasts."""
    services = Services(environ, log)
    try:
        yield services
    finally:
        with _undisturbed():
            services.stop()


def _free(service: str, port: int) -> str:
    """Return the address at which a service will listen, or raise `DemoError` if it is taken."""
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise DemoError(
                f"port {port} on {HOST} is taken by another program; end that program (is "
                f"`ebbwatch run` running?), or choose another port with EBBWATCH_{service}_PORT"
            )
    return f"http://{HOST}:{port}"


def ready(services: Services) -> bool:
    """Tell whether ingest and alerts say that they are ready."""
    try:
        for address in (services.ingest, services.alerts):
            with urlopen(f"{address}/readyz", timeout=2) as answer:
                if not json.load(answer)["ready"]:
                    return False
    except (URLError, OSError, ValueError):
        return False
    return True


class Judged(NamedTuple):
    """How far the detector has come."""

    age: float
    """Of the oldest partition's clock, seconds."""
    alerts: int
    """Alert records that it has decided on; the log has them a moment later."""


def judged(services: Services, partitions: int) -> Judged | None:
    """Return how far the detector has come; None while that is not known of all partitions.

    Args:
        services: The services.
        partitions: How many partitions there are.
    """
    try:
        with urlopen(f"{services.detector}/metrics", timeout=2) as answer:
            text = answer.read().decode()
    except (URLError, OSError):
        return None
    return judged_of(text, partitions)


def judged_of(metrics: str, partitions: int) -> Judged | None:
    """Return how far a detector has come by what its /metrics says; None while that is not known.

    Args:
        metrics: In Prometheus's text format.
        partitions: How many partitions there are.
    """
    found = {
        family.name: [one for one in family.samples if not one.name.endswith("_created")]
        for family in text_string_to_metric_families(metrics)
    }
    # Of a partition that has heard no tick the gauge tells how long it waits for one.
    clocks = [one for one in found.get("ebbwatch_mode_info", []) if one.labels["mode"] != "new"]
    if len(clocks) < partitions:
        return None
    age = max(one.value for one in found["ebbwatch_watermark_lag_seconds"])
    # While days are open they are still being judged, however young the clock is.
    if any(one.value for one in found["ebbwatch_open_closings"]):
        age = max(age, DAY_SECONDS)
    alerts = sum(one.value for one in found.get("ebbwatch_alerts_emitted", []))
    return Judged(age, int(alerts))
