"""Whether every fault has struck, and whether nothing else has ended a process.

A scenario whose fault came too late, or met nobody, shows nothing, however exact the rest is. So it
is a difference, and so is a process that ended in a way that its scenario does not name.
"""

from collections.abc import Iterator
from signal import SIGKILL
from typing import TYPE_CHECKING

from tests.faults.keeper import Keeper

if TYPE_CHECKING:
    from tests.faults.world import World


def missed(world: "World") -> Iterator[str]:
    """Yield every failpoint that was armed and not struck, and every kill that met no process."""
    for name, keeper in world.keepers.items():
        for one in world.arming.left(name):
            yield f"{name} was armed with {one}, which never struck: nothing was shown by it"
        died = sum(one.code == -SIGKILL and one.killed for one in keeper.exits)
        if died < keeper.kills:
            yield f"{name} was to be killed {keeper.kills} times, and {died} processes died of it"


def unexpected(world: "World") -> Iterator[str]:
    """Yield every end of a process that was neither asked for nor is named by the scenario."""
    for one in world.exits:
        service, _, _ = one.name.partition("-")
        told = f"{one.name} ended with {one.code} after {one.lived:.1f} s"
        if one.code == 0:
            if not one.wanted:
                yield f"{told}, and nobody had asked it to"
        elif one.code != -SIGKILL and f"{service} {one.code}" not in world.ends:
            yield f"{told}; the scenario does not name it in `ends`"
    for name, keeper in world.keepers.items():
        yield from _killed_by_others(world, name, keeper)


def _killed_by_others(world: "World", name: str, keeper: Keeper) -> Iterator[str]:
    """Yield deaths by kill -9 that neither the suite nor a failpoint has brought about."""
    strange = sum(one.code == -SIGKILL and not one.killed for one in keeper.exits)
    own = world.arming.deaths(name)
    if strange > own:
        yield f"{strange - own} processes of {name} were killed by somebody else (out of memory?)"
