"""Faust's worker, which ends within its bound whatever Faust waits for, and says why it ended."""

import signal
import threading
from typing import Any, Final, NoReturn

import faust
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    InvalidProducerEpoch,
    ProducerFenced,
    UnknownMemberIdError,
)

from services.lifetime import STOP_SECONDS
from services.runtime import ExitCode, die, get_logger, leave
from services.snapshots import Fenced

LOST: Final = (CommitFailedError, IllegalGenerationError, UnknownMemberIdError)
"""What the group answers to somebody whom it has given up."""
FENCED: Final = (Fenced, ProducerFenced, InvalidProducerEpoch)
FENCED_INSTANCE: Final = 82
"""Error code: another member joined under the same name. Source: Kafka's protocol, error codes."""

_log = get_logger(__name__)


class Worker(faust.Worker):
    """Runs an app until a signal."""

    def execute_from_commandline(self) -> NoReturn:
        """Run until a signal; after an error of Faust's the last line says what it was."""
        try:
            super().execute_from_commandline()
        except SystemExit as ended:
            if ended.code:
                # Faust ends with a bare code, whatever it was that ended it.
                die("worker", cause(self.crash_reason or ended.__context__, ended.code))
            raise

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        # A thread of its own: Faust may wait for a broker that is away, and not only in coroutines.
        bound = threading.Timer(STOP_SECONDS, _leave)
        bound.daemon = True
        bound.start()
        super()._schedule_shutdown(signal)

    def _on_sigusr2(self, *_: Any) -> None:
        """Do nothing: Faust would stop everything and open a debugger."""


def cause(error: BaseException | None, code: object) -> str:
    """Return in words why Faust has ended.

    Args:
        error: What crashed it, if that is known.
        code: With what it ended.

    >>> cause(None, 1)
    'Faust ended with 1, and does not say why; the lines before this one may'
    """
    if error is None:
        return f"Faust ended with {code}, and does not say why; the lines before this one may"
    if isinstance(error, LOST):
        why = (
            "session lost: the group heard nothing of this worker for longer than its session and "
            "gave its partitions to others (was it frozen, or held up?)"
        )
    elif isinstance(error, FENCED):
        why = "fenced: another worker has taken over a partition of this one"
    elif getattr(error, "errno", None) == FENCED_INSTANCE:
        why = "fenced: another worker runs under the same EBBWATCH_DETECTOR_INSTANCE"
    else:
        why = "Faust crashed"
    return f"{why}: {error!r}"


def _leave() -> None:
    _log.warning("stopped too early", left="what is not written yet; it is folded again")
    leave(ExitCode.OK)
