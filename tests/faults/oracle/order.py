"""The order of what inputs carry: whatever stands behind a later record is not counted any more.

The detector tells repetitions of an input partition by their place alone (design.md §5.1). So a
record that reaches the log for the first time after a later one is lost, though it is there.
"""

from collections.abc import Collection, Iterator

from schemas.envelope import Origin

from .reading import Logs, places


def overtaken(logs: Logs, inputs: Collection[str]) -> Iterator[str]:
    """Yield the entries that come for the first time, and after a later one of their partition.

    Args:
        logs: `events.v1`, every partition.
        inputs: Names of the inputs.
    """
    for number, log in logs.items():
        newest: dict[tuple[str, int], Origin] = {}
        known: set[Origin] = set()
        for _, one in places(log):
            origin = one.origin if one is not None else None
            if origin is None or origin.input not in inputs:
                continue
            before = newest.setdefault((origin.input, origin.partition), origin)
            if origin > before:
                newest[origin.input, origin.partition] = origin
            elif origin not in known and origin != before:
                yield f"events {number}: record {origin} comes after {before}, so nobody counts it"
            known.add(origin)
