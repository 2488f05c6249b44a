"""Commands of `ebbwatch` beside the services of a world, started as quickly as those are."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from tests.faults.nursery import Child
from tests.faults.scenario import NotExact
from tests.faults.world import World

PATIENCE = 90.0
"""Seconds that a command may take."""


async def started(world: World, arguments: Sequence[object]) -> tuple[Child, Path]:
    """Start a command.

    Args:
        world: Whose settings it gets.
        arguments: What follows `ebbwatch`.

    Returns:
        Its process, and the file that takes what it says.
    """
    said = world.folder / "command.log"
    said.unlink(missing_ok=True)
    words = [str(one) for one in arguments]
    return await world.nurseries.start(words, world.deployment.environ, world.folder, said), said


async def command(world: World, *arguments: object, code: int = 0, says: str = "") -> None:
    """Let a command run to its end.

    Args:
        world: Whose settings it gets.
        arguments: What follows `ebbwatch`.
        code: How it must end.
        says: What it must say among other things.

    Raises:
        NotExact: It ended or spoke otherwise.
    """
    child, said = await started(world, arguments)
    require_end(arguments, said, await asyncio.wait_for(child.wait(), PATIENCE), code, says)


def require_end(
    arguments: Sequence[object], said: Path, ended: int, code: int, says: str = ""
) -> None:
    """Require that a command has ended and spoken as it must."""
    words = said.read_text(errors="replace")
    if ended != code or says not in words:
        what = " ".join(str(one) for one in arguments)
        raise NotExact([f"`{what}` ended with {ended}, not {code} and {says!r}: {words[-800:]}"])
