"""Faust's worker, which ends within its bound whatever Faust waits for."""

import signal
import threading
from typing import Any

import faust

from services.lifetime import STOP_SECONDS
from services.runtime import ExitCode, get_logger, leave

_log = get_logger(__name__)


class Worker(faust.Worker):
    """Runs an app until a signal."""

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        # A thread of its own: Faust may wait for a broker that is away, and not only in coroutines.
        bound = threading.Timer(STOP_SECONDS, _leave)
        bound.daemon = True
        bound.start()
        super()._schedule_shutdown(signal)

    def _on_sigusr2(self, *_: Any) -> None:
        """Do nothing: Faust would stop everything and open a debugger."""


def _leave() -> None:
    _log.warning("stopped too early", left="what is not written yet; it is folded again")
    leave(ExitCode.OK)
