"""Names are looked up once, and what is reached is what was judged."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network

from services.alerts.channels import Delivered, Refused
from services.alerts.channels.lookup import Lookup
from tests.unit.alerts.channels.attempts import (
    BODY,
    LOOPBACK,
    NOTICE,
    channel,
    send,
    sender,
)
from tests.unit.alerts.receiver import Names, receiving


async def test_the_address_that_was_judged_is_the_one_that_is_reached() -> None:
    names = Names(["127.0.0.2"], ["127.0.0.1"])
    async with receiving(host="127.0.0.2") as meant, receiving(port=meant.port) as rebound:
        to = replace(channel(f"http://crm.test:{meant.port}/"), allow=(ip_network("127.0.0.2/32"),))
        assert await send(to, names) == Delivered(204)
        assert (names.asked, meant.connections) == (["crm.test"], 1)
        assert meant.received[0].headers["host"] == f"crm.test:{meant.port}"
        # The second time the name server says otherwise.
        assert await send(to, names) == Refused(
            "forbidden_address", "crm.test: 127.0.0.1 is not public: loopback"
        )
    assert (meant.connections, rebound.connections) == (1, 0)


async def test_one_forbidden_address_among_others_is_enough() -> None:
    async with receiving(host="127.0.0.2") as receiver:
        to = replace(
            channel(f"http://crm.test:{receiver.port}/"), allow=(ip_network("127.0.0.2/32"),)
        )
        outcome = await send(to, Names(["127.0.0.2", "10.0.0.1"]))
    assert outcome == Refused("forbidden_address", "crm.test: 10.0.0.1 is not public: private")
    assert receiver.connections == 0


async def test_a_name_that_does_not_exist_is_a_connection_that_fails() -> None:
    class Nobody(Names):
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[object]:  # type: ignore[override]
            raise OSError(None, "Name or service not known")

    outcome = await send(channel("http://nobody.test/"), Nobody([]))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "connection"


async def test_a_sender_looks_names_up_itself_and_asks_once_for_many() -> None:
    async with receiving() as receiver, sender() as ours:
        to = replace(channel(receiver.url), url=f"http://localhost:{receiver.port}/")
        allowed = replace(to, allow=(*LOOPBACK, ip_network("::1/128")))
        now = datetime.now(UTC)
        outcomes = await asyncio.gather(*(ours.send(allowed, NOTICE, BODY, now) for _ in range(20)))
    assert outcomes == [Delivered(204)] * 20


async def test_a_look_up_is_shared_by_all_who_wait_for_it() -> None:
    lookup = Lookup()
    try:
        first, second = await asyncio.gather(
            lookup.resolve("localhost", 80), lookup.resolve("localhost", 80)
        )
        assert first is second
        assert "127.0.0.1" in {one["host"] for one in first}
    finally:
        await lookup.close()


async def test_a_look_up_that_fails_is_told_to_everybody_and_asked_again() -> None:
    lookup = Lookup()
    for _ in range(2):
        found = await asyncio.gather(
            *(lookup.resolve("a..b", 80) for _ in range(3)), return_exceptions=True
        )
        assert [isinstance(one, OSError | UnicodeError) for one in found] == [True] * 3
    await lookup.close()
