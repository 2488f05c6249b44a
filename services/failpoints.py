"""Named places at which a test lets a process die or stand still; nothing happens unless asked.

A crash at a random moment seldom hits the few microseconds that matter, as between a transaction
and its acknowledgement. A failpoint hits them every time (the idea of fail-rs and gofail). Before
it strikes it says so in the log, so that a test can tell a fault that came from one that never did.
"""

import logging
import os
import signal
import time
from typing import Final, NamedTuple

FAILPOINTS: Final = (
    "snapshot.cut",
    "snapshot.in_transaction",
    "snapshot.committed",
    "snapshot.load",
    "detector.fold",
    "detector.forwarded",
    "bridge.published",
    "bridge.committed",
    "http.published",
    "outbox.intended",
    "outbox.sent",
    "outbox.noted",
    "alerts.returned",
)
"""Every name that the code passes; a test holds the two together."""

ACTIONS: Final = ("kill", "freeze", "stall", "raise")
"""Ends the process by SIGKILL, lets it stand still until SIGCONT or for seconds, raises."""

STRIKES: Final = "failpoint strikes"
"""What the log says of it, with `place`, `action` and `time`."""

_log = logging.getLogger(__name__)


class WrongFailpoint(ValueError):
    """A failpoint is not of the form name=kill|freeze|stall:SECONDS|raise, and perhaps @TIME."""


class Armed(NamedTuple):
    """What happens when a place is reached for the given time."""

    action: str
    seconds: float
    time: int


_armed: dict[str, Armed] = {}
_reached: dict[str, int] = {}


def arm(spec: str) -> None:
    """Arm failpoints; an empty text disarms all.

    Args:
        spec: Such as `snapshot.committed=kill@3,detector.fold=stall:9`: what happens when a place
            is reached for the third, or the first, time.

    Raises:
        WrongFailpoint: A name or an action is unknown.
    """
    _armed.clear()
    _reached.clear()
    _armed.update(parse(spec))


def parse(spec: str) -> dict[str, Armed]:
    """Read what `arm` takes.

    Args:
        spec: See `arm`.

    Raises:
        WrongFailpoint: A name or an action is unknown.
    """
    return dict(_parsed(part) for part in filter(None, spec.split(",")))


def reach(name: str) -> None:
    """Pass a place; dies, stands still or raises there if a test has asked for it.

    Args:
        name: One of `FAILPOINTS`.
    """
    if not _armed or name not in _armed:
        return
    _reached[name] = _reached.get(name, 0) + 1
    armed_for = _armed[name]
    if _reached[name] != armed_for.time:
        return
    told = {"place": name, "action": armed_for.action, "time": armed_for.time}
    _log.warning(STRIKES, extra=told)
    if armed_for.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif armed_for.action == "freeze":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif armed_for.action == "stall":
        time.sleep(armed_for.seconds)
    else:
        raise RuntimeError(f"failpoint {name}")


def _parsed(part: str) -> tuple[str, Armed]:
    name, _, told = part.strip().partition("=")
    what, _, at = told.partition("@")
    action, _, seconds = what.partition(":")
    try:
        armed_for = Armed(action, float(seconds or 0), int(at or 1))
    except ValueError:
        armed_for = Armed("", 0, 1)
    if name not in FAILPOINTS or armed_for.action not in ACTIONS:
        raise WrongFailpoint(f"{part!r}: {WrongFailpoint.__doc__}")
    return name, armed_for
