"""An Apache Kafka node with two doors: the second one is advertised as where a proxy listens."""

import asyncio
import contextlib
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

from services import local
from services.daemon import HOST
from services.local_kafka import Kafka
from services.local_valkey import Valkey
from tests.platform import distinct_ports, require_jars

START_SECONDS = 60.0
STOP_SECONDS = 20.0

CHANGEABLE = "enable-protected-configs local\n"
"""Lets a scenario change the folder that a running Valkey writes to."""

BESIDE = """\
listeners=PLAINTEXT://{host}:{kafka},PROXIED://{host}:{behind},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{kafka},PROXIED://{host}:{proxied}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
"""


@dataclass(frozen=True, slots=True)
class TwoDoors(Kafka):
    """A node whose second listener is reached through a proxy alone.

    Args:
        behind: Port of the second listener.
        proxied: Port that it is advertised with.
        extra: More lines of `server.properties`.
    """

    behind: int = 0
    proxied: int = 0
    extra: str = ""

    def settings(self) -> str:
        """Return the text of `server.properties`, with both listeners."""
        plain = Kafka.settings(self).splitlines(keepends=True)
        replaced = ("listeners=", "advertised.listeners=")
        beside = BESIDE.format(
            host=HOST,
            kafka=self.port,
            behind=self.behind,
            controller=self.controller_port,
            proxied=self.proxied,
        )
        kept = "".join(line for line in plain if not line.startswith(replaced))
        return kept + beside + self.extra


class Broker:
    """A Kafka of the suite's own, on ports that stay the same over restarts.

    Args:
        folder: Takes its data and log; absolute.
        extra: More lines of `server.properties`.
    """

    def __init__(self, folder: Path, extra: str = "") -> None:
        plain, controller, behind, proxied = distinct_ports(4)
        self.behind, self.proxied = behind, proxied
        self.node = TwoDoors(
            folder, plain, controller, require_jars(), behind=behind, proxied=proxied, extra=extra
        )

    @property
    def address(self) -> str:
        """The door without a proxy."""
        return self.node.address

    @property
    def proxied_address(self) -> str:
        """The door behind the proxy."""
        return f"{HOST}:{self.proxied}"

    async def start(self) -> None:
        """Start it and return when it answers."""
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        self.node.folder.mkdir(parents=True, exist_ok=True)
        Path(self.node.daemon.mark).write_text(self.node.settings())
        self.node.daemon.start(self.node.argv())
        self.node.daemon.wait_until(self.node.answers, START_SECONDS)

    async def kill(self) -> None:
        """Kill -9."""
        await asyncio.to_thread(self._end, signal.SIGKILL)

    async def end(self) -> None:
        """Stop it as an operator does."""
        await asyncio.to_thread(self._end, signal.SIGTERM)

    def freeze(self) -> None:
        """Let it stand still, its connections open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it however it stands; its data stay."""
        with contextlib.suppress(ProcessLookupError):
            self.thaw()
        self.node.daemon.stop(STOP_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        pid = self.node.daemon.pid()
        if pid is None:
            raise ProcessLookupError("the broker does not run")
        os.kill(pid, number)

    def _end(self, number: signal.Signals) -> None:
        pid = self.node.daemon.pid()
        if pid is None:
            return
        process = os.pidfd_open(pid)
        try:
            os.kill(pid, number)
            select.select([process], [], [], STOP_SECONDS)
        finally:
            os.close(process)
        self.node.daemon.stop(0)


class Redis:
    """A Valkey of the suite's own, on a port that stays the same over restarts.

    Args:
        folder: Takes its log; absolute.
    """

    def __init__(self, folder: Path) -> None:
        (port,) = distinct_ports(1)
        self.node = Valkey(folder, port)

    @property
    def url(self) -> str:
        """Its URL."""
        return self.node.address

    async def start(self) -> None:
        """Start it, empty, and return when it answers."""
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        self.node.folder.mkdir(parents=True, exist_ok=True)
        Path(self.node.daemon.mark).write_text(self.node.settings() + CHANGEABLE)
        self.node.daemon.start(self.node.argv())
        self.node.daemon.wait_until(self.node.answers, local.START_SECONDS)

    def freeze(self) -> None:
        """Let it stand still, its connections open."""
        os.kill(self.pid(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid(), signal.SIGCONT)

    def kill(self) -> None:
        """Kill -9; what it held is gone."""
        self.node.daemon.stop(0)

    def stop(self) -> None:
        """End it however it stands."""
        with contextlib.suppress(ProcessLookupError):
            self.thaw()
        self.node.daemon.stop(STOP_SECONDS)

    def pid(self) -> int:
        """Return the id of its process."""
        pid = self.node.daemon.pid()
        if pid is None:
            raise ProcessLookupError("Valkey does not run")
        return pid
