"""Hypothesis strategies made from the Structs themselves, bounds included."""

from datetime import UTC, date, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from schemas.cloudevents import SUBJECT_FIELDS
from schemas.events import ClosureDeclared

INT64 = 2**63

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-INT64, INT64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)

THOUSANDTHS: st.SearchStrategy[Any] = st.integers(0, 10**15).map(lambda whole: whole / 1000)


def values(struct: type) -> st.SearchStrategy[Any]:
    """Return a strategy of every value that the Struct's decoder accepts."""
    if struct is ClosureDeclared:
        return _closures()
    return _of(inspect.type_info(struct))


@st.composite
def _closures(draw: st.DrawFn) -> ClosureDeclared:
    first = draw(st.dates(max_value=date.max - timedelta(days=366)))
    last = first + timedelta(days=draw(st.integers(0, 366)))
    return ClosureDeclared(from_=first, to=last, reason=draw(st.none() | st.text(max_size=500)))


def _of(type_: inspect.Type) -> st.SearchStrategy[Any]:
    match type_:
        case inspect.Metadata():
            decimals = "multipleOf" in (type_.extra_json_schema or {})
            return THOUSANDTHS if decimals else _of(type_.type)
        case inspect.UnionType():
            return st.one_of([_of(choice) for choice in type_.types])
        case inspect.StructType():
            return _struct(type_)
        case inspect.ListType():
            return st.lists(_of(type_.item_type), max_size=4)
        case inspect.DictType():
            return st.dictionaries(_of(type_.key_type), _of(type_.value_type), max_size=4)
        case inspect.LiteralType():
            return st.sampled_from(type_.values)
        case inspect.IntType() | inspect.FloatType() | inspect.StrType():
            return _bounded(type_)
        case _:
            return _PLAIN[type(type_)]


_PLAIN: dict[type[inspect.Type], st.SearchStrategy[Any]] = {
    inspect.AnyType: JSON,
    inspect.CustomType: JSON,
    inspect.BoolType: st.booleans(),
    inspect.BytesType: st.binary(max_size=50),
    inspect.DateType: st.dates(),
    inspect.DateTimeType: st.datetimes(timezones=st.just(UTC)),
    inspect.NoneType: st.none(),
}


def _struct(type_: inspect.StructType) -> st.SearchStrategy[Any]:
    required: dict[Any, st.SearchStrategy[Any]] = {}
    optional: dict[Any, st.SearchStrategy[Any]] = {}
    for field in type_.fields:
        value = _of(field.type)
        if field.name in SUBJECT_FIELDS.get(type_.cls, ()):
            value = value.map(_printable)
        (required if field.required else optional)[field.name] = value
    made = st.fixed_dictionaries(required, optional=optional)
    return made.map(lambda arguments: type_.cls(**arguments))


def _printable(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return "".join(one if one.isprintable() else "?" for one in value)


def _bounded(
    type_: inspect.IntType | inspect.FloatType | inspect.StrType,
) -> st.SearchStrategy[Any]:
    if isinstance(type_, inspect.StrType):
        if type_.pattern is None:
            return st.text(min_size=type_.min_length or 0, max_size=type_.max_length or 100)
        longest = type_.max_length or 100
        return st.from_regex(type_.pattern).filter(lambda text: len(text) <= longest)
    if isinstance(type_, inspect.IntType):
        low, high = type_.ge, type_.le
        return st.integers(-INT64 if low is None else low, INT64 - 1 if high is None else high)
    return st.floats(
        type_.ge if type_.gt is None else type_.gt,
        type_.le,
        exclude_min=type_.gt is not None,
        allow_nan=False,
        allow_infinity=False,
    )


def data_of(event: Any) -> dict[str, Any]:
    """Return an event's `data` as a producer writes it, without the envelope's tag."""
    data: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
    return {name: value for name, value in data.items() if name != "~type"}
