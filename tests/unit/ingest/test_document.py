"""The OpenAPI document of ingest is whole, and says of each event what its JSON Schema says."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from schemas.events import EXTERNAL
from services.ingest.document import document
from tests.unit.schemas.examples import EXAMPLES, Example

EVENTS = [one for one in EXAMPLES if one.type in EXTERNAL]


@pytest.fixture(scope="module")
def event() -> jsonschema.Draft202012Validator:
    found = document()
    whole = {"$ref": "#/components/schemas/Event", "components": found["components"]}
    return jsonschema.Draft202012Validator(
        whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    found = document()
    for schema in found["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for where in references(found):
        part: Any = found
        for step in where.split("/"):
            part = part[step]
        assert part


def references(found: Any) -> Iterator[str]:
    yield from sorted(set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(found))))


def test_it_tells_of_the_one_route_and_of_every_answer_that_it_has() -> None:
    found = document()
    assert {path: [*methods] for path, methods in found["paths"].items()} == {
        "/v1/events": ["post"]
    }
    told = found["paths"]["/v1/events"]["post"]["responses"]
    assert [*told] == ["200", "400", "401", "408", "413", "415", "431", "503"]
    named = found["components"]["schemas"]["Event"]["discriminator"]["mapping"]
    assert named.keys() == EXTERNAL.keys()


@pytest.mark.parametrize("example", EVENTS, ids=str)
def test_it_allows_what_is_accepted_and_forbids_what_its_schemas_can_forbid(
    event: jsonschema.Draft202012Validator, example: Example
) -> None:
    value = json.loads(example.raw)
    if example.why is None:
        assert event.is_valid(value)
    elif not example.why.beyond_json_schema:
        assert not event.is_valid(value)
