"""What open closings share is kept once, and the ledger's record stays small."""

from uuid import UUID
from zoneinfo import available_timezones

import msgspec
import pytest

from schemas.envelope import Entry
from schemas.events import PartClosed, ProductChanged
from services.detector.ledger import CLOSURE_LIMIT, ROOT, Closing, Ledger
from services.detector.partition import Partition
from services.detector.peers import NAME_LIMIT, SEGMENT_LIMIT
from services.detector.products import PRODUCT_LIMIT, Changed
from services.detector.views import View, Views
from tests import builders as a
from tests import playing

RECORD = 256 * 1024
"""No record is larger (design.md §5.7)."""

EXPORT = Changed("retired", 9, (0, ""))
DROP = a.rule("drop", params={"metric": "@meaningful"})


def test_what_closings_have_in_common_is_kept_once_and_as_long_as_one_asks() -> None:
    views = Views()
    one, other = View({"export": EXPORT}), View({}, {"company": (98, 7)})
    assert [views.put(view) for view in (one, other, one)] == [0, 1, 0]
    stored = dict(views.changes())
    views.keep({1})
    assert dict(views.changes()) == {0: None}
    again = Views()
    for number, raw in stored.items():
        assert raw is not None
        again.restore(number, raw)
    assert (again.get(0), again.get(1), dict(again.changes())) == (one, other, {})


def test_a_closing_is_judged_by_what_was_known_when_it_was_opened() -> None:
    ledger = Ledger(1)
    ledger.record.products["export"] = Changed("retired", 9, (9, "id"))
    closing = Closing(1, "UTC", 9, 0, 9, False, view=ledger.view(9, 7))
    early = Closing(1, "UTC", 8, 0, 9, False, view=ledger.view(8, 6))
    ledger.record.closings = [closing, early]
    ledger.record.products["export"] = Changed("released", 9, (10, "id"))
    restored = Ledger.restore({key: raw for key, raw in ledger.changes() if raw}, 1, 10)
    for known in (ledger, restored):
        assert known.seen(closing) == msgspec.structs.replace(closing, products={"export": EXPORT})
        assert known.seen(early) == early


def test_a_closing_of_before_there_were_views_keeps_what_it_has() -> None:
    former = Closing(
        1, "UTC", 9, 0, 9, False, products={"export": EXPORT}, peers={"company": (1, 3)}
    )
    assert Ledger(1).seen(former) == former


def test_days_that_end_in_many_zones_at_once_share_one_view() -> None:
    log = playing.Log().add(a.tick(1))
    zones = ("UTC", "Europe/Lisbon", "Africa/Abidjan", "Atlantic/Reykjavik")
    log.add(*(a.profile({"timezone": zone}, account=zone, day=1) for zone in zones))
    partition = playing.apply(Partition.begin(0, 1), log)
    assert len(partition.ledger.views) == 0
    playing.apply(partition, log.add(a.tick(4, 3)).messages[-1:])
    assert len(partition.ledger.record.closings) == 12
    assert len(partition.ledger.views) == 1
    assert len(playing.settle(partition).ledger.views) == 0


@pytest.mark.parametrize("sources", [1, 50])
@pytest.mark.parametrize("segment", ["x" * 40, "x" * (NAME_LIMIT - 2), "\U0001f600" * 400])
def test_no_record_of_a_ledger_is_larger_than_a_quarter_of_a_megabyte(
    segment: str, sources: int
) -> None:
    """As much as is kept of everybody, and five days without a tick in sixty time zones."""
    partition = Partition.begin(0, 2)
    zones = sorted(available_timezones())[:60]
    log = playing.Log().add(a.rules(DROP), a.tick(201))
    log.add(*(a.profile({"timezone": zone}, account=zone, day=201) for zone in zones))
    log.add(*(_changed(n) for n in range(PRODUCT_LIMIT)), appended=a.at(202))
    log.add(
        *(a.closure_for_all(2 * n - 400, 2 * n - 400) for n in range(CLOSURE_LIMIT)),
        appended=a.at(202),
    )
    days = [day for day in range(1, 202) if day % 7 < 5]
    log.add(a.tick(202, seen={f"/collector/region-{n}/app": days for n in range(sources)}))
    for day in range(198, 206):
        scopes = ("company", *(f"segment:{n:02}{segment}" for n in range(SEGMENT_LIMIT)))
        log.add(*(_part(scope, day) for scope in scopes), appended=a.at(206))
    playing.apply(partition, log.add(a.tick(207, 3)))
    ledger = partition.ledger
    assert len(ledger.record.products) == PRODUCT_LIMIT
    assert len(ledger.record.closings) > (50 if sources == 1 else 1)
    records = {key: raw for key, raw in ledger.changes() if raw is not None}
    views = [
        msgspec.msgpack.decode(raw, type=View)
        for key, raw in records.items()
        if key.startswith(f"{ROOT}/views/")
    ]
    assert {len(view.products) for view in views} == {PRODUCT_LIMIT}
    assert any(len(view.peers) == SEGMENT_LIMIT + 1 for view in views)
    assert max(len(key) + len(raw) for key, raw in records.items()) <= RECORD


def _changed(n: int) -> Entry:
    event = ProductChanged(feature=f"{n:03}{'f' * 97}", change="renamed", into=f"{n:03}{'g' * 97}")
    return msgspec.structs.replace(a.entry(event, day=150), id=str(UUID(int=n)), subjects=())


def _part(scope: str, day: int) -> Entry:
    values = {"accounts": 9, "told": 9, "fallen": 0, "ratios": {"90": 9}}
    event = PartClosed(scope=scope, day=a.on(day), partition=1, values=values, revision=1)
    return Entry("", "ebbwatch", 0, (), event)
