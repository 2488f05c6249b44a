"""The generated JSON Schemas: up to date, well formed, and of one opinion with the decoders."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import generate
from schemas.cloudevents import SUBJECT_FIELDS, Incoming
from schemas.documents import documents
from schemas.events import (
    COMPANY,
    EVERYBODY,
    EXTERNAL,
    PERSONAL,
    PersonJoined,
    type_name,
)
from tests.unit.schemas.examples import (
    RECORDS,
    TYPES,
    VALID,
    VALIDATORS,
    Why,
    conforms,
    judge,
    write,
)
from tests.unit.schemas.strategies import data_of, values

DOCUMENTS = documents()


def test_the_files_are_what_the_code_generates() -> None:
    assert generate.drift() == {}, "run `make schemas` and review the difference"


def test_drift_names_a_missing_a_changed_and_a_superfluous_file(tmp_path: Path) -> None:
    wanted = generate.drift(tmp_path)
    for name, text in wanted.items():
        (tmp_path / name).write_text(text or "", "utf-8")
    (tmp_path / "reject.json").unlink()
    (tmp_path / "mode_record.json").write_text("{}", "utf-8")
    (tmp_path / "usage.counted.json").write_text("{}", "utf-8")
    assert generate.drift(tmp_path) == {
        "mode_record.json": wanted["mode_record.json"],
        "reject.json": wanted["reject.json"],
        "usage.counted.json": None,
    }


def test_every_type_has_a_schema_and_no_other_name_has_one() -> None:
    assert sorted(DOCUMENTS) == sorted(TYPES)
    assert len(TYPES) == len(set(TYPES)), "an event and a record share a name"


@pytest.mark.parametrize("name", TYPES)
def test_a_schema_is_well_formed_and_says_what_it_is(name: str) -> None:
    document = DOCUMENTS[name]
    VALIDATORS[name].check_schema(document)
    head = {key: document[key] for key in ("$schema", "$id", "title", "type")}
    assert head == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:ebbwatch:schema:{name}",
        "title": name,
        "type": "object",
    }


@pytest.mark.parametrize("name", TYPES)
def test_every_object_has_a_description_and_lets_unknown_fields_pass(name: str) -> None:
    found = parts(DOCUMENTS[name])
    objects = [part for part in found if "properties" in part and "type" in part]
    assert all(part["additionalProperties"] is True for part in objects)
    assert all(part["description"].endswith((".", ").")) for part in objects)
    assert not any("Attributes:" in str(part.get("description")) for part in parts(DOCUMENTS[name]))


def parts(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every object inside a document."""
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node:
        if isinstance(inner, dict | list):
            yield from parts(inner)


def test_a_subject_is_required_except_where_the_event_concerns_more_or_names_the_account() -> None:
    optional = {name for name in EXTERNAL if "subject" not in DOCUMENTS[name]["required"]}
    free = (*EVERYBODY, *COMPANY, *PERSONAL, PersonJoined)
    assert optional == {name for name, struct in EXTERNAL.items() if struct in free}


def test_a_description_comes_from_the_docstring() -> None:
    tick = DOCUMENTS["clock.ticked"]
    assert tick["description"] == "The clock of a partition: the newest tick holds."
    assert tick["properties"]["at"]["description"] == (
        "The time of the tick. Microseconds since 1970-01-01 UTC."
    )
    assert DOCUMENTS["alert.cleared"]["properties"]["rule"]["description"] == "The rule's id."


def test_a_quantity_is_a_number_of_at_most_three_decimals() -> None:
    assert DOCUMENTS["usage.recorded"]["properties"]["data"]["properties"]["quantity"] == {
        "description": "Units of the metric, at most three decimals.",
        "type": "number",
        "minimum": 0,
        "maximum": 1_000_000_000_000,
        "multipleOf": 0.001,
        "default": 1,
    }


@pytest.mark.parametrize("name", EXTERNAL)
@settings(max_examples=25)
@given(draw=st.data())
def test_what_a_producer_may_write_is_accepted_by_decoder_and_schema(
    name: str, draw: st.DataObject
) -> None:
    event = draw.draw(values(EXTERNAL[name]))
    raw = write({**ENVELOPE, "type": name, "data": data_of(event)})
    assert judge(name, raw) == Incoming("e", "s", None, "a", event)
    assert conforms(name, raw)


ENVELOPE = {"specversion": "1.0", "id": "e", "source": "s", "subject": "a"}

WRONG: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2, 0.0005, 1.5, 10**16, 10**30),
    *("", "x", "EUR", "EUR\n", "x" * 501, "2026-05-14", "2026-05-14T09:31:07", "2026-13-01"),
    *([], [1], [""], {}, {"": 1}),
)


BEYOND_JSON_SCHEMA = {
    *(("closure.declared", "to"), ("reject", "raw")),
    *((type_name(struct), field) for struct, fields in SUBJECT_FIELDS.items() for field in fields),
}
"""What compares two fields, looks into base64 or becomes a subject, only the decoder can refuse."""


def beyond_json_schema(name: str, found: Why) -> bool:
    """Tell whether only the decoder can refuse this: Unicode's printable text has no pattern."""
    field = found.field.removeprefix("data.")
    return (name, field) in BEYOND_JSON_SCHEMA or (name in EXTERNAL and field == "subject")


@pytest.mark.parametrize("name", TYPES)
def test_decoder_and_schema_agree_on_every_example_with_one_field_wrong(name: str) -> None:
    value = next(json.loads(e.raw) for e in VALID if e.type == name and e.name == "valid")
    disagreed = []
    for place, spoiled in variations(value):
        found = judge(name, write(spoiled))
        accepted = not isinstance(found, Why)
        excused = isinstance(found, Why) and beyond_json_schema(name, found)
        if accepted is not conforms(name, write(spoiled)) and not excused:
            disagreed.append((place, f"accepted by the {'decoder' if accepted else 'schema'}"))
    assert disagreed == []


def variations(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield copies of a value with one field missing, or with something else in its place."""
    for path in paths(value):
        for wrong in WRONG:
            spoiled = copy.deepcopy(value)
            at = spoiled
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = wrong
            yield f"{path} = {wrong!r}", spoiled
        if isinstance(path[-1], str):
            del at[path[-1]]
            yield f"{path} missing", spoiled


def paths(value: Any) -> Iterator[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    for step, inner in steps:
        yield (step,)
        if isinstance(inner, dict | list):
            yield from ((step, *rest) for rest in paths(inner))


def test_unknown_fields_are_ignored_everywhere() -> None:
    for example in VALID:
        value = json.loads(example.raw)
        for part in [
            value,
            *([value["data"]] if example.type in EXTERNAL and "data" in value else []),
        ]:
            part["x_unknown"] = {"nested": [1, 2]}
        assert judge(example.type, write(value)) == judge(example.type, example.raw)
        assert conforms(example.type, write(value))


def test_the_records_are_those_that_the_topics_declare_and_what_a_rule_set_contains() -> None:
    assert sorted(RECORDS) == [
        *("account_days", "account_summary", "alert.cleared", "alert.eased", "alert.raised"),
        *("alert.worsened", "api_key", "case.acknowledged", "case.assigned", "case.commented"),
        *("case.reopened", "case.resolved", "case.snoozed", "channel_health", "channel_record"),
        *("feedback_record", "import_record", "mode_record", "notice.delivered", "notice.failed"),
        *("notice.intended", "person_record", "reject", "routing_record", "rule_set_content"),
        "rule_set_record",
    ]
    assert VALIDATORS.keys() == DOCUMENTS.keys()


def test_a_record_that_shares_its_type_with_an_event_is_described_under_its_own_name() -> None:
    assert DOCUMENTS["feedback.given"]["description"] == "A person judged an alert."
    assert DOCUMENTS["feedback_record"]["properties"]["type"] == {"const": "feedback.given"}


def test_the_command_refuses_an_argument_that_it_does_not_know(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert generate.main(["--chek"]) == 2
    assert capsys.readouterr().err == "usage: python -m schemas.generate [--check]\n"


def test_the_command_says_nothing_and_succeeds_when_nothing_differs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert generate.main(["--check"]) == 0
    assert capsys.readouterr() == ("", "")
