"""All decoders under test."""

from tests.fuzz.target import Target
from tests.fuzz.targets import bodies, envelopes, files, records, snapshots

TARGETS: tuple[Target, ...] = (
    *bodies.TARGETS,
    *envelopes.TARGETS,
    *snapshots.TARGETS,
    *records.TARGETS,
    *files.TARGETS,
)
"""Every target, in the order in which they run."""


def named(name: str) -> Target:
    """Return the target of a name."""
    found = next((one for one in TARGETS if one.name == name), None)
    if found is None:
        raise SystemExit(
            f"there is no target {name!r}; known are {', '.join(t.name for t in TARGETS)}"
        )
    return found
