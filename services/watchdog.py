"""Ends a process that makes no progress, so that its supervisor starts it anew (exit 75).

It watches from a thread of its own, because an event loop that stands still cannot watch itself.
"""

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from services.runtime import ExitCode, die, get_logger

PATIENCE_SECONDS: Final = 60.0
"""Source: kafka-and-faust.md B20; issue 5, point 8."""
LOOKS: Final = 12
"""So many looks fit into the patience."""
LONGEST_SECONDS: Final = 5.0
"""Between two looks."""
LAST_WORDS_SECONDS: Final = 3.0
"""A loop that stands still in the middle of a log line holds the lock that the last line needs."""

_log = get_logger(__name__)


class Place(NamedTuple):
    """A partition of a topic, at which work can stand still."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic} partition {self.partition}"


Probe = Callable[[], Mapping[Place, object]]
"""Returns how far each place is at which work waits; any other value than before is progress."""

Ends = Callable[[Collection[Place]], Mapping[tuple[str, int], int] | None]
"""Asks Kafka, by a connection of its own, where its logs end; None if it does not answer."""


class _Stand(NamedTuple):
    """How far a place is, for how long, and whether Kafka has answered meanwhile."""

    position: object
    seconds: float = 0.0
    asked: bool = False


class Watchdog:
    """Watches an event loop, and the work that it should get done.

    While Kafka itself does not answer nothing is ended: a new process could do no more, and many
    that start again and again would hinder its return. So Kafka must answer after half of the
    patience and at its end; where it does not, patience begins anew.

    Args:
        probe: Asked in the loop again and again; must be quick.
        ends: Asked in the watchdog's thread before it ends the process.
        patience: How long the loop, or work at one place, may stand still; seconds, > 0.
        end: Told what stands still; does not return.
    """

    def __init__(
        self,
        probe: Probe,
        ends: Ends,
        patience: float = PATIENCE_SECONDS,
        end: Callable[[str, ExitCode], object] | None = None,
    ) -> None:
        self._probe = probe
        self._ends = ends
        self._patience = patience
        self._end = end or _end
        self._every = min(LONGEST_SECONDS, patience / LOOKS)
        self._stopped = threading.Event()
        self._asked = False
        self._answer: Mapping[Place, object] | Exception = {}
        self._silent = 0.0
        self._stands: dict[Place, _Stand] = {}

    def start(self) -> None:
        """Begin to watch the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def _run(self) -> None:
        looked = time.monotonic()
        while not self._stopped.wait(self._every):
            now = time.monotonic()
            try:
                # Who was itself frozen, or asked Kafka, has not seen anybody stand meanwhile.
                self.look(min(now - looked, 2 * self._every))
            except Exception as error:
                self._end(f"the watchdog itself failed: {error!r}", ExitCode.BUG)
            looked = now

    def look(self, passed: float) -> None:
        """Look once; to be called by one thread.

        Args:
            passed: Seconds since the look before, > 0.
        """
        if self._asked:
            self._silent += passed
            if self._silent > self._patience:
                self._end(self._where_the_loop_stands(), ExitCode.STUCK)
            return
        self._silent = 0.0
        if isinstance(self._answer, Exception):
            raise self._answer
        self._note(self._answer, passed)
        self._judge()
        self._ask()

    def _ask(self) -> None:
        self._asked = True
        try:
            self._loop.call_soon_threadsafe(self._take)
        except RuntimeError:
            # The loop is closed: the process ends by itself.
            self.stop()

    def _take(self) -> None:
        try:
            self._answer = dict(self._probe())
        except Exception as error:
            self._answer = error
        self._asked = False

    def _note(self, answer: Mapping[Place, object], passed: float) -> None:
        stands: dict[Place, _Stand] = {}
        for place, position in answer.items():
            before = self._stands.get(place)
            if before is None or position != before.position:
                stands[place] = _Stand(position)
            else:
                stands[place] = before._replace(seconds=before.seconds + passed)
        self._stands = stands

    def _judge(self) -> None:
        late = {at: one for at, one in self._stands.items() if one.seconds > self._patience / 2}
        stuck = sorted(at for at, one in late.items() if one.seconds > self._patience)
        if not stuck and all(one.asked for one in late.values()):
            return
        ends = self._ends(late.keys())
        if ends is None:
            _log.warning("no progress, but Kafka does not answer", places=[*map(str, late)])
            self._stands.clear()
            return
        self._stands |= {at: one._replace(asked=True) for at, one in late.items()}
        told = [
            f"{at} stands at {late[at].position}, and Kafka has it up to {ends[at] - 1}"
            for at in stuck
            if late[at].asked
        ]
        if told:
            self._end(f"no progress for {self._patience:g} s: {'; '.join(told)}", ExitCode.STUCK)

    def _where_the_loop_stands(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)
        stack = traceback.extract_stack(frame)[-4:] if frame is not None else []
        calls = " > ".join(f"{one.name} ({one.filename}:{one.lineno})" for one in stack)
        return f"the event loop has not answered for {self._patience:g} s; it is in {calls}"


def _end(what: str, code: ExitCode) -> None:
    last = threading.Timer(LAST_WORDS_SECONDS, os._exit, (int(code),))
    last.daemon = True
    last.start()
    die("watchdog", what, code)
