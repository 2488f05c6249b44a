"""`python -m tests.bench` prints one JSON line per figure; progress goes to stderr.

Everything runs on a Kafka of its own in a temporary folder, or on the one that
`EBBWATCH_TEST_KAFKA` names, and has ended afterwards, also after Ctrl-C.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from services import local
from services.local_kafka import Kafka
from services.runtime import ExitCode
from tests.bench import desk, detector_alone, http_batches, input_to_state, recovery
from tests.bench.beside import measure_peer
from tests.bench.figure import BenchError, Figure, Setting, tell
from tests.platform import JARS, free_ports

EVENTS: Final = 500_000
PEER_EVENTS: Final = 20_000
INTERRUPTED: Final = 130

FIGURES: Final[Mapping[str, Callable[[Setting], Awaitable[Figure]]]] = {
    input_to_state.NAME: input_to_state.measure,
    detector_alone.NAME: detector_alone.measure,
    http_batches.NAME: http_batches.measure,
    desk.NAME: desk.measure,
    recovery.NAME: recovery.measure,
}


def main(argv: Sequence[str]) -> int:
    """Measure what the arguments name.

    Returns:
        0; 1 if a figure could not be measured or counted wrongly; 130 after Ctrl-C.
    """
    options = _options(argv)
    # New topics have no leader for a moment; what does not mend itself is raised.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # As Ctrl-C: asyncio then unwinds, and what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="ebbwatch-bench-") as folder,
            _broker(Path(folder)) as (kafka, pid),
        ):
            setting = Setting(kafka, pid, Path(folder), options.events)
            return asyncio.run(
                _measure(setting, options.only or list(FIGURES), options.peer_events)
            )
    except (local.LocalError, BenchError, pytest.fail.Exception) as error:
        tell(str(error))
        return ExitCode.FAILED
    except KeyboardInterrupt:
        tell("interrupted; everything is stopped")
        return INTERRUPTED


async def _measure(setting: Setting, names: Sequence[str], peer_events: int) -> int:
    peer = await measure_peer(setting, peer_events)
    failed = 0
    for name in names:
        try:
            figure = await FIGURES[name](setting)
        except (BenchError, pytest.fail.Exception) as error:
            tell(f"{name} failed: {error}")
            failed = ExitCode.FAILED
        else:
            print(json.dumps(figure.line(peer)), flush=True)
    return failed


@contextlib.contextmanager
def _broker(folder: Path) -> Iterator[tuple[str, int | None]]:
    """Run a broker as long as the block lasts; gives its address and pid."""
    external = os.environ.get("EBBWATCH_TEST_KAFKA")
    if external:
        yield external, None
        return
    ports = free_ports()
    try:
        # Redis is not asked for: the one figure that needs it starts its own.
        elsewhere = {"EBBWATCH_REDIS_URL": "redis://not-asked-for:1/0"}
        found = local.up(folder, ports=ports, jars=JARS, environ=elsewhere, tell=tell)
        broker = Kafka(folder.resolve() / "kafka", ports.kafka, ports.controller, JARS)
        yield found.kafka, broker.daemon.pid()
    finally:
        # A second Ctrl-C must not leave a broker behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        local.down(folder, tell=tell)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=FIGURES, help="measure this figure")
    parser.add_argument("--events", type=_count, default=EVENTS, help="events of a figure")
    parser.add_argument("--peer-events", type=_count, default=PEER_EVENTS)
    return parser.parse_args(argv)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
