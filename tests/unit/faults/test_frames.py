"""What a proxy reads from Kafka's frames and falsifies in them, against aiokafka's own encoding."""

from io import BytesIO
from typing import Any

import pytest
from aiokafka.protocol.commit import OffsetCommitResponse_v2, OffsetCommitResponse_v3
from aiokafka.protocol.coordination import FindCoordinatorResponse_v0, FindCoordinatorResponse_v1
from aiokafka.protocol.fetch import FetchResponse_v4, FetchResponse_v7, FetchResponse_v11
from aiokafka.protocol.group import (
    HeartbeatResponse_v0,
    HeartbeatResponse_v1,
    JoinGroupResponse_v2,
    JoinGroupResponse_v5,
    SyncGroupResponse_v1,
)
from aiokafka.protocol.offset import OffsetResponse_v1, OffsetResponse_v3, OffsetResponse_v5
from aiokafka.protocol.produce import ProduceRequest_v7
from aiokafka.protocol.transaction import (
    AddPartitionsToTxnResponse_v0,
    EndTxnRequest_v0,
    EndTxnResponse_v0,
    InitProducerIdResponse_v0,
)

from tests.faults.frames import Api, asker, rewritten

ABORTED = [(4000, 17), (4001, 18)]
LISTED = [("t", [(0, 0, -1, 5)])]
LISTED_WITH_EPOCH = [("t", [(0, 0, -1, 5, 1), (3, 0, -1, 6, 1)])]

ANSWERS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "fetch, v4": (FetchResponse_v4, (0, [("t", [(0, 0, 9, 9, [], b"records")])])),
    "fetch, v7": (
        FetchResponse_v7,
        (0, 0, 5, [("t", [(0, 0, 9, 9, 1, ABORTED, b""), (3, 0, 9, 9, 1, [], None)])]),
    ),
    "fetch, v11": (
        FetchResponse_v11,
        (0, 0, 5, [("t", [(0, 0, 9, 9, 1, ABORTED, -1, b"r"), (3, 0, 9, 9, 1, [], -1, b"")])]),
    ),
    "list offsets, v1": (OffsetResponse_v1, (LISTED,)),
    "list offsets, v3": (OffsetResponse_v3, (0, LISTED)),
    "list offsets, v5": (OffsetResponse_v5, (0, LISTED_WITH_EPOCH)),
    "offset commit, v2": (OffsetCommitResponse_v2, ([("t", [(0, 0), (3, 0)])],)),
    "offset commit, v3": (OffsetCommitResponse_v3, (0, [("t", [(0, 0)]), ("u", [(1, 0)])])),
    "find coordinator, v0": (FindCoordinatorResponse_v0, (0, 1, "host", 9092)),
    "find coordinator, v1": (FindCoordinatorResponse_v1, (0, 0, None, 1, "host", 9092)),
    "heartbeat, v0": (HeartbeatResponse_v0, (0,)),
    "heartbeat, v1": (HeartbeatResponse_v1, (0, 0)),
    "join group, v2": (JoinGroupResponse_v2, (0, 0, 7, "range", "a", "b", [("b", b"m")])),
    "join group, v5": (JoinGroupResponse_v5, (0, 0, 7, "range", "a", "b", [("b", None, b"m")])),
    "sync group, v1": (SyncGroupResponse_v1, (0, 0, b"assignment")),
    "init producer id, v0": (InitProducerIdResponse_v0, (0, 0, 4000, 2)),
    "add partitions, v0": (AddPartitionsToTxnResponse_v0, (0, [("t", [(0, 0), (3, 0)])])),
    "end transaction, v0": (EndTxnResponse_v0, (0, 0)),
}


@pytest.mark.parametrize("named", ANSWERS)
def test_of_an_answer_only_the_errors_are_rewritten(named: str) -> None:
    made, values = ANSWERS[named]
    frame = bytes(4) + made(*values).encode()
    told = rewritten(frame, made.API_VERSION, 16, made.API_KEY)
    answer = made.decode(_after_correlation(told))
    told_errors = answer.to_object()
    if made.API_KEY == Api.FETCH:
        # What stands before the topics is about the session.
        assert told_errors.pop("error_code", 0) == 0
    assert _errors(told_errors) == {16}
    assert rewritten(told, made.API_VERSION, 0, made.API_KEY) == frame


def _after_correlation(frame: bytes) -> BytesIO:
    return BytesIO(frame[4:])


def _errors(told: Any) -> set[int]:
    """Every error in an answer, wherever it stands."""
    if isinstance(told, list | tuple):
        return {code for one in told for code in _errors(one)}
    if isinstance(told, dict):
        own = {told["error_code"]} if "error_code" in told else set()
        return own | {code for one in told.values() for code in _errors(one)}
    return set()


def framed(request: Any, client: str) -> bytes:
    header = request.build_request_header(7, client)
    return bytes(header.encode() + request.encode())


def test_a_transaction_names_itself() -> None:
    request = EndTxnRequest_v0("t1.state.v1-3", 4000, 2, True)
    assert asker(framed(request, "client")) == "client t1.state.v1-3"


def test_a_producer_without_transactions_has_its_client_id_alone() -> None:
    request = ProduceRequest_v7(None, -1, 5000, [("t", [(0, b"records")])])
    assert asker(framed(request, "t1.ingest")) == "t1.ingest "


def test_the_requests_have_kafkas_numbers() -> None:
    assert {made.API_KEY for made, _ in ANSWERS.values()} <= set(Api)
