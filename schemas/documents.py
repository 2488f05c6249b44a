"""Every shape on the wire as a JSON Schema 2020-12 document, made from its Struct."""

import inspect
import re
from collections.abc import Iterator
from typing import Any, Final, get_args

import msgspec

from schemas.cloudevents import CloudEvent
from schemas.config import RuleSetContent
from schemas.events import (
    COMPANY,
    EVENT_TYPES,
    EVERYBODY,
    EXTERNAL,
    PERSONAL,
    SYSTEM,
    PersonJoined,
)
from schemas.topics import TOPICS

Document = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
WITH_OFFSET: Final = "(Z|[+-][0-9]{2}:[0-9]{2})$"
"""End of a time that is not naive: most validators do not assert `format`."""

WITHOUT_SUBJECT: Final[dict[type, str]] = {
    **dict.fromkeys(EVERYBODY, "without one the event concerns every account"),
    **dict.fromkeys(COMPANY, "without one the event concerns the company as a whole"),
    **dict.fromkeys(PERSONAL, "without one the account of `data.person` holds"),
    PersonJoined: "without one `data.account` holds",
}
"""What an event without `subject` concerns; every other type needs one."""

ATTRIBUTED: Final = [
    {"required": ["subject"], "properties": {"subject": {"type": "string"}}},
    {
        "required": ["data"],
        "properties": {
            "data": {"required": ["person"], "properties": {"person": {"type": "string"}}}
        },
    },
    {"required": ["data_base64"]},
]
"""How an event says whom it concerns, if it may name a person instead of the account."""


def records() -> dict[str, type]:
    """Return the types of the records that are JSON, by name: all that a topic declares.

    >>> sorted(records())[:3]
    ['account_days', 'account_summary', 'alert.cleared']
    """
    declared = [topic.schema for topic in TOPICS if topic.schema is not None]
    structs = [struct for schema in declared for struct in get_args(schema) or (schema,)]
    return {_record_name(struct): struct for struct in (*structs, RuleSetContent)}


def documents() -> dict[str, Document]:
    """Return every JSON Schema, by the name that its type has on the wire.

    An external event's is the whole CloudEvent, a system event's is its data, a record's is the
    value of the Kafka record.
    """
    return (
        {name: _event(name, struct) for name, struct in EXTERNAL.items()}
        | {name: _document(name, _object(struct)) for name, struct in SYSTEM.items()}
        | {name: _document(name, _object(struct)) for name, struct in records().items()}
    )


def _record_name(struct: Any) -> str:
    """Name a record by its tag unless an event has that, else by its class in snake case."""
    tag = struct.__struct_config__.tag
    if tag and tag not in EVENT_TYPES:
        return str(tag)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(struct.__name__)).lower()


def _document(name: str, body: Document) -> Document:
    head = {"$schema": DIALECT, "$id": f"urn:ebbwatch:schema:{name}", "title": name}
    return head | {key: value for key, value in body.items() if key != "title"}


def _event(name: str, struct: type) -> Document:
    """Describe a CloudEvent whose `data` is typed."""
    body, data = _object(CloudEvent), _object(struct)
    definitions = data.pop("$defs", {})
    body["description"] = data["description"]
    body["properties"] |= {"type": {"const": name}, "subject": _subject(body, struct), "data": data}
    if struct not in WITHOUT_SUBJECT:
        body["required"].append("subject")
    if data.get("required"):
        body["anyOf"] = [{"required": ["data"]}, {"required": ["data_base64"]}]
    if struct in PERSONAL:
        body["allOf"] = [{"anyOf": ATTRIBUTED}]
    return _document(name, body | ({"$defs": definitions} if definitions else {}))


def _subject(body: Document, struct: type) -> Document:
    subject: Document = body["properties"]["subject"]
    if struct in WITHOUT_SUBJECT:
        return subject | {"description": f"The account's id; {WITHOUT_SUBJECT[struct]}."}
    (text,) = (choice for choice in subject["anyOf"] if choice["type"] == "string")
    return {**text, "description": "The account's id."}


def _object(struct: type) -> Document:
    """Describe a Struct; the types that it refers to are under `$defs`."""
    _, components = msgspec.json.schema_components(
        [struct], schema_hook=_anything, ref_template="#/$defs/{name}"
    )
    attributes = {key: text for base in _bases(struct) for key, text in _split(base)[1].items()}
    described = {key: _described(_plain(part), attributes) for key, part in components.items()}
    body: Document = described.pop(struct.__name__)
    # A system event's tag stands in the envelope only; producers' events never carry one.
    body["properties"].pop("~type", None)
    body["required"] = [key for key in body.get("required", ()) if key != "~type"]
    return body | ({"$defs": described} if described else {})


def _anything(python_type: type) -> Document:
    if python_type is not object:
        raise NotImplementedError(f"{python_type} has no JSON form")
    return {"description": "Any JSON."}


def _bases(struct: type) -> Iterator[str]:
    """Yield the docstrings that describe a Struct's fields, the most special one last."""
    return (base.__doc__ or "" for base in reversed(struct.__mro__[:-1]))


def _split(docstring: str) -> tuple[str, dict[str, str]]:
    """Split a docstring into what it says as a whole and of each attribute."""
    whole, _, rest = inspect.cleandoc(docstring).partition("\nAttributes:\n")
    found = re.findall(r"^    (\w+): (.+(?:\n {5,}.+)*)", rest, re.MULTILINE)
    return " ".join(whole.split()), {key: " ".join(text.split()) for key, text in found}


def _described(body: Document, inherited: dict[str, str]) -> Document:
    """Take descriptions out of the docstring, and let unknown fields pass."""
    description, own = _split(body.pop("description", ""))
    texts = inherited | own
    properties = {
        key: part | ({"description": _sentences(texts[key], part)} if key in texts else {})
        for key, part in body["properties"].items()
    }
    head = {"title": body["title"], "description": description, "type": "object"}
    return head | body | {"properties": properties, "additionalProperties": True}


def _sentences(text: str, part: Document) -> str:
    return f"{text} {part['description']}" if "description" in part else text


def _plain(node: Any) -> Any:
    """Say the same with fewer words, and what `format` leaves to the validator."""
    if isinstance(node, list):
        return [_plain(part) for part in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _plain(part) for key, part in node.items()}
    if plain.get("format") == "date-time":
        plain["pattern"] = WITH_OFFSET
    if isinstance(plain.get("enum"), list) and len(plain["enum"]) == 1:
        plain["const"] = plain.pop("enum")[0]
    return _without_integer(plain)


def _without_integer(node: Document) -> Document:
    """Drop an integer beside a number, which covers it."""
    choices = node.get("anyOf")
    if not isinstance(choices, list) or not any(part.get("type") == "number" for part in choices):
        return node
    left = [part for part in choices if part.get("type") != "integer"]
    if len(left) > 1:
        return node | {"anyOf": left}
    rest = {key: part for key, part in node.items() if key != "anyOf"}
    return {**left[0], **rest}
