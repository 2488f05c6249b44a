"""What pages and routing know of an account: its newest summary, beside what the log says.

Not recounted is what takes statistics, such as the smallest drop that would show or a metric's
state where they decide it; nor are the months of the daily series.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from schemas.accounts import AccountSummary

from .comparing import cut
from .homes import ACCOUNT, home
from .reading import Keyed

Glances = Mapping[str, Mapping[str, Any]]

ROOM, WORDS = 400, 24
"""Characters that states may take, with their metrics, and more than what is said of any takes
beside its name: of more metrics than fit not all are shown. Source: summary.py."""

_MONTH = re.compile(r"/days/\d{4}-\d\d$")


def glance_differences(
    expected: Glances, stamps: Mapping[int, int], log: Mapping[int, Sequence[Keyed]]
) -> list[str]:
    """Return where the newest summaries are other than the log says; at most 20.

    Args:
        expected: What each account's must say; `Recounted.glances`.
        stamps: By partition, the last offset of `events.v1`.
        log: Every partition of `accounts.v1`, read committed.
    """
    found: list[str] = []
    shown: dict[str, AccountSummary] = {}
    for number, records in log.items():
        for id, raw in sorted(_newest(records).items()):
            try:
                one = msgspec.json.decode(raw, type=AccountSummary)
            except msgspec.MsgspecError as error:
                found.append(f"the summary of {id} is none: {error}")
                continue
            shown[id] = one
            found += _placed(id, one, number, stamps)
    found += [f"account {id} has no summary" for id in sorted(expected.keys() - shown.keys())]
    strays = sorted(shown.keys() - expected.keys())
    found += [f"there is a summary of {id}, which is not in the log" for id in strays]
    for id in sorted(expected.keys() & shown.keys()):
        found += _apart(id, expected[id], shown[id])
    return cut(found)


def _newest(records: Sequence[Keyed]) -> dict[str, bytes]:
    newest: dict[str, bytes] = {}
    for one in records:
        key = (one.key or b"").decode()
        newest.pop(key, None)
        if one.value is not None and not _MONTH.search(key):
            newest[key] = one.value
    return newest


def _placed(id: str, one: AccountSummary, number: int, stamps: Mapping[int, int]) -> Iterator[str]:
    if one.account != id or home(ACCOUNT + id, len(stamps)) != number:
        yield f"partition {number} has a summary of {one.account} under {id}"
    if one.stamp > stamps[number]:
        yield f"the summary of {id} is of {one.stamp}, its log ends with {stamps[number]}"


def _apart(id: str, expected: Mapping[str, Any], shown: AccountSummary) -> Iterator[str]:
    for name, wanted in expected.items():
        said = getattr(shown, name)
        if name == "states":
            wanted, said = _known(wanted, said)
        if said != wanted:
            yield f"the summary of {id} says {name} {said!r}, the log {wanted!r}"


def _known(
    wanted: Mapping[str, str], said: Mapping[str, str]
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return both as far as they can be compared."""
    whole = sum(len(metric) + WORDS for metric in wanted) <= ROOM
    told = {metric: state for metric, state in wanted.items() if whole or metric in said}
    # Where statistics decide, the oracle does not know.
    return told, {metric: state if told.get(metric) else "" for metric, state in said.items()}
