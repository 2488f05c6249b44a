import asyncio
import contextlib
import gzip
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook, WebhookVerificationError

from schemas.config import ChannelHealth
from services.alerts.channels import Channel, Delivered, Outcome, Refused, Sender, webhook
from services.alerts.channels.lookup import Lookup
from services.runtime import version
from tests.platform import free_port
from tests.unit.alerts.receiver import Names, Say, receiving

NOTICE = "0b0f1a9e-6f3a-5d0e-9a55-0123456789ab"
NEW = webhook.make_secret(bytes(range(32)))
OLD = webhook.make_secret(bytes(range(1, 33)))
BODY = '{"type":"alert.raised","data":{"name":"Zoë"}}'.encode()
LOOPBACK = (ip_network("127.0.0.0/8"),)


def channel(url: str, *secrets: str) -> Channel:
    return Channel("crm", "webhook", url, secrets or (NEW,), LOOPBACK, allow_http=True)


async def send(to: Channel, names: Names | None = None, within: float = 5.0) -> Outcome:
    lookup = names or Names(["127.0.0.1"])
    return await webhook.send(to, NOTICE, BODY, datetime.now(UTC), within, lookup)


async def answered(answer: bytes | Say, within: float = 5.0) -> Outcome:
    async with receiving(answer) as receiver:
        return await send(channel(receiver.url), within=within)


def status(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {line}", *headers, "Content-Length: 0", "", ""]).encode()


async def test_what_arrives_is_signed_as_standard_webhooks_says() -> None:
    async with receiving() as receiver:
        assert await send(channel(receiver.url)) == Delivered(204)
    (found,) = receiver.received
    assert (found.target, found.body) == ("/hook", BODY)
    told = {name: found.headers[name] for name in ("content-type", "user-agent", "webhook-id")}
    assert told == {
        "content-type": "application/json",
        "user-agent": f"Ebbwatch/{version()}",
        "webhook-id": "msg_0b0f1a9e6f3a5d0e9a550123456789ab",
    }
    assert Webhook(NEW).verify(found.body, found.headers) == {
        "type": "alert.raised",
        "data": {"name": "Zoë"},
    }


async def test_while_secrets_change_a_receiver_may_know_either() -> None:
    async with receiving() as receiver:
        await send(channel(receiver.url, NEW, OLD))
    (found,) = receiver.received
    for secret in (NEW, OLD):
        Webhook(secret).verify(found.body, found.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(webhook.make_secret(bytes(32))).verify(found.body, found.headers)


async def test_an_attempt_carries_its_own_time_and_the_notice_s_id() -> None:
    first = datetime(2026, 5, 15, 2, 0, 0, 999_999, tzinfo=UTC)
    async with receiving() as receiver:
        for now in (first, first + timedelta(minutes=5)):
            to = channel(receiver.url)
            await webhook.send(to, NOTICE, BODY, now, 5.0, Names(["127.0.0.1"]))
    stamps = [one.headers["webhook-timestamp"] for one in receiver.received]
    assert stamps == [str(int(first.timestamp())), str(int(first.timestamp()) + 300)]
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1


@pytest.mark.parametrize("line", ["200 OK", "201 Created", "202 Accepted", "204 No Content"])
async def test_whatever_begins_with_2_is_delivered(line: str) -> None:
    assert await answered(status(line)) == Delivered(int(line[:3]))


@pytest.mark.parametrize(
    "line, reason",
    [
        ("400 Bad Request", "status 400"),
        ("404 Not Found", "status 404"),
        ("500 Internal Server Error", "status 500"),
        ("503 Service Unavailable", "status 503"),
        ("410 Gone", "gone"),
        ("304 Not Modified", "redirect"),
    ],
)
async def test_another_status_is_a_failure(line: str, reason: str) -> None:
    outcome = await answered(status(line))
    assert outcome == Refused(
        reason, f"127.0.0.1 answered {line[:3]}: ''", gone=line.startswith("410")
    )


@pytest.mark.parametrize(
    "told, seconds",
    [
        ("120", 120.0),
        ("0", 0.0),
        ("99999999999", 86_400.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("Fri, 15 May 2026 02:01:30 GMT", 90.0),
        ("Fri, 15 May 2026 01:00:00 GMT", 0.0),
        ("Fri, 15 May 2099 01:00:00 GMT", 86_400.0),
        ("Fri, 99 May 2026 01:00:00 GMT", None),
        ("Fri, 15 May 99999999999 01:00:00 GMT", None),
    ],
)
async def test_the_endpoint_may_ask_to_be_left_alone_for_a_while(
    told: str, seconds: float | None
) -> None:
    now = datetime(2026, 5, 15, 2, 0, tzinfo=UTC)
    async with receiving(status("429 Too Many Requests", f"Retry-After: {told}")) as receiver:
        to = channel(receiver.url)
        outcome = await webhook.send(to, NOTICE, BODY, now, 5.0, Names(["127.0.0.1"]))
    assert outcome == Refused("status 429", "127.0.0.1 answered 429: ''", seconds)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_nobody_follows_it(code: int) -> None:
    async with receiving() as elsewhere:
        outcome = await answered(status(f"{code} Elsewhere", f"Location: {elsewhere.url}"))
    assert outcome == Refused("redirect", f"127.0.0.1 answered {code}: ''")
    assert elsewhere.connections == 0


async def test_of_an_endless_answer_only_the_beginning_is_read() -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 500 Oops\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    outcome = await answered(endless)
    assert outcome == Refused("status 500", f"127.0.0.1 answered 500: {'x' * 200!r}")
    # What was under way in the buffers of both ends, and no more.
    assert sent < 16_000_000


async def test_an_endpoint_that_has_said_200_has_taken_it_however_its_answer_goes_on() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async def broken(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbut")

    assert [await answered(one) for one in (endless, broken)] == [Delivered(200)] * 2


async def test_a_slow_answer_is_cut_off_and_its_status_counts() -> None:
    hold = asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nwait")
        await hold.wait()

    begin = asyncio.get_running_loop().time()
    async with receiving(slow) as receiver:
        outcome = await send(channel(receiver.url), within=0.2)
        hold.set()
    assert outcome == Delivered(200)
    assert asyncio.get_running_loop().time() - begin < webhook.ANSWER_SECONDS


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nServer: slow"])
async def test_who_says_no_status_in_time_has_not_taken_it(begin: bytes) -> None:
    hold = asyncio.Event()

    async def silent(writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        await hold.wait()

    async with receiving(silent) as receiver:
        outcome = await send(channel(receiver.url), within=0.2)
        hold.set()
    assert outcome == Refused("timeout", "127.0.0.1 did not answer within 0.2 s")


@pytest.mark.parametrize(
    "endless, reason",
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", "connection"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "connection"),
        (b"X-More: " + b"x" * 1000 + b"\r\n", "connection"),
        (b"X", "connection"),
    ],
)
async def test_an_endless_head_ends_the_attempt(endless: bytes, reason: str) -> None:
    async def talk(writer: asyncio.StreamWriter) -> None:
        writer.write(b"" if endless.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(endless * 64)
            await writer.drain()

    outcome = await answered(talk, within=0.3)
    assert isinstance(outcome, Refused)
    assert outcome.reason == reason


@pytest.mark.parametrize("head", ["200 OK", "404 Not Found"])
@pytest.mark.parametrize("length", ["", "Content-Length: 1000000\r\n"])
async def test_a_long_body_that_arrives_at_once_says_no_less_than_a_short_one(
    head: str, length: str
) -> None:
    outcome = await answered(f"HTTP/1.1 {head}\r\n{length}\r\n".encode() + b"x" * 1_000_000)
    refused = Refused("status 404", f"127.0.0.1 answered 404: {'x' * 200!r}")
    assert outcome == (Delivered(200) if head == "200 OK" else refused)


@pytest.mark.parametrize("sort", ["103 Early Hints\r\nLink: x", "100 Continue"])
async def test_endpoints_that_never_come_to_the_point_delay_nobody_else(sort: str) -> None:
    with flooding(f"HTTP/1.1 {sort}\r\n\r\n".encode() * 4_000) as port:
        async with receiving() as healthy, stalls() as stalled:
            floods = [send(channel(f"http://127.0.0.1:{port}/"), within=5.0) for _ in range(16)]
            flooded = asyncio.gather(*floods)
            sound = [await send(channel(healthy.url)) for _ in range(10)]
            outcomes = await flooded
    # Cut off, not timed out: it is our own bound on aiohttp's protocol that ended them.
    assert set(outcomes) == {Refused("connection", "127.0.0.1: it sent more than 65,536 bytes")}
    assert sound == [Delivered(204)] * 10
    assert max(stalled) < 1.0


async def test_a_compressed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(b"x" * 10_000_000)
    head = f"HTTP/1.1 500 Oops\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    async with receiving(head.encode() + bomb) as receiver:
        outcome = await send(channel(receiver.url))
    assert isinstance(outcome, Refused)
    assert "xxx" not in outcome.detail
    assert receiver.received[0].headers["accept-encoding"] == "identity"


async def test_no_cookie_comes_back() -> None:
    async with receiving(status("200 OK", "Set-Cookie: a=b; Path=/")) as receiver:
        to = replace(channel(receiver.url), url=receiver.url.replace("127.0.0.1", "crm.test"))
        for _ in range(2):
            assert await send(to) == Delivered(200)
    assert ["cookie" in one.headers for one in receiver.received] == [False, False]


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert await send(channel(receiver.url)) == Delivered(204)
    assert (proxy.connections, receiver.connections) == (0, 1)


async def test_who_does_not_listen_or_hangs_up_is_told_as_a_connection() -> None:
    async def hang_up(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    refused = await send(channel(f"http://127.0.0.1:{free_port()}/"))
    babble = await answered(b"SSH-2.0-OpenSSH_9.2\r\n")
    for outcome in (refused, babble, await answered(hang_up)):
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.gone, outcome.retry_after) == ("connection", False, None)
        assert outcome.detail.startswith("127.0.0.1: ")


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    async with receiving(tls=self_signed(tmp_path)) as receiver:
        outcome = await send(channel(receiver.url.replace("http:", "https:")))
    assert isinstance(outcome, Refused)
    assert (outcome.reason, "certificate" in outcome.detail) == ("tls", True)
    assert receiver.received == []


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


async def test_whoever_gives_up_leaves_the_answer_to_the_others() -> None:
    lookup = Lookup()
    first = asyncio.ensure_future(lookup.resolve("localhost", 80))
    second = asyncio.ensure_future(lookup.resolve("localhost", 80))
    await asyncio.wait({first}, timeout=0)
    first.cancel()
    assert "127.0.0.1" in {one["host"] for one in await second}
    await lookup.close()


async def test_a_channel_that_is_off_or_wrong_sends_nothing() -> None:
    off = ChannelHealth(disabled_at=datetime(2026, 5, 1, tzinfo=UTC), reason="gone")
    async with receiving() as receiver, sender() as ours:
        to, now = channel(receiver.url), datetime.now(UTC)
        outcomes = [
            await ours.send(one, NOTICE, BODY, now)
            for one in (replace(to, health=off), replace(to, fault="no"), replace(to, kind="fax"))
        ]
        assert receiver.connections == 0
        assert await ours.attempt(replace(to, health=off), NOTICE, BODY, now) == Delivered(204)
    assert outcomes == [
        Refused("channel_disabled", "channel 'crm' is switched off"),
        Refused("misconfigured", "channel 'crm': no"),
        Refused("misconfigured", "channel 'crm': kind 'fax' is unknown to this version"),
    ]


async def test_nothing_of_a_channel_that_is_secret_can_be_seen() -> None:
    to = Channel("crm", "webhook", "https://crm.example.com:444/hooks/T0K3N?key=K3Y", (NEW,))
    outcome = await send(to)
    assert outcome == Refused(
        "bad_url",
        "the address of channel 'crm': port 444 is not 443 or 8443; allow_http = true lifts that",
    )
    for shown in (repr(to), repr(outcome), to.host):
        assert not any(secret in shown for secret in ("T0K3N", "K3Y", NEW))


@pytest.mark.parametrize(
    "answer, detail",
    [
        (b"HTTP/1.1 abc OK\r\n\r\n", "127.0.0.1: 400, "),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", "127.0.0.1: 400, "),
        (b"GET /hooks/PATHCANARY?token=QUERYCANARY\r\n\r\n", "127.0.0.1: 400, "),
        (
            status("404 Not Found").replace(b"Length: 0\r\n\r\n", b"Length: 51\r\n\r\n")
            + b"Cannot POST /hooks/PATHCANARY?token=QUERYCANARY now",
            "127.0.0.1 answered 404: 'Cannot POST [hidden] now",
        ),
        (
            status("404 Not Found").replace(b"Length: 0\r\n\r\n", b"Length: 34\r\n\r\n")
            + b"no hook PATHCANARY for QUERYCANARY",
            "127.0.0.1 answered 404: 'no hook [hidden] for [hidden]'",
        ),
    ],
)
async def test_an_answer_however_odd_brings_no_part_of_the_address_into_the_log(
    answer: bytes, detail: str
) -> None:
    async with receiving(answer) as receiver:
        to = channel(f"http://127.0.0.1:{receiver.port}/hooks/PATHCANARY?token=QUERYCANARY")
        outcome = await send(to)
    assert isinstance(outcome, Refused)
    assert outcome.detail.startswith(detail)
    assert "CANARY" not in repr(outcome)


async def test_no_failure_of_tls_brings_the_path_into_the_log(tmp_path: Path) -> None:
    async with receiving(tls=self_signed(tmp_path)) as receiver:
        outcome = await send(channel(f"https://127.0.0.1:{receiver.port}/hooks/PATHCANARY"))
    with flooding(b"HTTP/1.1 400 no TLS here\r\n\r\n") as port:
        babble = await send(channel(f"https://127.0.0.1:{port}/hooks/PATHCANARY"))
    for one in (outcome, babble):
        assert isinstance(one, Refused)
        assert one.reason == "tls"
        assert "CANARY" not in repr(one)


@pytest.mark.parametrize(
    "secret, fault",
    [
        (NEW, None),
        (NEW.rstrip("="), None),
        (webhook.make_secret(bytes(24)), None),
        (webhook.make_secret(bytes(64)), None),
        (webhook.make_secret(bytes(23)), "it has 23 bytes; at least 24, at most 64"),
        (webhook.make_secret(bytes(65)), "it has 65 bytes; at least 24, at most 64"),
        ("whsec_", "it has 0 bytes; at least 24, at most 64"),
        ("whsec_not base64 at all, is it, my friend", "what follows whsec_ is no base64"),
        ("whsec_ünïcödë", "what follows whsec_ is no base64"),
        ("c2VjcmV0", "it does not begin with whsec_"),
    ],
)
def test_a_secret_has_the_form_and_the_length_of_the_standard(
    secret: str, fault: str | None
) -> None:
    assert webhook.secret_fault(secret) == fault


class sender:
    """A sender as long as the block lasts."""

    async def __aenter__(self) -> Sender:
        self._sender = Sender(5.0)
        return self._sender

    async def __aexit__(self, *_: object) -> None:
        await self._sender.close()


@contextlib.contextmanager
def flooding(what: bytes) -> Iterator[int]:
    """Answer everybody with the same for ever, in threads, as another machine would."""

    def flood(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            while True:
                connection.sendall(what)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                flooders.append(threading.Thread(target=flood, args=(connection,)))
                flooders[-1].start()

    flooders: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *flooders):
                thread.join(timeout=10)


@contextlib.asynccontextmanager
async def stalls() -> AsyncIterator[list[float]]:
    """Note how late the loop comes to what is due, seconds, as long as the block lasts."""
    late, clock = [0.0], asyncio.get_running_loop().time

    async def watch() -> None:
        while True:
            due = clock() + 0.005
            await asyncio.sleep(0.005)
            late.append(clock() - due)

    watching = asyncio.create_task(watch())
    try:
        yield late
    finally:
        watching.cancel()


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "crm.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert").write_bytes(certificate.public_bytes(pem))
    (folder / "key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context
