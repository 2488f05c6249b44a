"""Every file under schemas/examples is a test, and every type and field has one."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from schemas import envelope
from schemas.cloudevents import Incoming
from schemas.documents import documents
from schemas.envelope import Entry
from schemas.events import SYSTEM
from tests.unit.schemas.examples import (
    EXAMPLES,
    INVALID,
    RECORDS,
    TYPES,
    VALID,
    Example,
    Why,
    conforms,
    judge,
)


def entry_of(found: Any) -> Entry:
    if not isinstance(found, Incoming):
        return Entry("s-1", "clock", 1, (), found)
    subjects = () if found.account is None else (envelope.account(found.account),)
    return Entry(found.id, found.source, found.time or 0, subjects, found.event)


@pytest.mark.parametrize("example", [e for e in VALID if e.type not in RECORDS], ids=str)
def test_a_valid_event_is_the_same_after_its_way_through_an_envelope(example: Example) -> None:
    entry = entry_of(judge(example.type, example.raw))
    assert envelope.decode(envelope.encode([entry])) == ([(0, entry)], [])


@pytest.mark.parametrize("example", [e for e in VALID if e.type in RECORDS], ids=str)
def test_a_valid_record_is_the_same_after_it_was_written_again(example: Example) -> None:
    found = judge(example.type, example.raw)
    assert type(found) is RECORDS[example.type]
    assert judge(example.type, msgspec.json.encode(found)) == found


@pytest.mark.parametrize("example", VALID, ids=str)
def test_a_valid_example_conforms_to_its_json_schema(example: Example) -> None:
    assert conforms(example.type, example.raw)


@pytest.mark.parametrize("example", INVALID, ids=str)
def test_an_invalid_example_is_refused_with_its_field_and_reason(example: Example) -> None:
    assert example.why is not None
    assert judge(example.type, example.raw) == Why(example.why.field, example.why.reason)


@pytest.mark.parametrize("example", INVALID, ids=str)
def test_an_invalid_example_breaks_its_json_schema_where_json_schema_can_say_it(
    example: Example,
) -> None:
    assert example.why is not None
    assert conforms(example.type, example.raw) is example.why.beyond_json_schema


def test_every_type_has_a_valid_and_an_invalid_example_and_no_other_name_has_one() -> None:
    assert {example.type for example in VALID} == set(TYPES)
    assert {example.type for example in INVALID} == set(TYPES)


def test_every_example_says_in_its_name_what_it_is_for() -> None:
    odd = [
        str(example)
        for example in EXAMPLES
        if not (example.name == "valid" or example.name.startswith(("valid-", "invalid-")))
    ]
    assert odd == []


@pytest.mark.parametrize("type_name", TYPES)
def test_every_field_is_shown_by_a_valid_example(type_name: str) -> None:
    document = documents()[type_name]
    shown: set[str] = set()
    for example in VALID:
        if example.type == type_name:
            shown |= set(fields(document, document, json.loads(example.raw)))
    # `usage.recorded` shows the attributes that every CloudEvent may have.
    attributes = {".data_base64", ".time", ".subject"} if type_name != "usage.recorded" else set()
    assert set(fields(document, document)) - attributes <= shown


EVERYTHING: Any = object()


def fields(
    part: dict[str, Any], root: dict[str, Any], value: Any = EVERYTHING, at: str = ""
) -> Iterator[str]:
    """Yield the paths of the fields that a value has, or of all that its schema declares."""
    if "$ref" in part:
        part = root["$defs"][part["$ref"].rpartition("/")[2]]
    for name, field in part.get("properties", {}).items():
        if value is EVERYTHING or name in value:
            yield f"{at}.{name}"
            inner = EVERYTHING if value is EVERYTHING else value[name]
            yield from fields(field, root, inner, f"{at}.{name}")
    for item in items(part, value):
        yield from fields(part.get("items") or part["additionalProperties"], root, item, f"{at}[]")


def items(part: dict[str, Any], value: Any) -> list[Any]:
    """Return what a list or a map of a schema holds."""
    if "items" not in part and not isinstance(part.get("additionalProperties"), dict):
        return []
    if value is EVERYTHING:
        return [EVERYTHING]
    return list(value.values()) if isinstance(value, dict) else list(value)


def test_the_data_of_a_system_event_is_refused_from_outside() -> None:
    for name in SYSTEM:
        raw = f'{{"specversion":"1.0","id":"e","source":"s","type":"{name}","subject":"a"}}'
        assert judge("usage.recorded", raw.encode()) == Why("type", "unknown_type")
