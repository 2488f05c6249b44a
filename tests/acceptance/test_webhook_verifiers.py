"""Libraries of receivers verify what is sent: standardwebhooks and svix, in Python and in Node."""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import standardwebhooks
import svix.webhooks

from services.alerts.channels import Channel, Delivered, Sender, webhook
from services.alerts.channels.message import Addressee, compose
from tests.unit.alerts.builders import raised
from tests.unit.alerts.receiver import Received, receiving

ROOT = Path(__file__).parents[2]
NODE_MODULES = ROOT / ".ebbwatch" / "node" / "node_modules"
SCRIPT = Path(__file__).parent / "verifiers" / "verify.cjs"

NEW, OLD, OTHER = (webhook.make_secret(bytes([n]) * 32) for n in (1, 2, 3))
UNPADDED = NEW.rstrip("=")
BODY = compose(
    "0b0f1a9e-6f3a-5d0e-9a55-0123456789ab",
    "opened",
    datetime(2026, 5, 15, 2, tzinfo=UTC),
    raised(account="Zoë & Søn", because={"headline": "−31 % 😀", "text": "<b>\u2028</b>"}),
    Addressee("ana", "owner"),
    "https://desk.example.com",
)


class Verdict(NamedTuple):
    """What a library says of a message: what it holds, or that it is refused."""

    payload: Any
    refused: bool


Verify = Callable[[str, Mapping[str, str], bytes], Verdict]


def python_standardwebhooks(secret: str, headers: Mapping[str, str], body: bytes) -> Verdict:
    try:
        return Verdict(standardwebhooks.Webhook(secret).verify(body, dict(headers)), False)
    except standardwebhooks.WebhookVerificationError:
        return Verdict(None, True)


def python_svix(secret: str, headers: Mapping[str, str], body: bytes) -> Verdict:
    try:
        svix.webhooks.Webhook(secret).verify(body, dict(headers))
    except svix.webhooks.WebhookVerificationError:
        return Verdict(None, True)
    return Verdict(json.loads(body), False)


def node(library: str) -> Verify:
    def verify(secret: str, headers: Mapping[str, str], body: bytes) -> Verdict:
        if not NODE_MODULES.is_dir() or shutil.which("node") is None:
            pytest.skip("the verifiers of Node are missing: deploy/setup.sh tests")
        asked = {"library": library, "secret": secret, "headers": headers, "body": body.decode()}
        found = subprocess.run(
            ["node", str(SCRIPT)],
            input=json.dumps(asked) + "\n",
            env={"PATH": os.environ["PATH"], "NODE_PATH": str(NODE_MODULES)},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        answer = json.loads(found.stdout)
        return Verdict(answer.get("payload"), "error" in answer)

    return verify


VERIFIERS = {
    "python standardwebhooks": python_standardwebhooks,
    "python svix": python_svix,
    "node standardwebhooks": node("standardwebhooks"),
    "node svix": node("svix"),
}


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    made = Sender(10.0)
    yield made
    await made.close()


@pytest.fixture(params=VERIFIERS)
def verify(request: pytest.FixtureRequest) -> Verify:
    return VERIFIERS[request.param]


async def arrived(sender: Sender, *secrets: str, at: datetime | None = None) -> Received:
    """Send the notice by a channel with these secrets, and return what arrives."""
    async with receiving() as receiver:
        channel = Channel(
            "crm",
            "webhook",
            receiver.url,
            secrets,
            (ip_network("127.0.0.0/8"),),
            allow_http=True,
        )
        sent = await sender.send(
            channel, "0b0f1a9e-6f3a-5d0e-9a55-0123456789ab", BODY, at or datetime.now(UTC)
        )
    assert sent == Delivered(204)
    (found,) = receiver.received
    return found


async def test_what_arrives_is_taken_as_it_was_sent(sender: Sender, verify: Verify) -> None:
    found = await arrived(sender, NEW)
    assert verify(NEW, found.headers, found.body) == Verdict(json.loads(BODY), False)
    assert verify(UNPADDED, found.headers, found.body) == Verdict(json.loads(BODY), False)


async def test_while_secrets_change_whoever_knows_either_takes_it(
    sender: Sender, verify: Verify
) -> None:
    found = await arrived(sender, NEW, OLD)
    refused = [verify(one, found.headers, found.body).refused for one in (NEW, OLD, OTHER)]
    assert refused == [False, False, True]


async def test_a_word_that_was_changed_on_the_way_is_noticed(
    sender: Sender, verify: Verify
) -> None:
    found = await arrived(sender, NEW)
    other = found.body.replace(b'"opened"', b'"closed"')
    renamed = {**found.headers, "webhook-id": "msg_other"}
    assert other != found.body
    assert verify(NEW, found.headers, other).refused
    assert verify(NEW, renamed, found.body).refused


@pytest.mark.parametrize("late", [timedelta(minutes=-10), timedelta(minutes=10)])
async def test_the_time_of_the_attempt_is_what_is_checked(
    sender: Sender, verify: Verify, late: timedelta
) -> None:
    found = await arrived(sender, NEW, at=datetime.now(UTC) + late)
    assert verify(NEW, found.headers, found.body).refused


def test_the_lock_file_names_no_registry() -> None:
    text = (SCRIPT.parent / "package-lock.json").read_text()
    assert "://" not in text
    assert all("integrity" in one for name, one in json.loads(text)["packages"].items() if name)
