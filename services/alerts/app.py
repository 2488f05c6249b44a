"""Wires the alerts service together and runs it until SIGTERM."""

import asyncio
import ipaddress
import random
import re
import signal
import socket
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from typing import Final, NoReturn

import uvloop

from services import runtime
from services.alerts.service import Service
from services.alerts.settings import AlertsSettings
from services.runtime import ConfigurationError, ExitCode, Fault, PortTaken, die, get_logger, leave

STOP_SECONDS: Final = 7.0
"""A supervisor kills after 7.5 s, and Python itself needs a moment to end."""

TOKEN_CHARACTERS: Final = 16
"""At least, where others can try tokens; of random ones 16 say 96 bits."""

_MAKE: Final = "`openssl rand -base64 24` makes a token"

_log = get_logger(__name__)


def main(environ: Mapping[str, str]) -> int:
    """Run the alerts service with the settings of an environment.

    Args:
        environ: Variables by name.

    Returns:
        The exit code, if it does not begin to run.
    """
    try:
        settings = runtime.load_settings(AlertsSettings, environ)
        require_guarded(settings)
    except ConfigurationError as error:
        runtime.configure_logging("alerts")
        _log.critical("configuration is wrong", faults=[str(fault) for fault in error.faults])
        return ExitCode.CONFIG
    secrets = [one.get_secret_value() for one in (settings.secret_key, settings.token) if one]
    runtime.configure_logging("alerts", settings.log_level, secrets)
    return uvloop.run(run(settings))


def require_guarded(settings: AlertsSettings) -> None:
    """Refuse to serve other machines what nobody needs a token for, or one that can be guessed.

    Args:
        settings: What it is told from outside.

    Raises:
        ConfigurationError: Names the address or the token, and the remedies.
    """
    if _is_loopback(settings.host):
        return
    if settings.token is None:
        detail = "others could reach it without a token: set EBBWATCH_TOKEN too, or 127.0.0.1 here"
        raise ConfigurationError([Fault("EBBWATCH_HOST", settings.host, f"{detail}; {_MAKE}")])
    size = len(settings.token.get_secret_value())
    if size < TOKEN_CHARACTERS:
        detail = f"it has {size} characters, and at {settings.host} others can try: at least"
        detail = f"{detail} {TOKEN_CHARACTERS}; {_MAKE}"
        raise ConfigurationError([Fault("EBBWATCH_TOKEN", None, detail)])


async def run(settings: AlertsSettings) -> NoReturn:
    """Run the alerts service until SIGTERM or SIGINT, or an unexpected error, then end the process.

    Args:
        settings: What it is told from outside.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Nobody else listens there, and after a crash it is the same again.
    replica = re.sub(r"[^A-Za-z0-9._-]", "-", f"{socket.gethostname()}-{settings.alerts_port}")
    service = Service(settings, replica, now=lambda: datetime.now(UTC), jitter=random.random)
    running = asyncio.create_task(_edge("alerts", service.run()))
    await stop.wait()
    _log.info("stopping")
    stopping = asyncio.create_task(service.stop())
    _, late = await asyncio.wait({stopping, running}, timeout=STOP_SECONDS)
    if stopping.done() and (error := stopping.exception()) is not None:
        die("stop", error)
    if late:
        # What is not flushed is folded again, and what was under way is sent again.
        _log.warning("stopped before everything was written")
    _log.info("stopped")
    # Not by returning: the loop would wait for what did not end in time.
    leave(ExitCode.OK)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _edge(where: str, work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except* ConfigurationError as group:
        die(where, "; ".join(map(str, group.exceptions)), ExitCode.CONFIG)
    except* PortTaken as group:
        die(where, "; ".join(map(str, group.exceptions)), ExitCode.FAILED)
    except* TimeoutError as group:
        # The consumer fetches no more and says nothing: only a new one helps.
        die(where, group, ExitCode.STUCK)
    except* Exception as group:
        die(where, group)
