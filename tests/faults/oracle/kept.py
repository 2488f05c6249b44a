"""Every case as the desk has stored it, those that are resolved too, beside the alert log."""

from collections.abc import Iterator, Mapping
from typing import Any

from .comparing import cut
from .desk import Case, Desk


def kept_differences(desk: Desk, kept: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return where stored cases are other than the alert log says; at most 20.

    Args:
        desk: The alert log, recounted.
        kept: By account, every case of `cases.v1`, with the names of `plain`.
    """
    wanted = {account: one for account, one in desk.cases.items() if one.generation > 0}
    there = {account for account, one in kept.items() if one["generation"] > 0}
    found = [f"the case of {one} is not stored" for one in sorted(wanted.keys() - there)]
    found += [f"a case of {one} is stored, of nobody" for one in sorted(there - wanted.keys())]
    for account in sorted(wanted.keys() & there):
        found += _apart(account, plain(wanted[account]), kept[account])
    return cut(found)


def plain(case: Case) -> dict[str, Any]:
    """Return a case by the names under which it is compared."""
    return {
        "state": case.state,
        "version": case.version,
        "generation": case.generation,
        "severity": case.severity,
        "assignee": case.assignee,
        "outcome": case.outcome,
        "until": case.until,
        "alerts": case.open_alerts,
    }


def _apart(account: str, wanted: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[str]:
    for name in wanted:
        if said[name] != wanted[name]:
            yield f"stored case {account}: {name} is {said[name]!r}, the log says {wanted[name]!r}"
