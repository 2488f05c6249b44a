"""A detached process of this machine that listens on loopback, known by its pid file."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

HOST = "127.0.0.1"
EXEC_SECONDS = 5.0
KILL_SECONDS = 5.0
POLL_SECONDS = 0.02
TAIL_LINES = 8


class DaemonError(Exception):
    """A local process cannot start, or did not; the message says why and what to change."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """One process that outlives the command that started it.

    Args:
        name: What people call it, as in "Kafka".
        folder: Where its pid file and log are; one daemon per folder.
        mark: The argument that no other process of this machine has, such as the absolute path
            of its configuration. A pid file alone proves nothing: pids are given out again.
    """

    name: str
    folder: Path
    mark: str

    @property
    def log(self) -> Path:
        """The file that takes everything the process writes."""
        return self.folder / "log"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "pid"

    def pid(self) -> int | None:
        """Return the pid of the running process, None if it does not run."""
        try:
            pid = int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if self._is_ours(pid) else None

    def start(self, argv: list[str]) -> int:
        """Start the process in a session of its own, so that no Ctrl-C reaches it.

        Args:
            argv: The program, as an absolute path, and its arguments; `mark` is one of them.

        Returns:
            The pid. The process may still fail: see `wait_until`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        pid = os.posix_spawn(
            argv[0],
            argv,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        self._pid_file.write_text(f"{pid}\n")
        # For a moment after exec the kernel shows no command line yet.
        self._wait(EXEC_SECONDS, lambda: self._is_ours(pid) or not Path(f"/proc/{pid}").exists())
        return pid

    def wait_until(self, ready: Callable[[], bool], within: float) -> None:
        """Wait until the process answers.

        Args:
            ready: Asks the process; False while it does not answer yet.
            within: Seconds, > 0.

        Raises:
            DaemonError: It ended, or did not answer in time; the message shows its last words.
        """
        answered = self._wait(within, lambda: self.pid() is None or ready())
        if self.pid() is None:
            raise DaemonError(f"{self.name} ended while it started.{self._last_words()}")
        if not answered:
            raise DaemonError(
                f"{self.name} runs but does not answer after {within:g} s.{self._last_words()}"
            )

    def stop(self, grace: float) -> bool:
        """End the process: SIGTERM, and SIGKILL when it has not ended in time.

        Args:
            grace: Seconds between the two signals, >= 0.

        Returns:
            True if there was a process to end.
        """
        pid = self.pid()
        if pid is not None:
            _end(pid, grace)
            _reap(pid)
        self._pid_file.unlink(missing_ok=True)
        return pid is not None

    @staticmethod
    def _wait(seconds: float, done: Callable[[], bool]) -> bool:
        end = time.monotonic() + seconds
        while not (is_done := done()) and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
        return is_done

    def _is_ours(self, pid: int) -> bool:
        _reap(pid)
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return os.fsencode(self.mark) in arguments

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        # Indented lines are stack frames, which would push out the reason.
        told = [line for line in lines if line and not line[0].isspace()][-TAIL_LINES:]
        return "\n".join([f" Its log is {self.log}:", *(f"  {line}" for line in told)])


def _end(pid: int, grace: float) -> None:
    # Through a descriptor, which tells the end exactly: the sockets are closed by then.
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            for signal_number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_SECONDS)):
                signal.pidfd_send_signal(process, signal_number)
                if select.select([process], [], [], seconds)[0]:
                    return
        finally:
            os.close(process)


def _reap(pid: int) -> None:
    # A child that has ended keeps its pid until somebody asks for its status.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


class Server(Protocol):
    """What starting, stopping and asking a local server needs to know of it."""

    @property
    def daemon(self) -> Daemon:
        """Its process."""

    @property
    def variable(self) -> str:
        """The environment variable that names another one in its place."""

    @property
    def address(self) -> str:
        """Where it is, in the form that `variable` has."""

    @property
    def listens(self) -> dict[str, int]:
        """Its loopback ports by what they are for; the first is the one that clients use."""

    def settings(self) -> str:
        """Return the text of its settings file."""

    def argv(self) -> list[str]:
        """Prepare its folder and return its command line."""

    def answers(self) -> bool:
        """Ask it something only a working server can answer."""
