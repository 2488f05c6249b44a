"""One figure: what was counted, how long it took, and what the peer did in the same run."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services.settings import SERVICES
from tests.bench import machine
from tests.bench.load import Counts

CPU_STEP: Final = 0.01
"""What /proc tells CPU time in, seconds."""


class BenchError(Exception):
    """A figure could not be measured, or counted wrongly: then there is no figure."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What every figure is measured on.

    Attributes:
        kafka: Bootstrap servers.
        kafka_pid: The broker's process, or None where it was not started here.
        folder: Takes logs and data.
        events: How many events a figure counts.
    """

    kafka: str
    kafka_pid: int | None
    folder: Path
    events: int


@dataclass(frozen=True, slots=True)
class Peer:
    """What plain Faust with a Table did with its events.

    Attributes:
        events: How many.
        seconds: From its first event to its last.
        cpu_seconds: CPU of its process in that time.
    """

    events: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds

    @property
    def cpu_rate(self) -> float:
        """Events per CPU second."""
        return self.events / self.cpu_seconds


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured of us.

    Attributes:
        name: Which figure.
        events: Events counted, all of them right.
        seconds: How long it took.
        cpu: CPU seconds by process, from `machine.spent`; those of `SERVICES` are ours.
        details: What else a reader needs to know, such as settings.
    """

    name: str
    events: int
    seconds: float
    cpu: machine.Cpu
    details: Mapping[str, object] = field(default_factory=dict)

    def line(self, peer: Peer) -> dict[str, Any]:
        """Return the figure beside its peer, plain JSON."""
        rate = self.events / self.seconds
        ours = sum(used for name, used in self.cpu.items() if name in SERVICES) or CPU_STEP
        return {
            "figure": self.name,
            "events": self.events,
            "seconds": round(self.seconds, 2),
            "events_per_second": round(rate),
            "peer": "plain Faust with a Table",
            "peer_events": peer.events,
            "peer_seconds": round(peer.seconds, 2),
            "peer_events_per_second": round(peer.rate),
            "ratio": round(rate / peer.rate, 1),
            "cpu_seconds": round(ours, 2),
            "events_per_cpu_second": round(self.events / ours),
            "peer_events_per_cpu_second": round(peer.cpu_rate),
            "cpu_ratio": round(self.events / ours / peer.cpu_rate, 1),
            "cpu": self.cpu,
            **self.details,
            **machine.described(),
        }


def require_equal(figure: str, found: Counts, wanted: Counts) -> None:
    """Let a figure pass only if every day bucket holds what was sent.

    Raises:
        BenchError: Says how far off the count is.
    """
    if found == wanted:
        return
    wrong = sum(found[key] != wanted[key] for key in found.keys() | wanted.keys())
    raise BenchError(
        f"{figure}: {wrong} of {len(wanted)} day buckets are wrong; in all "
        f"{found.total() / 1000:g} were counted and {wanted.total() / 1000:g} were sent"
    )


def tell(text: str) -> None:
    """Show progress; stdout is for the figures alone."""
    print(text, file=sys.stderr, flush=True)
