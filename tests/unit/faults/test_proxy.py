"""The proxy before a broker of a few lines: what it says of each frame is known to the byte."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator

import pytest

from tests.faults.proxy import Api, Faults, Proxy, Rewrite, rewritten
from tests.platform import free_port

METADATA = 3


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4) + body


def request(api: int, correlation: int) -> bytes:
    """A request of version 7 without anything in it."""
    return framed(struct.pack(">hhih", api, 7, correlation, -1))


def produce(correlation: int, topic: bytes = b"t", partitions: tuple[int, ...] = (0, 3)) -> bytes:
    """A `Produce` request of version 7 with five bytes of records for each partition."""
    body = struct.pack(">hhihhhi", Api.PRODUCE, 7, correlation, -1, -1, -1, 5000)
    body += struct.pack(">ih", 1, len(topic)) + topic + struct.pack(">i", len(partitions))
    for number in partitions:
        body += struct.pack(">ii", number, 5) + b"bytes"
    return framed(body)


def produced(correlation: int, version: int, codes: dict[int, int], offset: int = 17) -> bytes:
    """The answer to a `Produce` request, by partition and error."""
    body = struct.pack(">iih", correlation, 1, 1) + b"t" + struct.pack(">i", len(codes))
    for number, code in codes.items():
        body += struct.pack(">ihqq", number, code, offset, -1)
        body += struct.pack(">q", offset) if version >= 5 else b""
        if version >= 8:
            # One record error, with a text and one without.
            body += struct.pack(">iih", 1, 0, 2) + b"no" + struct.pack(">h", -1)
    return body + struct.pack(">i", 0)


@pytest.mark.parametrize("version", [3, 5, 7, 8])
def test_of_an_answer_to_produce_only_the_errors_are_rewritten(version: int) -> None:
    answer = produced(9, version, {0: 0, 3: 0})
    assert rewritten(answer, version, 7) == produced(9, version, {0: 7, 3: 7})


class Broker:
    """Answers every request at once: `Produce` with success, all else with its correlation."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                frame = await reader.readexactly(int.from_bytes(await reader.readexactly(4)))
                api, version, correlation = struct.unpack_from(">hhi", frame)
                self.asked.append(correlation)
                answer = struct.pack(">i", correlation)
                if api == Api.PRODUCE:
                    answer = produced(correlation, version, {0: 0, 3: 0})
                writer.write(framed(answer))
                await writer.drain()
        writer.close()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *requests: bytes) -> None:
        self.writer.write(b"".join(requests))

    async def answer(self, within: float = 5.0) -> bytes:
        async with asyncio.timeout(within):
            return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(4)))

    async def silent(self) -> bool:
        """Tell whether nothing comes for a moment."""
        with contextlib.suppress(TimeoutError):
            await self.answer(within=0.1)
            return False
        return True


@contextlib.asynccontextmanager
async def proxied() -> AsyncIterator[tuple[Proxy, Client, Broker]]:
    broker = Broker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    behind = server.sockets[0].getsockname()[1]
    port = free_port()
    async with server, Proxy(port, behind) as proxy:
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        yield proxy, client, broker
        client.writer.close()
        with contextlib.suppress(OSError):
            await client.writer.wait_closed()


def named(correlation: int) -> bytes:
    return struct.pack(">i", correlation)


async def test_a_good_network_changes_nothing() -> None:
    async with proxied() as (proxy, client, _):
        client.send(request(METADATA, 1), produce(2))
        assert [await client.answer(), await client.answer()] == [
            named(1),
            produced(2, 7, {0: 0, 3: 0}),
        ]
        assert proxy.passed == {METADATA: 1, Api.PRODUCE: 1}


async def test_the_answer_to_one_kind_of_request_is_withheld_until_the_network_heals() -> None:
    async with proxied() as (proxy, client, broker):
        proxy.set(Faults(withheld=frozenset({Api.PRODUCE})))
        client.send(request(METADATA, 1), produce(2), request(METADATA, 3))
        assert await client.answer() == named(1)
        # Whatever comes after it on the same connection waits too: answers keep their order.
        assert await client.silent()
        assert (broker.asked, proxy.withheld) == ([1, 2, 3], 1)
        proxy.heal()
        assert await client.answer() == produced(2, 7, {0: 0, 3: 0})
        assert await client.answer() == named(3)
        assert proxy.withheld == 0


async def test_the_nth_answer_is_rewritten_although_the_broker_has_taken_the_records() -> None:
    async with proxied() as (proxy, client, broker):
        proxy.set(Faults(rewrite=Rewrite(7, nth=2)))
        client.send(produce(1), produce(2), produce(3))
        codes = [{0: 0, 3: 0}, {0: 7, 3: 7}, {0: 0, 3: 0}]
        for correlation, wanted in enumerate(codes, 1):
            assert await client.answer() == produced(correlation, 7, wanted)
        assert broker.asked == [1, 2, 3]


async def test_an_answer_is_made_up_in_its_place_and_the_broker_never_sees_the_request() -> None:
    async with proxied() as (proxy, client, broker):
        proxy.set(Faults(rewrite=Rewrite(10, applied=False)))
        client.send(request(METADATA, 1), produce(2), request(METADATA, 3))
        refused = produced(2, 7, {0: 10, 3: 10}, offset=-1)
        assert [await client.answer() for _ in range(3)] == [named(1), refused, named(3)]
        assert broker.asked == [1, 3]


async def test_in_a_hole_nothing_passes_and_nobody_is_told() -> None:
    async with proxied() as (proxy, client, broker):
        proxy.set(Faults(hole=True))
        client.send(request(METADATA, 1))
        assert await client.silent()
        assert broker.asked == []
        assert not client.reader.at_eof()
        proxy.heal()
        assert await client.answer() == named(1)


async def test_a_connection_is_cut_in_the_middle_of_an_answer() -> None:
    async with proxied() as (proxy, client, _):
        proxy.set(Faults(cut_after=20))
        client.send(request(METADATA, 1), produce(2))
        assert await client.answer() == named(1)
        rest = await client.reader.read()
        whole = framed(produced(2, 7, {0: 0, 3: 0}))
        assert 0 < len(rest) < len(whole)
        assert whole.startswith(rest)


async def test_a_reset_is_seen_as_one_and_a_drop_as_an_end() -> None:
    async with proxied() as (proxy, client, _):
        client.send(request(METADATA, 1))
        await client.answer()
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await client.answer()
    async with proxied() as (proxy, client, _):
        client.send(request(METADATA, 1))
        await client.answer()
        proxy.drop()
        assert await client.reader.read() == b""


async def asked_anew(port: int) -> None:
    other = Client(*await asyncio.open_connection("127.0.0.1", port))
    other.send(request(METADATA, 1))
    await other.answer()


async def test_new_connections_are_refused_while_they_are_to_be() -> None:
    async with proxied() as (proxy, client, _):
        client.send(request(METADATA, 1))
        await client.answer()
        proxy.set(Faults(refusing=True))
        port = client.writer.get_extra_info("peername")[1]
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asked_anew(port)
        client.send(request(METADATA, 2))
        assert await client.answer() == named(2)


async def test_latency_delays_each_way_without_holding_up_what_follows() -> None:
    async with proxied() as (proxy, client, _):
        proxy.set(Faults(latency=0.1))
        loop = asyncio.get_running_loop()
        begun = loop.time()
        client.send(*(request(METADATA, number) for number in range(20)))
        assert [await client.answer() for _ in range(20)] == [named(n) for n in range(20)]
        assert 0.2 <= loop.time() - begun < 2.0
