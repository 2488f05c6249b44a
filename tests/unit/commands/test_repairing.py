"""What a repair sends of that which an account has missed, and what it writes off."""

import asyncio
from typing import Any

import msgspec
import pytest

from schemas.envelope import Entry, Origin, decode_entry
from schemas.events import FeatureFailed, SubjectRepaired
from services.commands import repairing
from services.commands.repairing import Held, resent
from services.publishing.lanes import ENTRY_BYTES
from services.publishing.publisher import Publisher, Unavailable
from tests import builders as a

ACME = "account:acme"


def lost(offset: int) -> Entry:
    origin = Origin(f"repair:{ACME}", 3, offset, 0)
    return Entry("repair", "ebbwatch", 0, (), SubjectRepaired(subject=ACME), origin)


def test_what_has_expired_is_written_off_and_the_rest_is_sent_in_order() -> None:
    found = {(n, 0): Held(a.usage(id=f"e{n}", account="other"), a.at(1)) for n in (8, 9)}
    again = resent([(9, 0), (8, 0), (7, 0)], found, ACME, 3)
    assert (again.sent, again.gone, again.rejects) == (2, 1, [])
    mine = [a.usage(id=f"e{n}", origin=Origin(f"repair:{ACME}", 3, n, 0)) for n in (8, 9)]
    assert [decode_entry(raw) for raw in again.entries] == [lost(7), *mine]


def test_what_is_too_long_with_its_new_origin_is_refused_and_written_off() -> None:
    short = a.entry(FeatureFailed(feature="x"), id="i")
    room = ENTRY_BYTES - len(msgspec.msgpack.encode(short)) - 10
    long = msgspec.structs.replace(short, id="i" * room)
    again = resent([(8, 0)], {(8, 0): Held(long, a.at(1))}, ACME, 3)
    assert (again.sent, again.gone) == (0, 0)
    assert [decode_entry(raw) for raw in again.entries] == [lost(8)]
    (reject,) = again.rejects
    told = (reject.stage, reject.reason, reject.field, reject.partition, reject.offset)
    assert told == ("detector", "too_large", ACME, 3, 8)


async def test_a_repair_does_not_wait_for_ever_for_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        async def send(self, *_: object, **__: object) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(repairing, "SILENT_SECONDS", 0.05)
    producer: Any = Away()
    publisher = Publisher(producer, "events", 1)
    await publisher.start()
    with pytest.raises(Unavailable):
        await repairing._publish(publisher, 0, [b"one"])
    await publisher.stop()
