"""What every service runs on: logs, health and metrics over HTTP, the crash-only exit."""

import asyncio
import contextlib
import logging
import os
import platform
import re
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, NoReturn

import structlog

from services.settings import (
    ConfigurationError,
    Fault,
    Secret,
    ServiceSettings,
    load_settings,
    local_environment,
)

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI
    from prometheus_client import CollectorRegistry

__all__ = [
    "ConfigurationError",
    "ExitCode",
    "Fault",
    "Health",
    "PortTaken",
    "Secret",
    "ServiceSettings",
    "configure_logging",
    "die",
    "get_logger",
    "health_router",
    "leave",
    "load_settings",
    "local_environment",
    "serve",
    "version",
]

DRAIN_SECONDS: Final = 4
"""How long a stopping server lets its running requests finish; all of a stop must fit in 10 s."""

SELDOM_SECONDS: Final = 10.0
"""A line that a library repeats is shown once in so long."""

_KEY = re.compile(r"\b(ebw_[a-z0-9]+_[A-Za-z0-9]+)_[A-Za-z0-9_-]{43}")
_SIGNING = re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+")
_NAMED = re.compile(
    r'("[^"]*(?:secret|token|password|authorization|pepper)[^"]*"\s*:\s*)"(?:[^"\\]|\\.)*"',
    re.IGNORECASE,
)


class ExitCode(IntEnum):
    """What a process says when it ends (formats.md); only 70 and 75 ask for a restart."""

    OK = 0
    FAILED = 1
    USAGE = 2
    BUG = 70
    STUCK = 75
    CONFIG = 78


class PortTaken(Exception):
    """The port to listen on belongs to another process."""


def version() -> str:
    """Return the installed version, or `unknown` from a bare work tree."""
    try:
        return metadata.version("ebbwatch")
    except metadata.PackageNotFoundError:
        return "unknown"


def configure_logging(service: str, level: str = "info", secrets: Iterable[str] = ()) -> None:
    """Write all logs as JSON lines on stdout, those of the libraries too.

    Args:
        service: Stands in every line.
        level: The least severe level, such as `info`.
        secrets: Values that no line may show; API keys, secrets of webhooks and fields with
            telling names are hidden anyway.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=_rendering(service, secrets)
        )
    )
    handler.addFilter(_Seldom())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # What these say of their daily business at INFO tells nobody anything.
    for chatty in ("aiokafka", "uvicorn"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger; events are named in lower case, facts go into fields."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


class _Seldom(logging.Filter):
    """Lets a library's line through once in a while: aiokafka repeats each ten times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[tuple[str, str], float] = {}
        self._hidden: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to show a line; it says how many like it were not shown."""
        if not record.name.startswith("aiokafka"):
            return True
        kind = (record.name, str(record.msg))
        if record.created < self._next.get(kind, 0.0):
            self._hidden[kind] = self._hidden.get(kind, 0) + 1
            return False
        self._next[kind] = record.created + SELDOM_SECONDS
        record.hidden = self._hidden.pop(kind, 0)
        return True


def _rendering(service: str, secrets: Iterable[str]) -> list[Any]:
    hidden = [secret for secret in secrets if secret]

    def add_service(_: object, __: str, event: dict[str, Any]) -> dict[str, Any]:
        return {"service": service, **event}

    def redact(_: object, __: str, line: str) -> str:
        for secret in hidden:
            line = line.replace(secret, "[redacted]")
        line = _SIGNING.sub("whsec_[redacted]", _KEY.sub(r"\1_[redacted]", line))
        return _NAMED.sub(r'\1"[redacted]"', line)

    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        add_service,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=str),
        redact,
    ]


def die(where: str, error: BaseException | str, code: ExitCode = ExitCode.BUG) -> NoReturn:
    """Log what happened and end the process at once, whatever its tasks and threads do.

    Args:
        where: The edge that met the error.
        error: What happened.
        code: What the supervisor is told.
    """
    raised = error if isinstance(error, BaseException) else None
    get_logger("runtime").critical(
        "process ends", where=where, error=str(error), code=int(code), exc_info=raised
    )
    leave(code)


def leave(code: ExitCode) -> NoReturn:
    """End the process at once, whatever its tasks and threads do; what was logged is written.

    An event loop that is closed waits for its tasks, and some of a client whose broker is away
    never end.

    Args:
        code: What the supervisor is told.
    """
    for handler in logging.getLogger().handlers:
        handler.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


@dataclass(frozen=True, slots=True)
class _Check:
    ok: bool
    detail: str
    required: bool


class Health:
    """What a service needs in order to be ready, by name."""

    def __init__(self) -> None:
        self._checks: dict[str, _Check] = {}

    def set(self, name: str, ok: bool, detail: str = "", *, required: bool = True) -> None:
        """State one check; the newest statement of a name holds.

        Args:
            name: Such as `kafka`.
            ok: Whether it holds.
            detail: Why not, and the remedy, for a person.
            required: False for what makes the service degraded, but leaves it ready.
        """
        self._checks[name] = _Check(ok, detail, required)

    def remove(self, name: str) -> None:
        """Forget a check, as of an input that is no longer configured."""
        self._checks.pop(name, None)

    @property
    def ready(self) -> bool:
        """True if there is a check and every required one holds."""
        return bool(self._checks) and all(c.ok or not c.required for c in self._checks.values())

    def as_json(self) -> dict[str, Any]:
        """Return the state of all checks, plain JSON."""
        checks = {
            name: {"ok": check.ok, "required": check.required, "detail": check.detail}
            for name, check in sorted(self._checks.items())
        }
        degraded = self.ready and not all(check.ok for check in self._checks.values())
        return {"ready": self.ready, "degraded": degraded, "checks": checks}


def health_router(health: Health, registry: "CollectorRegistry") -> "APIRouter":
    """Return the routes `/livez`, `/readyz`, `/metrics` and `/-/version`.

    Args:
        health: What `/readyz` answers from, 200 or 503.
        registry: What `/metrics` shows.
    """
    # Commands import this module too, and must not pay 0.3 s for a web framework.
    from fastapi import APIRouter
    from fastapi.responses import JSONResponse, PlainTextResponse
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def livez() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        return JSONResponse(health.as_json(), status_code=200 if health.ready else 503)

    @router.get("/metrics")
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @router.get("/-/version")
    async def show_version() -> JSONResponse:
        return JSONResponse({"version": version(), "python": platform.python_version()})

    return router


async def serve(app: "FastAPI", host: str, port: int, setting: str = "") -> None:
    """Serve HTTP in the running loop until cancelled; running requests may finish first.

    Args:
        app: The application; its lifespan is not run.
        host: Address to listen on.
        port: Port to listen on, 1..65535.
        setting: The variable that would change the port, for the error.

    Raises:
        PortTaken: Somebody else listens there.
    """
    import uvicorn

    from services.bounded_http import BoundedHttp

    class Server(uvicorn.Server):
        """A server that leaves signals to the service."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    server = Server(config)
    with _listen(host, port, setting) as listening:
        running = asyncio.ensure_future(server.serve(sockets=[listening]))
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            server.should_exit = True
            await running
            raise


def _listen(host: str, port: int, setting: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        remedy = f"end that process or set {setting}" if setting else "end that process"
        raise PortTaken(
            f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}; {remedy}"
        ) from error
