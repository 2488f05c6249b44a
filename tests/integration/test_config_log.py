import asyncio
from uuid import uuid4

import pytest

from schemas import topics
from services.config_log import ConfigConflict, ConfigLog, ConfigUnavailable
from tests.platform import create_topics, free_port

pytestmark = pytest.mark.integration


async def fresh(kafka: str) -> ConfigLog:
    prefix = f"{uuid4().hex}."
    await create_topics(kafka, topics.full_name(topics.CONFIG, prefix))
    return ConfigLog(kafka, prefix)


async def test_what_was_written_is_read_back_and_deleted_keys_are_absent(kafka: str) -> None:
    log = await fresh(kafka)
    assert await log.read() == {}
    await log.write("a", b"1", expect=None)
    await log.write_all({"a": b"2", "b": b"3"}, {"a": b"1"})
    assert await log.read() == {"a": b"2", "b": b"3"}
    await log.write("b", None)
    assert await log.read() == {"a": b"2"}


async def test_a_value_that_is_not_as_expected_is_not_written_over(kafka: str) -> None:
    log = await fresh(kafka)
    await log.write("a", b"1")
    with pytest.raises(ConfigConflict, match="'a' in the configuration has changed"):
        await log.write_all({"a": b"2", "b": b"2"}, {"a": None})
    assert await log.read() == {"a": b"1"}


async def test_of_writers_at_the_same_moment_each_value_has_one_winner(kafka: str) -> None:
    log = await fresh(kafka)

    async def count_up() -> int:
        """Add one, again and again until nobody came in between; return the tries."""
        for tries in range(1, 200):
            old = (await log.read()).get("n")
            try:
                await log.write("n", str(int(old or 0) + 1).encode(), expect=old)
            except ConfigConflict:
                continue
            return tries
        return 0

    tries = await asyncio.gather(*(count_up() for _ in range(6)))
    assert min(tries) > 0
    assert await log.read() == {"n": b"6"}


async def test_a_missing_topic_is_told_with_the_remedy(kafka: str) -> None:
    with pytest.raises(ConfigUnavailable, match=r"nowhere\.config\.v1 .* `ebbwatch topics apply`"):
        await ConfigLog(kafka, "nowhere.").read()


async def test_an_absent_broker_is_told_with_its_address() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ConfigUnavailable, match=f"Kafka at {address} does not answer"):
        await ConfigLog(address, "x.", deadline=2.0).write("a", b"1")
