"""The OpenAPI document is whole, and tells of every route and no other."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import jsonschema
import pytest

from tests.unit.alerts.door import Door, application, calling, opened
from tests.unit.alerts.fakes import FakeDesk, FakeDirectory, FakeView


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as found:
        yield found


INVENTORY = {
    ("GET", "/cases"),
    ("GET", "/cases/{account}"),
    ("POST", "/cases/{account}/actions"),
    ("GET", "/actions/{id}"),
    ("GET", "/alerts"),
    ("GET", "/alerts/{id}"),
    ("GET", "/accounts"),
    ("GET", "/accounts/{account}"),
    ("GET", "/people"),
    ("GET", "/channels"),
    ("GET", "/status"),
    ("GET", "/stream"),
}
"""Every route that there is. Source: OWASP API9, improper inventory management."""


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


async def test_the_document_tells_every_route_and_no_other(door: Door) -> None:
    document = await door.document()

    assert {(method, path) for method, path, _ in _operations(document)} == INVENTORY
    assert document["servers"] == [{"url": "/api/v1"}]
    assert (await door.client.get("/docs")).status_code == 404
    assert (await door.client.get("/openapi.json")).status_code == 404


async def test_the_document_is_whole(door: Door) -> None:
    document = await door.document()
    told = list(_operations(document))

    assert document["openapi"].startswith("3.1")
    assert len({operation["operationId"] for *_, operation in told}) == len(told)
    for _, path, operation in told:
        named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))
        assert operation["summary"]
        assert operation["description"]
        assert {"200", "401", "403", "422", "431", "503"} <= operation["responses"].keys()
        assert all(one.get("description") for one in operation.get("parameters", []))
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for where in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        found: Any = document
        for step in where.split("/"):
            found = found[step]
        assert found


async def test_the_examples_of_the_document_are_what_is_meant(door: Door) -> None:
    document = await door.document()
    body = document["paths"]["/cases/{account}/actions"]["post"]["requestBody"]["content"]
    checked = 0

    for *_, operation in _operations(document):
        for answer in operation["responses"].values():
            assert answer.keys() <= {"description", "headers", "content", "links"}
            for content in answer.get("content", {}).values():
                if "example" in content:
                    schema = {**content["schema"], "components": document["components"]}
                    jsonschema.validate(content["example"], schema)
                    checked += 1
    examples = body["application/json"]["examples"]
    assert checked == len(INVENTORY) * 5 + 15
    assert len(examples) == 7
    for example in examples.values():
        assert (await door.act("acct_1", example["value"])).status_code in (200, 404)


async def test_the_document_tells_which_ids_no_path_can_carry(door: Door) -> None:
    for _, path, operation in _operations(await door.document()):
        for one in operation.get("parameters", []):
            if one["name"] == "account" and one["in"] == "path":
                assert "`.` and `..`" in one["description"], path


async def test_the_document_asks_for_the_token_where_one_is_needed() -> None:
    view = FakeView()
    app = application(view, FakeDesk(view), FakeDirectory(), secured=True)

    async with calling(app) as client:
        document = (await client.get("/api/v1/openapi.json")).json()

    assert document["security"] == [{"token": []}, {"browser": []}]
    assert document["components"]["securitySchemes"].keys() == {"token", "browser"}
