"""What a receiver gets, and what its answer means."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from schemas.config import ChannelHealth
from services.alerts.channels import Delivered, Refused, webhook
from services.alerts.channels.lookup import Lookup
from services.runtime import version
from tests.platform import free_port
from tests.unit.alerts.channels.attempts import (
    BODY,
    NEW,
    NOTICE,
    OLD,
    answered,
    channel,
    self_signed,
    send,
    sender,
    status,
)
from tests.unit.alerts.receiver import Names, receiving


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
