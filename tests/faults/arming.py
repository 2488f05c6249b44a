"""Failpoints that a world arms for the starts of its services, and which of them have struck."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from services import failpoints

VARIABLE = "EBBWATCH_FAILPOINTS"


class Strike(NamedTuple):
    """One failpoint of one process."""

    place: str
    action: str
    time: int

    def __str__(self) -> str:
        return f"{self.place}={self.action}@{self.time}"


class Arming:
    """What the services of one world were armed with, held against what their logs say.

    Args:
        folder: Takes their logs, `<name>.log`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: defaultdict[str, list[str]] = defaultdict(list)
        self._armed: defaultdict[str, Counter[Strike]] = defaultdict(Counter)
        self._struck: defaultdict[str, Counter[Strike]] = defaultdict(Counter)
        self._read: Counter[str] = Counter()

    def add(self, name: str, specs: Iterable[str]) -> None:
        """Arm one start of a service with each specification; see `failpoints.arm`."""
        self._waiting[name].extend(specs)

    def environ(self, name: str, environ: dict[str, str]) -> dict[str, str]:
        """Return the environment of a start, armed if it is to be."""
        if self._waiting[name]:
            environ = environ | {VARIABLE: self._waiting[name].pop(0)}
        self._armed[name].update(_strikes(environ.get(VARIABLE, "")))
        return environ

    def left(self, name: str) -> list[Strike]:
        """Return what a service was armed with, or is to be, and has not struck yet."""
        waiting = Counter(one for spec in self._waiting[name] for one in _strikes(spec))
        return sorted((self._armed[name] + waiting - self._told(name)).elements())

    def deaths(self, name: str) -> int:
        """Return how many processes of a service have killed themselves at a failpoint."""
        told = self._told(name)
        return sum(count for one, count in told.items() if one.action == "kill")

    def _told(self, name: str) -> Counter[Strike]:
        log = self._folder / f"{name}.log"
        if not log.exists():
            return self._struck[name]
        with log.open("rb") as lines:
            lines.seek(self._read[name])
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self._read[name] += len(line)
                if failpoints.STRIKES.encode() in line:
                    self._struck[name][msgspec.json.decode(line, type=_Line).strike] += 1
        return self._struck[name]


class _Line(msgspec.Struct):
    place: str
    action: str
    time: int

    @property
    def strike(self) -> Strike:
        return Strike(self.place, self.action, self.time)


def _strikes(spec: str) -> list[Strike]:
    return [Strike(name, one.action, one.time) for name, one in failpoints.parse(spec).items()]
