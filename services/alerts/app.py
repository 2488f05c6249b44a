"""Wires the alerts service together and runs it until SIGTERM."""

import ipaddress
import random
import re
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NoReturn

import uvloop

from services import failpoints, runtime
from services.alerts.service import Service
from services.alerts.settings import AlertsSettings
from services.lifetime import live
from services.runtime import ConfigurationError, ExitCode, Fault, get_logger

TOKEN_CHARACTERS: Final = 16
"""At least, where others can try tokens; of random ones 16 say 96 bits."""

_MAKE: Final = "`openssl rand -base64 24` makes a token"


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
        get_logger(__name__).critical(
            "configuration is wrong", faults=[str(fault) for fault in error.faults]
        )
        return ExitCode.CONFIG
    secrets = [one.get_secret_value() for one in (settings.secret_key, settings.token) if one]
    runtime.configure_logging("alerts", settings.log_level, secrets)
    failpoints.arm(settings.failpoints)
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
    # Nobody else listens there, and after a crash it is the same again.
    replica = re.sub(r"[^A-Za-z0-9._-]", "-", f"{socket.gethostname()}-{settings.alerts_port}")

    def make() -> Service:
        return Service(settings, replica, now=lambda: datetime.now(UTC), jitter=random.random)

    # What is not flushed is folded again, and what was under way is sent again.
    await live("alerts", make, left="flushes and deliveries")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
