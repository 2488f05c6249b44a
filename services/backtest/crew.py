"""The workers of a backtest: a process each, or one in this process."""

import multiprocessing
import signal
from collections.abc import Sequence
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Final, Protocol, TypeVar

from services.backtest.orders import Begin, Order, Report, Total
from services.backtest.worker import Worker

Answer = TypeVar("Answer", Report, Total)

_SECONDS: Final = 10.0
"""Given to a worker to end."""


class WorkerFailed(Exception):
    """A worker has ended before its work was done."""


class Crew(Protocol):
    """Workers, one for each partition, that play orders in lock-step."""

    def tell(self, begins: Sequence[Begin]) -> None:
        """Let each begin with an empty partition, whatever it has played before."""

    def begin(self, orders: Sequence[Order]) -> None:
        """Give each worker an order."""

    def reports(self) -> list[Report]:
        """Return what came of the orders, when all are done."""

    def totals(self) -> list[Total]:
        """Return what each has judged; nothing is played afterwards."""


class Alone:
    """The workers in this process, one after the other."""

    def __init__(self) -> None:
        """Begin with no worker."""
        self._workers: list[Worker] = []
        self._orders: list[Order] = []

    def tell(self, begins: Sequence[Begin]) -> None:
        """Let each begin with an empty partition."""
        self._workers = [Worker(one) for one in begins]

    def begin(self, orders: Sequence[Order]) -> None:
        """Give each worker an order."""
        self._orders = list(orders)

    def reports(self) -> list[Report]:
        """Return what came of the orders."""
        pairs = zip(self._workers, self._orders, strict=True)
        return [worker.play(order) for worker, order in pairs]

    def totals(self) -> list[Total]:
        """Return what each has judged; nothing is played afterwards."""
        return [worker.total() for worker in self._workers]


class Processes(AbstractContextManager["Processes"]):
    """Workers in processes of their own, started anew: nothing of this one is shared.

    Args:
        number: How many.
    """

    def __init__(self, number: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes: list[SpawnProcess] = []
        for _ in range(number):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()

    def tell(self, begins: Sequence[Begin]) -> None:
        """Let each begin with an empty partition, whatever it has played before."""
        for pipe, begin in zip(self._pipes, begins, strict=True):
            _send(pipe, begin)

    def begin(self, orders: Sequence[Order]) -> None:
        """Give each worker an order."""
        for pipe, order in zip(self._pipes, orders, strict=True):
            _send(pipe, order)

    def reports(self) -> list[Report]:
        """Return what came of the orders, when all are done."""
        return [_receive(pipe, Report) for pipe in self._pipes]

    def totals(self) -> list[Total]:
        """Return what each has judged; nothing is played afterwards."""
        for pipe in self._pipes:
            _send(pipe, None)
        return [_receive(pipe, Total) for pipe in self._pipes]


def _send(pipe: Connection, what: Begin | Order | None) -> None:
    try:
        pipe.send(what)
    except (BrokenPipeError, ConnectionError) as error:
        raise WorkerFailed("a worker process has ended; was it out of memory?") from error


def _receive(pipe: Connection, kind: type[Answer]) -> Answer:
    try:
        found = pipe.recv()
    except (EOFError, ConnectionError) as error:
        raise WorkerFailed("a worker process has ended; was it out of memory?") from error
    if not isinstance(found, kind):
        raise WorkerFailed(str(found))
    return found


def _work(pipe: Connection) -> None:
    """Do what comes through a pipe until it is closed."""
    # Ctrl-C reaches the whole group: what is done is kept by whoever began it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker: Worker | None = None
    try:
        while True:
            told = pipe.recv()
            if isinstance(told, Begin):
                worker = Worker(told)
            elif worker is not None:
                pipe.send(worker.total() if told is None else worker.play(told))
    except (EOFError, ConnectionError):
        return
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
        raise
