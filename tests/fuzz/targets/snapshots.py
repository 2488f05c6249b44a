"""What stands in `state.v1` and `cases.v1`: a record that is garbled is refused by its name.

An input's first byte says which record of a good snapshot the rest takes the place of; at 255 it
is a record more, its key and value parted by a NUL.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache

from schemas import envelope
from schemas.envelope import Entry
from schemas.events import (
    AccountErased,
    DealClosed,
    PartClosed,
    PersonJoined,
    TouchRecorded,
    UsageRecorded,
)
from services.alerts.cases.partition import Partition as Cases
from services.detector.partition import Partition
from tests.fuzz.target import Target
from tests.fuzz.targets.envelopes import frozen

MORE = 255
KINDS = ("account:", "\x1fcold", "\x1fpeople", "~ledger", "person:", "colleague:", "company")


@lru_cache
def state() -> Mapping[str, bytes]:
    """Return a snapshot of the detector in which every kind of record stands."""
    records = _decoded(frozen()["state"])
    partition = Partition.restore(0, frozen()["partitions"], records, frozen()["horizon"])
    partition.apply(partition.stamp + 1, _appended() + 1, envelope.encode(_beside()))
    for key, value in partition.cut().records:
        if value is None:
            records.pop(key, None)
        else:
            records[key] = value
    assert all(any(kind in key for key in records) for kind in KINDS)
    return dict(sorted(records.items()))


def _appended() -> int:
    return int(frozen()["log"][-1]["appended"])


def _beside() -> list[Entry]:
    usage = UsageRecorded(metric="api_calls", quantity=1, person="u2")
    touch = TouchRecorded(channel="call", colleague="ana")
    values = {"accounts": 3, "told": 1, "ratios": {"85": 1}}
    part = PartClosed(scope="company", day=date(2026, 1, 5), partition=1, values=values, revision=9)
    told: list[tuple[tuple[str, ...], object]] = [
        (("person:u1",), PersonJoined(person="u1", account="a0")),
        (("person:u2",), usage),
        (("company",), DealClosed(list=5, net=4)),
        (("colleague:ana",), touch),
        (("account:gone",), AccountErased()),
        ((), part),
    ]
    return [
        Entry(f"beside-{place}", "ebbwatch", _appended(), subjects, event)  # type: ignore[arg-type]
        for place, (subjects, event) in enumerate(told)
    ]


@lru_cache
def cases() -> Mapping[str, bytes]:
    """Return a snapshot of cases in which every kind of record stands."""
    return dict(sorted(_decoded(frozen()["cases"]["state"]).items()))


def _decoded(records: Mapping[str, str]) -> dict[str, bytes]:
    return {key: base64.b64decode(raw) for key, raw in records.items()}


def _seeds(records: Mapping[str, bytes]) -> Sequence[bytes]:
    assert len(records) < MORE
    replaced = [bytes([place]) + raw for place, raw in enumerate(records.values())]
    more = [bytes([MORE]) + key.encode() + b"\0" + raw for key, raw in records.items()]
    return [*replaced, *more]


def _garbled(records: Mapping[str, bytes], told: bytes) -> tuple[str, dict[str, bytes]]:
    """Return the key of the record that an input replaces or adds, and the snapshot with it."""
    place, raw = told[0] if told else 0, told[1:]
    if place < MORE:
        key = list(records)[place % len(records)]
    else:
        name, _, raw = raw.partition(b"\0")
        key = name.decode(errors="replace")
    return key, {**records, key: raw}


def _check_state(told: bytes) -> None:
    key, snapshot = _garbled(state(), told)
    try:
        partition = Partition.restore(0, frozen()["partitions"], snapshot, frozen()["horizon"])
    except ValueError as error:
        _named(key, error)
        return
    subjects = {one for one in snapshot if one.startswith("account:") and "\x1f" not in one}
    assert partition.accounts.keys() == subjects


def _check_cases(told: bytes) -> None:
    key, snapshot = _garbled(cases(), told)
    try:
        partition = Cases.restore(0, 1, snapshot)
    except ValueError as error:
        _named(key, error)
        return
    assert partition.cases.keys() == {one for one in snapshot if "\x1f" not in one}


def _named(key: str, error: ValueError) -> None:
    """Whoever runs it must be able to tell which record it is."""
    subject = key.partition("\x1f")[0] or "ledger"
    named = (subject, key, "''")
    assert any(repr(one)[1:-1] in str(error) for one in named), (key, error)


def _state_seeds() -> Sequence[bytes]:
    return _seeds(state())


def _cases_seeds() -> Sequence[bytes]:
    return _seeds(cases())


TARGETS = (
    Target("state", _check_state, _state_seeds, (b"\xc0", b"\xcf" + b"\xff" * 8, b"\xd3\x80")),
    Target("cases", _check_cases, _cases_seeds, (b'"v":2', b"null", b'"n":-1')),
)
