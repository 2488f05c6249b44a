"""Redis as the view meets it: a fake in this process, Valkey, and Debian's Redis 7.0."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from redis.asyncio import Redis

from services.alerts.view import View
from services.alerts.view.link import Connect, connect, connect_waiting
from tests.platform import free_port

READY_SECONDS = 10.0
PREFIX = "test."
DATABASE = 9
"""Other tests of the same run use the first one of the same Valkey."""


@dataclass
class Clock:
    """Seconds since 1970 that stand still unless a test moves them."""

    now: float = 1_778_745_600.0

    def __call__(self) -> float:
        return self.now


@dataclass
class RedisServer:
    """A server, and views that read and write it.

    Attributes:
        url: Where it is; of a fake only a name.
        connect: Makes a client for calls that are answered at once.
        connect_waiting: Makes a client for calls that wait.
        clock: What all its views take for the time.
        client: A client of the test's own.
    """

    url: str
    connect: Connect
    connect_waiting: Connect
    clock: Clock = field(default_factory=Clock)
    opened: list[View] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Its answers are typed for every protocol there is.
        self.client: Any = self.connect(self.url)

    def view(self, partitions: int = 2) -> View:
        """Return one more view, as another process would have it."""
        made = View(
            self.url, PREFIX, partitions, 15.0, self.clock, self.connect, self.connect_waiting
        )
        self.opened.append(made)
        return made

    async def keys(self) -> list[str]:
        """Return the names of all keys."""
        return sorted([key.decode() async for key in self.client.scan_iter()])

    async def close(self) -> None:
        """Leave nothing behind."""
        for view in self.opened:
            await view.close()
        await self.client.flushdb()
        await self.client.aclose()


async def kept(server: RedisServer) -> dict[str, bytes]:
    """Return everything that a server holds, for `put_back`."""
    return {key: await server.client.dump(key) for key in await server.keys()}


async def put_back(server: RedisServer, kept: dict[str, bytes]) -> None:
    """Make a server hold what it held before, and nothing else."""
    await server.client.flushdb()
    for key, value in kept.items():
        await server.client.restore(key, 0, value)


def fake(server: FakeServer | None = None) -> RedisServer:
    """Return a fake of its own; `server.connected = False` takes it away."""
    server = server or FakeServer()

    def client(url: str) -> Redis:
        return FakeAsyncRedis(server=server, protocol=2)

    return RedisServer("redis://fake:6379/0", client, client)


def real(url: str) -> RedisServer:
    """Return a database of its own of a real server that is running already."""
    return RedisServer(f"{url.rpartition('/')[0]}/{DATABASE}", connect, connect_waiting)


@contextlib.contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[str]:
    """Run Debian's redis-server as long as the block lasts; gives its URL.

    Args:
        folder: Its own folder.
        options: More of its command line, such as `--maxmemory 3mb`.
    """
    with redis_process(folder, *options) as (url, _):
        yield url


@contextlib.contextmanager
def redis_process(
    folder: Path, *options: str, port: int | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run Debian's redis-server as long as the block lasts; gives its URL and its process."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed: make setup, or apt-get install redis-server")
    port = port or free_port()
    words = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    words += ["--save", "", "--appendonly", "no", *options]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        _wait(port, lambda: process.poll() is None)
        yield f"redis://127.0.0.1:{port}/0", process
    finally:
        process.kill()
        process.wait()


def _wait(port: int, alive: Callable[[], bool]) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and alive():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as one:
            one.sendall(b"PING\r\n")
            if one.recv(7) == b"+PONG\r\n":
                return
    pytest.fail(f"redis-server on port {port} did not answer within {READY_SECONDS:g} s")
