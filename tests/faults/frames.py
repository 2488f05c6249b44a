"""Kafka's frames, as far as a proxy must know them to falsify what a broker says.

Source: the layout of frames and of these APIs as in kafka.apache.org/protocol, of the versions that
aiokafka 0.14 sends to Kafka 4: it sends none of these APIs with tagged fields.
"""

import struct
from collections.abc import Callable
from enum import IntEnum


class Api(IntEnum):
    """The requests that scenarios speak of, by their key in Kafka's protocol."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    SYNC_GROUP = 14
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS = 24
    END_TXN = 26


_THROTTLED = {
    Api.FIND_COORDINATOR: 1,
    Api.JOIN_GROUP: 2,
    Api.HEARTBEAT: 1,
    Api.SYNC_GROUP: 1,
    Api.INIT_PRODUCER_ID: 0,
    Api.END_TXN: 0,
}
"""First version whose answer begins with a throttle time; the one error comes next."""

_NAMES_TRANSACTION = frozenset({Api.INIT_PRODUCER_ID, Api.ADD_PARTITIONS, Api.END_TXN})


def asker(frame: bytes) -> str:
    """Return who asks: the client's id, and its transactional id where the request names one.

    Args:
        frame: The request, without its length.
    """
    api, version = struct.unpack_from(">hh", frame)
    names = _text(frame, 8)
    if api in _NAMES_TRANSACTION or (api == Api.PRODUCE and version >= 3):
        names += " " + _text(frame, _past_text(frame, 8))
    return names


def rewritten(frame: bytes, version: int, code: int, api: int = Api.PRODUCE) -> bytes:
    """Return an answer with another error for everything that it has an error of.

    Args:
        frame: The answer, without its length.
        version: The request's version; of `Produce` 3 to 8, of `Fetch` 4 to 11, of `ListOffsets`
            1 to 5.
        code: The error.
        api: What was asked: one of `Api`, but not `Metadata`.
    """
    found = bytearray(frame)
    for place in _errors(frame, api, version):
        struct.pack_into(">h", found, place, code)
    return bytes(found)


def _errors(frame: bytes, api: int, version: int) -> list[int]:
    """Return where the errors stand in an answer."""
    if api == Api.PRODUCE:
        return _nested(frame, 4, lambda at: _past_produced(frame, at, version))
    if api == Api.OFFSET_COMMIT:
        return _nested(frame, 8 if version >= 3 else 4, lambda at: at + 4 + 2)
    if api == Api.ADD_PARTITIONS:
        return _nested(frame, 8, lambda at: at + 4 + 2)
    if api == Api.LIST_OFFSETS:
        size = 4 + 2 + 8 + 8 + (4 if version >= 4 else 0)
        return _nested(frame, 8 if version >= 2 else 4, lambda at: at + size)
    if api == Api.FETCH:
        first = 8 + (6 if version >= 7 else 0)
        return _nested(frame, first, lambda at: _past_fetched(frame, at, version))
    return [8 if version >= _THROTTLED[Api(api)] else 4]


def _nested(frame: bytes, at: int, past: Callable[[int], int]) -> list[int]:
    """Return the place of the error of each partition of each topic."""
    found: list[int] = []
    (topics,), at = struct.unpack_from(">i", frame, at), at + 4
    for _ in range(topics):
        at = _past_text(frame, at)
        (partitions,), at = struct.unpack_from(">i", frame, at), at + 4
        for _ in range(partitions):
            found.append(at + 4)
            at = past(at)
    return found


def _past_produced(frame: bytes, at: int, version: int) -> int:
    # Partition, error, base offset, append time; the log's start since version 5.
    at += 4 + 2 + 8 + 8 + (8 if version >= 5 else 0)
    return _past_record_errors(frame, at) if version >= 8 else at


def _past_fetched(frame: bytes, at: int, version: int) -> int:
    # Partition, error, high watermark, last stable offset; the log's start since version 5.
    at += 4 + 2 + 8 + 8 + (8 if version >= 5 else 0)
    (aborted,) = struct.unpack_from(">i", frame, at)
    at += 4 + 16 * max(0, aborted) + (4 if version >= 11 else 0)
    (size,) = struct.unpack_from(">i", frame, at)
    return at + 4 + max(0, int(size))


def _past_record_errors(frame: bytes, at: int) -> int:
    (errors,) = struct.unpack_from(">i", frame, at)
    at += 4
    for _ in range(errors):
        at = _past_text(frame, at + 4)
    return _past_text(frame, at)


def _text(frame: bytes, at: int) -> str:
    length: int = struct.unpack_from(">h", frame, at)[0]
    return frame[at + 2 : at + 2 + max(0, length)].decode()


def _past_text(frame: bytes, at: int) -> int:
    length: int = struct.unpack_from(">h", frame, at)[0]
    return at + 2 + max(0, length)


def made_up(frame: bytes, version: int, correlation: int, code: int) -> bytes:
    """Return the answer to a `Produce` request that the broker never saw."""
    at = _past_text(frame, 8)
    at = _past_text(frame, at) + 2 + 4
    (topics,), at = struct.unpack_from(">i", frame, at), at + 4
    answer = bytearray(struct.pack(">ii", correlation, topics))
    for _ in range(topics):
        end = _past_text(frame, at)
        answer += frame[at:end]
        (partitions,), at = struct.unpack_from(">i", frame, end), end + 4
        answer += struct.pack(">i", partitions)
        for _ in range(partitions):
            number, size = struct.unpack_from(">ii", frame, at)
            at += 8 + max(0, size)
            answer += struct.pack(">ihqq", number, code, -1, -1)
            answer += struct.pack(">q", -1) if version >= 5 else b""
            answer += struct.pack(">ih", 0, -1) if version >= 8 else b""
    return bytes(answer + struct.pack(">i", 0))
