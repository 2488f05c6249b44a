from datetime import UTC, datetime, timedelta
from random import Random

import msgspec

from schemas import cloudevents
from schemas.cloudevents import Incoming
from tests.faults.load import KINDS, WEIGHTS, Load, Sent

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
END = BEGIN + timedelta(days=1)


def made(seed: int, count: int = 3_000) -> tuple[list[Sent], list[str]]:
    load = Load(Random(seed))
    return load.events(count, BEGIN, END), load.due


def test_a_seed_makes_the_same_load_again_and_another_seed_another_one() -> None:
    assert made(1) == made(1)
    assert made(1) != made(2)


def test_every_kind_has_a_weight_and_occurs() -> None:
    assert KINDS.keys() == WEIGHTS.keys()
    for name in KINDS:
        load = Load(Random(3))
        load.events(10, BEGIN, END)
        assert load.events(5, BEGIN, END, {name: 1.0}) != []


def test_every_event_is_one_that_ingest_accepts() -> None:
    decoded = [cloudevents.decode(encode(one)) for one in made(4)[0]]
    assert [one for one in decoded if not isinstance(one, Incoming)] == []


def encode(sent: Sent) -> bytes:
    return msgspec.json.encode(sent.event)


def test_ids_differ_but_for_what_is_repeated_by_the_same_way() -> None:
    by_id: dict[str, set[tuple[str, str]]] = {}
    for one in made(5)[0]:
        by_id.setdefault(one.event["id"], set()).add((one.way, str(one.event)))
    assert {len(different) for different in by_id.values()} == {1}


def test_whoever_is_due_an_alert_has_failed_to_pay_twice_and_nothing_else_happens_to_them() -> None:
    sent, due = made(6)
    originals = {one.event["id"]: one.event for one in sent}
    for account in due:
        mine = [event for event in originals.values() if event.get("subject") == account]
        assert [event["type"] for event in mine] == ["payment.failed"] * 2
