"""Requests of Kafka's protocol that aiokafka 0.14 lacks, each made of what is sent and answered."""

from collections.abc import Callable
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.types import Schema


def request(
    key: int,
    version: int,
    asked: Schema,
    answered: Schema,
    *,
    flexible: bool = False,
    old_header: bool = False,
) -> Callable[..., Any]:
    """Return what makes a request in the only version that is known here.

    Args:
        key: Number of the API.
        version: Its version.
        asked: Fields of the request.
        answered: Fields of the answer.
        flexible: Whether this version has tagged fields. Source: KIP-482.
        old_header: Whether the answer's header has none all the same.

    Returns:
        A function that takes the values of `asked` in order, for aiokafka's clients to send; a
        client raises NotImplementedError where the broker does not know the version.
    """

    class Answer(Response):  # type: ignore[misc]
        API_KEY = key
        API_VERSION = version
        SCHEMA = answered

    class Struct(RequestStruct):  # type: ignore[misc]
        API_KEY = key
        API_VERSION = version
        RESPONSE_TYPE = Answer
        FLEXIBLE_VERSION = flexible
        SCHEMA = asked

        def parse_response_header(self, read_buffer: Any) -> Any:
            if old_header:
                return ResponseHeader_v0.decode(read_buffer)
            return super().parse_response_header(read_buffer)

    class Asked(Request[Struct]):  # type: ignore[misc]
        API_KEY = key

        def __init__(self, *values: Any) -> None:
            self._values = values

        def build(self, request_struct_class: Any) -> Any:
            return request_struct_class(*self._values)

    return Asked
