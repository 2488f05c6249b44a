"""Each record of a snapshot, garbled in each of some ways, is refused by its name."""

from collections.abc import Callable, Mapping

import pytest

from services.alerts.cases.partition import Partition as Cases
from services.detector.partition import Partition
from tests.fuzz.targets.envelopes import frozen
from tests.fuzz.targets.snapshots import cases, state

GARBLED: Mapping[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off": lambda raw: raw[: len(raw) // 2],
    "no MessagePack, no JSON": lambda _: b"\xc1",
    "too large a number": lambda _: b"\xcf" + b"\xff" * 8,
    "of another kind": lambda _: b"[]",
}


@pytest.mark.parametrize("how", GARBLED)
def test_a_garbled_record_of_the_detector_is_refused_by_its_name(how: str) -> None:
    for key, raw in state().items():
        garbled = GARBLED[how](raw)
        if key.startswith("~ledger/ids/") and len(garbled) % 8 == 0:
            # Eight bytes for each id: any such number of them may be meant.
            continue
        with pytest.raises(ValueError, match=r"record '|of version|has no hot record") as told:
            restore({**state(), key: garbled})
        assert repr(key.partition("\x1f")[0])[1:-1] in str(told.value)


@pytest.mark.parametrize("how", GARBLED)
def test_a_garbled_record_of_cases_is_refused_by_its_name(how: str) -> None:
    for key, raw in cases().items():
        with pytest.raises(ValueError, match="record '") as told:
            Cases.restore(0, 1, {**cases(), key: GARBLED[how](raw)})
        assert repr(key)[1:-1] in str(told.value)


@pytest.mark.parametrize("key", [one for one in state() if one.startswith("~ledger/rules/")])
def test_a_rule_set_that_is_asked_for_is_missed_at_once(key: str) -> None:
    with pytest.raises(ValueError, match=f"record '{key}' is missing"):
        restore({name: raw for name, raw in state().items() if name != key})


@pytest.mark.parametrize("key", ["~ledger/other", "~ledgers", "account:a0\x1fwarm\x1f1"])
def test_a_record_of_no_known_kind_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="does not know"):
        restore({**state(), key: b"\x80"})


def restore(snapshot: Mapping[str, bytes]) -> Partition:
    return Partition.restore(0, frozen()["partitions"], snapshot, frozen()["horizon"])
