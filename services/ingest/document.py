"""The OpenAPI document of ingest: what may be sent to `/v1/events`, and what it answers.

The bodies are the JSON Schemas of the events themselves, so that the document cannot say anything
else than the decoder. Only what the schemas cannot say is written here.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from schemas.documents import documents
from schemas.events import EXTERNAL
from services.runtime import version

PATH: Final = "/v1/openapi.json"

Part = dict[str, Any]

_TEXT: Final[Part] = {"type": "string"}
_SCHEMAS: Final = "#/components/schemas/"

_ANSWER: Final[Part] = {
    "type": "object",
    "description": "What became of the events of a body; all of it is durable.",
    "required": ["accepted", "rejected"],
    "additionalProperties": False,
    "properties": {
        "accepted": {"type": "integer", "minimum": 0, "description": "How many were accepted."},
        "rejected": {
            "type": "array",
            "description": "The others; all of them stand in rejects.v1, too.",
            "items": {"$ref": f"{_SCHEMAS}Rejected"},
        },
    },
}

_REJECTED: Final[Part] = {
    "type": "object",
    "required": ["index", "id", "field", "reason", "detail"],
    "additionalProperties": False,
    "properties": {
        "index": {"type": "integer", "minimum": 0, "description": "Its place in the body."},
        "id": _TEXT | {"description": "Its id, as far as it could be read."},
        "field": _TEXT | {"description": "Such as data.quantity; empty for the whole event."},
        "reason": _TEXT | {"description": "A code, such as invalid, unattributed or future."},
        "detail": _TEXT | {"description": "What is wrong, its bound, and the remedy."},
    },
}

_PROBLEM: Final[Part] = {
    "type": "object",
    "description": "Why nothing of a body was taken.",
    "required": ["error", "detail"],
    "additionalProperties": False,
    "properties": {
        "error": _TEXT | {"description": "A code."},
        "detail": _TEXT | {"description": "What is wrong, its bound, and the remedy."},
        "field": _TEXT | {"description": "The field or header at fault."},
    },
}

_PROBLEMS: Final[Mapping[int, str]] = {
    401: "The key is missing, unknown, wrong or revoked.",
    408: "The body did not arrive in time.",
    413: "The body is too long, holds too many events, or is nested too deeply; nothing is taken.",
    415: "The content type, or the content encoding, is not supported.",
    431: "The request line and the headers are too long.",
    503: "Kafka does not take it just now, or there is no history yet: send it again, unchanged.",
}

_ATTRIBUTES: Final[Mapping[str, str]] = {
    "specversion": "Binary mode: `1.0`.",
    "id": "Binary mode: unique per source.",
    "source": "Binary mode: who sent it.",
    "type": "Binary mode: the event's type; the body is its `data`.",
    "subject": "Binary mode: the account's id.",
    "time": "Binary mode: RFC 3339 with an offset.",
}

_DESCRIPTION: Final = (
    "CloudEvents 1.0 in JSON: one event, an array, one a line, or binary mode, where headers "
    "`ce-*` bear the attributes, percent-encoded, and the body is `data`. An event that is refused "
    "takes no other one along: the answer names each, and is 200 as long as one was accepted, or "
    "none was there. Who repeats a body, ids unchanged, has nothing counted twice. Bodies of many "
    "events have at most 10 MB and 10,000 events, of one 1 MB, uncompressed "
    "(EBBWATCH_INGEST_BATCH_BYTES, EBBWATCH_INGEST_BATCH_EVENTS, EBBWATCH_INGEST_BODY_BYTES)."
)


@lru_cache
def document() -> Mapping[str, Any]:
    """Return the document, OpenAPI 3.1."""
    told = documents()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ebbwatch ingest",
            "summary": "Takes events in; an answer of 200 says that they are durable.",
            "version": version(),
        },
        "paths": {"/v1/events": {"post": _post_events()}},
        "components": {
            "schemas": {
                **{_component(name): _embedded(name, told[name]) for name in EXTERNAL},
                "Event": _event(),
                "Answer": _ANSWER,
                "Rejected": _REJECTED,
                "Problem": _PROBLEM,
            },
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, made by `ebbwatch keys create --source S`.",
                }
            },
        },
        "security": [{"key": []}],
    }


def _post_events() -> Part:
    one, many = {"$ref": f"{_SCHEMAS}Event"}, {"$ref": f"{_SCHEMAS}Event"}
    array = {"type": "array", "items": many}
    lines = {"type": "string", "description": "An event in JSON on each line."}
    return {
        "operationId": "post_events",
        "summary": "Send events",
        "description": _DESCRIPTION,
        "parameters": [*_headers()],
        "requestBody": {
            "required": True,
            "content": {
                "application/cloudevents+json": {"schema": one},
                "application/cloudevents-batch+json": {"schema": array},
                "application/json": {"schema": {"anyOf": [one, array]}},
                "application/x-ndjson": {"schema": lines},
                "application/ndjson": {"schema": lines},
            },
        },
        "responses": {
            "200": _told("Events were accepted, unless there was none at all.", "Answer"),
            "400": _told(
                "None was accepted, or the body is broken gzip, or ended too early.",
                *("Answer", "Problem"),
            ),
            **{str(status): _told(text, "Problem") for status, text in _PROBLEMS.items()},
        },
    }


def _headers() -> Iterable[Part]:
    for name, text in _ATTRIBUTES.items():
        yield {"name": f"ce-{name}", "in": "header", "description": text, "schema": _TEXT}
    yield {
        "name": "Content-Encoding",
        "in": "header",
        "description": "Whether the body is compressed; limits hold for what comes out of it.",
        "schema": {"enum": ["gzip", "identity"]},
    }


def _told(text: str, *shapes: str) -> Part:
    refs = [{"$ref": f"{_SCHEMAS}{shape}"} for shape in shapes]
    schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
    answer: Part = {"description": text, "content": {"application/json": {"schema": schema}}}
    if text == _PROBLEMS[503]:
        answer["headers"] = {
            "Retry-After": {
                "description": "Seconds.",
                "required": True,
                "schema": {"type": "string"},
            }
        }
    if text == _PROBLEMS[401]:
        answer["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}}
    return answer


def _event() -> Part:
    """Return what any event is; its type says which of them."""
    mapping = {name: _SCHEMAS + _component(name) for name in EXTERNAL}
    return {
        "anyOf": [{"$ref": place} for place in mapping.values()],
        "discriminator": {"propertyName": "type", "mapping": mapping},
    }


def _embedded(name: str, schema: Part) -> Part:
    """Return an event's schema as a part of this document, its own definitions inside it."""
    schema = {key: part for key, part in schema.items() if key not in ("$schema", "$id")}
    moved: Part = _moved(schema, f"{_SCHEMAS}{_component(name)}/$defs/")
    return moved


def _moved(part: Any, place: str) -> Any:
    """Return a schema whose references lead to where its definitions are now."""
    if isinstance(part, list):
        return [_moved(one, place) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        key: place + one.removeprefix("#/$defs/") if key == "$ref" else _moved(one, place)
        for key, one in part.items()
    }


def _component(name: str) -> str:
    """Return an event's name among the components, such as `UsageRecorded`."""
    return EXTERNAL[name].__name__
