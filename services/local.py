"""Apache Kafka and Valkey on this machine's loopback: for the demo, for trying out, for tests."""

import base64
import contextlib
import errno
import fcntl
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from services.daemon import HOST, DaemonError, Server
from services.local_kafka import Kafka
from services.local_valkey import Valkey

START_SECONDS = 60.0
"""A start takes about 2 s on 2 idle cores; a machine under load gets its time."""
STOP_SECONDS = 20.0

Tell = Callable[[str], None]


class LocalError(Exception):
    """The local platform cannot start as it is; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports of the platform, 1..65535; the defaults are those of formats.md."""

    kafka: int = 19092
    controller: int = 19093
    valkey: int = 16379


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where services find Kafka and Redis.

    Args:
        kafka: Bootstrap servers, `host:port[,host:port]`.
        redis_url: `redis://…` or `rediss://…`.
        secret_key: What keys are hashed and secrets sealed with; None if the environment has one.
    """

    kafka: str
    redis_url: str
    secret_key: str | None = None

    def environment(self) -> dict[str, str]:
        """Return the variables that a service on this platform needs."""
        found = {"EBBWATCH_KAFKA": self.kafka, "EBBWATCH_REDIS_URL": self.redis_url}
        if self.secret_key is not None:
            found["EBBWATCH_SECRET_KEY"] = self.secret_key
        return found


@dataclass(frozen=True, slots=True)
class Status:
    """One line of `ebbwatch local status`.

    Args:
        name: "Kafka" or "Valkey".
        address: Where it is, or would be, as `host:port`.
        state: silent: it runs and does not answer; external: the environment names another one,
            which is neither started nor asked.
        pid: Process id while it runs.
    """

    name: str
    address: str
    state: Literal["running", "silent", "stopped", "external"]
    pid: int | None


def up(
    folder: Path,
    *,
    ports: Ports | None = None,
    jars: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    tell: Tell = print,
) -> Addresses:
    """Start what does not run yet and wait until it answers; a second call changes nothing.

    Not to be called from inside a running event loop.

    Args:
        folder: Takes data, logs, pid files and the secret; `.ebbwatch` in a work tree.
        ports: Other ports than those of formats.md.
        jars: Folder of the broker's jars; `kafka/lib` in `folder` unless told.
        environ: With `EBBWATCH_KAFKA` or `EBBWATCH_REDIS_URL` naming another server than the
            local one, that one is meant and none is started in its place.
        tell: Takes each line of progress.

    Returns:
        Where Kafka and Redis are.

    Raises:
        LocalError: A port is taken, Java or the jars are missing, or a server did not start.
    """
    servers = _servers(folder, ports, jars)
    folder.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(folder):
        for server in servers:
            if _is_wanted(server, environ):
                _start(server, tell)
            else:
                tell(f"{server.daemon.name}: {server.variable} names another, none is started here")
        kafka, redis_url = (environ.get(each.variable) or each.address for each in servers)
        if any(environ.get(f"EBBWATCH_SECRET_KEY{suffix}") for suffix in ("", "_FILE")):
            return Addresses(kafka, redis_url)
        return Addresses(kafka, redis_url, _secret(folder / "secret"))


def down(folder: Path, *, tell: Tell = print) -> None:
    """Stop what `up` started in this folder; its data stay. When nothing runs, nothing happens.

    Args:
        folder: The folder that `up` was given.
        tell: Takes each line of progress.
    """
    if not folder.is_dir():
        return
    with _one_at_a_time(folder):
        for server in reversed(_servers(folder)):
            stopped = server.daemon.stop(STOP_SECONDS)
            tell(f"{server.daemon.name}: {'stopped' if stopped else 'was not running'}")


def status(
    folder: Path, *, ports: Ports | None = None, environ: Mapping[str, str] = os.environ
) -> list[Status]:
    """Say of Kafka and of Valkey whether they run and answer.

    Args:
        folder: The folder that `up` was given.
        ports: The ports that `up` was given.
        environ: As for `up`.

    Returns:
        Kafka's line, then Valkey's.
    """
    return [_status(server, environ) for server in _servers(folder, ports)]


def _servers(
    folder: Path, ports: Ports | None = None, jars: Path | None = None
) -> tuple[Server, Server]:
    here, ports = folder.resolve(), ports or Ports()
    jars = jars.resolve() if jars else here / "kafka" / "lib"
    return (
        Kafka(here / "kafka", ports.kafka, ports.controller, jars),
        Valkey(here / "valkey", ports.valkey),
    )


def _is_wanted(server: Server, environ: Mapping[str, str]) -> bool:
    named = environ.get(server.variable)
    return not named or _names_local(named, next(iter(server.listens.values())))


def _names_local(address: str, port: int) -> bool:
    # A comma is a cluster; another database of the same Redis is the same server.
    parts = urlsplit(address if "://" in address else f"//{address}")
    return "," not in address and parts.hostname in (HOST, "localhost") and parts.port == port


def _start(server: Server, tell: Tell) -> None:
    daemon, settings = server.daemon, server.settings()
    file = Path(daemon.mark)
    try:
        if daemon.pid() is None:
            _require_free_ports(server)
            tell(f"{daemon.name}: starting on {_host_and_port(server.address)}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(settings)
            daemon.start(server.argv())
        elif file.read_text() != settings:
            raise LocalError(
                f"{daemon.name} of {daemon.folder} runs with other ports or settings: "
                "stop it with `ebbwatch local down`, then start it again"
            )
        daemon.wait_until(server.answers, START_SECONDS)
    except DaemonError as error:
        raise LocalError(str(error)) from error
    tell(f"{daemon.name}: running, pid {daemon.pid()}")


def _require_free_ports(server: Server) -> None:
    for wanted_by, port in server.listens.items():
        with socket.socket() as probe:
            # As the servers do: a connection that has just ended does not hold the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                raise LocalError(
                    f"port {port} on {HOST}, which {wanted_by} needs, is taken by another program "
                    f"(`ss -ltnp 'sport = :{port}'` shows it): end that program, or name a server "
                    f"of your own with {server.variable}={_example(server)}"
                ) from error


def _example(server: Server) -> str:
    return server.address.replace(_host_and_port(server.address), "host:port")


def _host_and_port(address: str) -> str:
    # What an environment variable names may carry a password.
    return urlsplit(address).netloc.rpartition("@")[2] if "://" in address else address


def _status(server: Server, environ: Mapping[str, str]) -> Status:
    name, pid = server.daemon.name, server.daemon.pid()
    if not _is_wanted(server, environ):
        return Status(name, _host_and_port(environ[server.variable]), "external", None)
    address = _host_and_port(server.address)
    if pid is None:
        return Status(name, address, "stopped", None)
    return Status(name, address, "running" if server.answers() else "silent", pid)


def _secret(file: Path) -> str:
    if not file.exists():
        part = file.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_bytes(base64.b64encode(secrets.token_bytes(32)))
        part.replace(file)
    return file.read_text()


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
