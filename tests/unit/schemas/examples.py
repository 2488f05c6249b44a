"""The files under schemas/examples, read, and judged as the services judge them."""

import json
from collections.abc import Callable
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from jsonschema import Draft202012Validator

import schemas
from schemas import cloudevents
from schemas.cases import LogRecord
from schemas.documents import documents, records
from schemas.events import EXTERNAL, SYSTEM

FOLDER = Path(schemas.__file__).parent / "examples"
RECORDS = records()
TYPES = (*EXTERNAL, *SYSTEM, *RECORDS)


class Why(NamedTuple):
    """Why a value is refused; whether JSON Schema is unable to say so."""

    field: str
    reason: str
    beyond_json_schema: bool = False


class Example(NamedTuple):
    type: str
    name: str
    raw: bytes
    why: Why | None

    def __str__(self) -> str:
        return f"{self.type}/{self.name}"


def _read(path: Path) -> Example:
    found = json.loads(path.read_text("utf-8"))
    if path.stem.startswith("valid"):
        return Example(path.parent.name, path.stem, write(found), None)
    return Example(path.parent.name, path.stem, write(found["value"]), Why(**found["why"]))


def write(value: object) -> bytes:
    """Return JSON; unlike msgspec's encoder this one has no bound for integers."""
    return json.dumps(value, ensure_ascii=False).encode()


EXAMPLES = tuple(_read(path) for path in sorted(FOLDER.rglob("*.json")))
VALID = tuple(example for example in EXAMPLES if example.why is None)
INVALID = tuple(example for example in EXAMPLES if example.why is not None)


def judge(type_name: str, raw: bytes) -> Any:
    """Decode a value as its reader does; return what it is, or `Why` it is refused."""
    if type_name in EXTERNAL:
        found = cloudevents.decode(raw)
        if isinstance(found, cloudevents.Refused):
            return Why(found.field, found.reason)
        return found
    decode: Callable[[bytes], Any] = DECODERS[type_name].decode
    try:
        return decode(raw)
    except msgspec.ValidationError as error:
        return Why(cloudevents.locate(error)[1], "invalid")


DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(LogRecord if struct in LogRecord.__args__ else struct)
    for name, struct in {**SYSTEM, **RECORDS}.items()
}


def _exact(text: str) -> Any:
    """Read JSON with decimals: 0.043 is a multiple of 0.001, but not in binary fractions."""
    return json.loads(text, parse_float=Decimal)


# Times and dates are asserted as far as the validator can without further packages.
VALIDATORS = {
    name: Draft202012Validator(
        _exact(json.dumps(document)), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    for name, document in documents().items()
}


def conforms(type_name: str, raw: bytes) -> bool:
    """Tell whether a value is valid by the type's JSON Schema."""
    with localcontext() as context:
        context.prec = 60
        return bool(VALIDATORS[type_name].is_valid(_exact(raw.decode())))
