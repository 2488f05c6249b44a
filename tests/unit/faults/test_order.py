"""The oracle of order: what an input carries counts only as long as nothing later came before."""

from collections.abc import Sequence

import pytest

from schemas import envelope
from schemas.envelope import Entry, Origin, encode_entry
from tests import builders as a
from tests.faults.logs import Message
from tests.faults.oracle.order import overtaken


def entry(origin: Origin | None) -> Entry:
    return a.usage(1) if origin is None else a.usage(1, origin=origin)


def log(origins: Sequence[Origin | None]) -> dict[int, list[Message]]:
    """One message for each entry, in one partition."""
    return {
        0: [
            Message(offset, 0, envelope.join([encode_entry(entry(one))]))
            for offset, one in enumerate(origins)
        ]
    }


def usage(partition: int, offset: int, place: int = 0, name: str = "usage") -> Origin:
    return Origin(name, partition, offset, place)


@pytest.mark.parametrize(
    "origins, lost",
    [
        ([usage(0, 1), usage(0, 2), usage(0, 2, 1), usage(0, 5)], []),
        # each input partition has an order of its own
        ([usage(0, 7), usage(1, 1), usage(0, 8), usage(1, 2)], []),
        # after a crash all from some record on comes again
        ([usage(0, 1), usage(0, 2), usage(0, 3), usage(0, 2), usage(0, 3), usage(0, 4)], []),
        ([usage(0, 1), usage(0, 3), usage(0, 2)], [usage(0, 2)]),
        ([usage(0, 1, 1), usage(0, 1, 0)], [usage(0, 1, 0)]),
        # one that was lost is told once, however often it comes
        ([usage(0, 3), usage(0, 2), usage(0, 2)], [usage(0, 2)]),
        # HTTP has no order, and other names are not asked about
        ([usage(0, 3), None, usage(0, 2, name="forward/1"), usage(0, 4)], []),
    ],
)
def test_what_comes_for_the_first_time_after_a_later_one_is_lost(
    origins: list[Origin | None], lost: list[Origin]
) -> None:
    found = list(overtaken(log(origins), {"usage"}))
    assert [words.split(" comes after ")[0] for words in found] == [
        f"events 0: record {one}" for one in lost
    ]
