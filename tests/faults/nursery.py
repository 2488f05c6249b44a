"""Starts services from a process that has imported their code already: a run starts a dozen.

An import takes a second of processor time, and says nothing about faults. A nursery has done it
once and forks; what is forked runs as if it had been started, with an environment, a folder and a
log of its own. There are two, and starts alternate between them: strings hash otherwise in each, so
that a result that depends on the order of a set does not survive a restart unseen.
"""

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from services import tether
from services.tether import PR_SET_PDEATHSIG

NURSERIES = 2
OPEN_SECONDS = 60.0
NEEDS_EXEC = ("LD_", "PYTHON")
"""What only a program that starts anew takes notice of; `PYTHONPATH` is ours already."""


class Child(Protocol):
    """A running service."""

    @property
    def pid(self) -> int:
        """The id of its process."""

    @property
    def returncode(self) -> int | None:
        """Exit code, or minus the number of the signal that ended it; None while it runs."""

    async def wait(self) -> int:
        """Return that code once it has ended."""


class Forked:
    """A service that a nursery has started.

    Args:
        pid: The id of its process.
        reader: Where the nursery tells how it ended.
        writer: Kept, so that the connection lasts.
    """

    def __init__(
        self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._reader = reader
        self._writer = writer

    async def wait(self) -> int:
        """Return how it ended once it has."""
        if self.returncode is None:
            told = await self._reader.readline()
            self.returncode = int(told) if told else -signal.SIGKILL
            self._writer.close()
        return self.returncode


class Nurseries:
    """Processes that start services, as long as the block lasts.

    Args:
        folder: Takes their sockets and logs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sockets = [folder / f"nursery-{number}" for number in range(NURSERIES)]
        self._processes: list[int] = []
        self._started = 0

    def open(self) -> None:
        """Start them; they need a second or two until they answer."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(self._sockets):
            environ = {**os.environ, "PYTHONHASHSEED": str(number + 1)}
            argv = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid())]
            argv += [sys.executable, "-m", __name__, str(path)]
            log = os.open(path.with_suffix(".log"), os.O_WRONLY | os.O_CREAT, 0o600)
            actions = [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
            # A shell lets what it starts in the background ignore Ctrl-C.
            self._processes.append(
                os.posix_spawn(
                    *(sys.executable, argv, environ),
                    file_actions=actions,
                    setsigdef=[signal.SIGINT],
                )
            )
            os.close(log)

    def close(self) -> None:
        """End them, and whatever of theirs still runs."""
        for pid in self._processes:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._processes = []

    async def start(
        self, argv: Sequence[str], environ: Mapping[str, str], folder: Path, log: Path
    ) -> Child:
        """Start a service.

        Args:
            argv: What follows `ebbwatch` on the command line.
            environ: Its whole environment.
            folder: Where it runs.
            log: The file that its output is appended to.
        """
        if any(_needs_exec(name, value) for name, value in environ.items()):
            return await _executed(argv, environ, folder, log)
        path = self._sockets[self._started % NURSERIES]
        self._started += 1
        reader, writer = await _connected(path)
        order = {"argv": list(argv), "environ": dict(environ), "folder": str(folder)}
        writer.write(json.dumps({**order, "log": str(log)}).encode() + b"\n")
        return Forked(int(await reader.readline()), reader, writer)


def _needs_exec(name: str, value: str) -> bool:
    return name.startswith(NEEDS_EXEC) and os.environ.get(name) != value and name != "PYTHONPATH"


async def _connected(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(OPEN_SECONDS):
        while True:
            try:
                return await asyncio.open_unix_connection(path)
            except OSError:
                await asyncio.sleep(0.05)


async def _executed(
    argv: Sequence[str], environ: Mapping[str, str], folder: Path, log: Path
) -> Child:
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", tether.__file__, str(os.getpid())),
            *(sys.executable, "-m", "services", *argv),
            cwd=folder,
            env=dict(environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )


def serve(path: str) -> None:
    """Fork whenever somebody asks; returns in the child alone.

    Args:
        path: Of the socket to listen on.
    """
    woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    asking: dict[int, socket.socket] = {}
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        while True:
            ready = select.select([listening.fileno(), woken], [], [])[0]
            if woken in ready:
                os.read(woken, 4096)
                _tell_ends(asking)
            if listening.fileno() in ready:
                connection, _ = listening.accept()
                with connection.makefile("rb") as lines:
                    order = json.loads(lines.readline())
                parent, pid = os.getpid(), os.fork()
                if pid == 0:
                    for one in (*asking.values(), connection):
                        one.close()
                    _become(order, parent)
                    return
                asking[pid] = connection
                connection.sendall(f"{pid}\n".encode())


def _tell_ends(asking: dict[int, socket.socket]) -> None:
    while asking:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with asking.pop(pid) as connection, contextlib.suppress(OSError):
            connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _become(order: dict[str, Any], parent: int) -> None:
    """Turn a fork into the service that was asked for."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(tether.RESTART_ME)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(order["folder"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for taken, given in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(taken, given)
    signal.signal(signal.SIGUSR2, _tell_tasks)
    os.environ.clear()
    os.environ.update(order["environ"])
    sys.argv = ["ebbwatch", *order["argv"]]


def _tell_tasks(*_: object) -> None:
    """Write into the log where every task of the running loop waits."""
    for task in asyncio.all_tasks():
        print(f"task {task.get_name()}")
        waiting: Any = task.get_coro()
        while waiting is not None:
            frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
            if frame is not None:
                print(f"    {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
            waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    sys.stdout.flush()


if __name__ == "__main__":
    # What a service imports when it starts, and nothing that it does then.
    import services.alerts.app
    import services.detector.app
    import services.ingest.app  # noqa: F401
    from services.cli import main

    serve(sys.argv[1])
    main()
