"""The records of the JSON topics: whatever is written is read back, and nothing else passes."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import alerts
from schemas.alerts import AlertRaised
from tests.unit.schemas.examples import RECORDS, VALID, Example, conforms, judge
from tests.unit.schemas.strategies import values


@pytest.mark.parametrize("name", RECORDS)
@settings(max_examples=25)
@given(draw=st.data())
def test_a_record_of_every_type_is_read_back_as_it_was_written(
    name: str, draw: st.DataObject
) -> None:
    written = draw.draw(values(RECORDS[name]))
    raw = msgspec.json.encode(written)
    assert judge(name, raw) == written
    assert conforms(name, raw)


@pytest.mark.parametrize("example", [e for e in VALID if e.type.startswith("alert.")], ids=str)
def test_an_alert_is_the_same_after_the_alert_codec(example: Example) -> None:
    found = alerts.decode(example.raw)
    assert alerts.decode(alerts.encode(found)) == found


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"type": "alert.muted"}', b"\xff"])
def test_what_is_no_alert_is_refused(raw: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        alerts.decode(raw)


def test_the_severities_are_in_ascending_order_and_all_that_a_record_may_have() -> None:
    (severity,) = (f for f in msgspec.structs.fields(AlertRaised) if f.name == "severity")
    assert severity.type.__args__ == alerts.SEVERITIES
