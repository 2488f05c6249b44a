import asyncio

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from services.ingest.markers import Marks
from tests.platform import eventually
from tests.unit.ingest.builders import FakeProducer


@pytest.mark.parametrize("ends", [False, True])
async def test_an_error_that_no_repetition_mends_is_told(ends: bool) -> None:
    producer, told = FakeProducer(), list[BaseException]()
    producer.error = MessageSizeTooLargeError()
    marks = Marks(producer, "config.v1", told.append)
    if ends:
        await marks.finish({"usage": {0: "id"}})
    else:
        marks.leave({"usage": {0: "id"}})
    await eventually(lambda: told == [producer.error], what="the error to be told")


async def test_marks_that_are_late_at_the_end_are_given_up_in_silence() -> None:
    producer, told = FakeProducer(), list[BaseException]()
    producer.gate = asyncio.Event()
    marks = Marks(producer, "config.v1", told.append)
    marks.leave({"usage": {0: "id", 1: "id"}})
    await marks.finish({"usage": {0: "id"}})
    assert (len(producer.sent), told) == (1, [])
