import base64
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from schemas.accounts import AccountSummary
from schemas.config import (
    ChannelHealth,
    ChannelRecord,
    PersonRecord,
    RoutingRecord,
    RuleSetContent,
    RuleSetRecord,
)
from services.alerts import directory
from services.alerts.channels import Channel, webhook
from services.commands import channels, routes
from services.commands.channels import Trial, shown, state, try_out
from services.commands.routes import Route, render, routed, silence
from services.company import shipped
from tests.platform import free_port
from tests.unit.alerts.receiver import receiving

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
SECRET = webhook.make_secret(bytes(32))
ACME = AccountSummary(account="acct_42", stamp=7, name="Acme", owner="ana", segment="smb")
ANA, KIM = (PersonRecord(id=id, name=name) for id, name in (("ana", "Ana Lima"), ("kim", "Kim")))
RECORD = ChannelRecord(name="crm", kind="webhook", url="https://crm.example.com", secret="v1:")


def channel(url: str = "https://crm.example.com/T0K3N", **health: Any) -> Channel:
    return Channel(
        "crm",
        "webhook",
        url,
        (SECRET,),
        (ip_network("127.0.0.0/8"),),
        allow_http=True,
        health=ChannelHealth(**health),
    )


def config(**records: object) -> dict[str, bytes]:
    """Keys are written with `__` for a slash."""
    return {
        key.replace("__", "/").replace("health_of", "channel-health"): msgspec.json.encode(value)
        for key, value in records.items()
    }


def known(**records: object) -> directory.DirectorySnapshot:
    return directory.read(None, config(**records))


def test_a_fresh_secret_is_one_that_channels_take() -> None:
    first, second = (CliRunner().invoke(channels.app, ["secret"]).stdout for _ in range(2))
    assert first != second
    assert webhook.secret_fault(first.strip()) is None
    assert len(base64.b64decode(first.strip().removeprefix("whsec_"))) == 32


@pytest.mark.parametrize(
    "one, text, word",
    [
        (channel(), "in use", "ok"),
        (channel(failing_since=NOW), "failing since 2026-05-15 12:00 UTC", "failing"),
        (
            channel(failing_since=NOW, disabled_at=NOW, reason="gone"),
            "switched off since 2026-05-15 12:00 UTC (its endpoint is gone: 410); "
            "`ebbwatch channels enable crm` switches it on again",
            "disabled",
        ),
        (
            channel(failing_since=NOW, disabled_at=NOW, reason="failing"),
            "switched off since 2026-05-15 12:00 UTC (it failed for five days); "
            "`ebbwatch channels enable crm` switches it on again",
            "disabled",
        ),
        (
            Channel("crm", "webhook", "", fault="its secret is damaged"),
            "cannot be used: its secret is damaged",
            "misconfigured",
        ),
    ],
)
def test_a_channel_says_how_it_does_and_what_to_do(one: Channel, text: str, word: str) -> None:
    assert (state(one), shown(one)["state"]) == (text, word)


def test_a_channel_is_shown_without_what_is_secret() -> None:
    assert shown(channel(failing_since=NOW)) == {
        "name": "crm",
        "kind": "webhook",
        "host": "crm.example.com",
        "allow": ["127.0.0.0/8"],
        "allow_http": True,
        "state": "failing",
        "failing_since": NOW,
        "disabled_at": None,
        "reason": None,
        "fault": None,
    }


async def test_a_test_reaches_the_endpoint_also_of_a_channel_that_is_off() -> None:
    async with receiving() as receiver:
        trial = await try_out(channel(receiver.url, disabled_at=NOW, reason="gone"), NOW)
    assert (trial.taken, trial.text.split(",")[0]) == (True, "crm took it: 204")
    (found,) = receiver.received
    assert msgspec.json.decode(found.body)["type"] == "channel.test"


async def test_a_test_that_fails_says_why() -> None:
    trial = await try_out(channel(f"http://127.0.0.1:{free_port()}/T0K3N"), NOW)
    assert not trial.taken
    assert trial.text.startswith("crm did not take it: connection (127.0.0.1: ")
    assert "T0K3N" not in trial.text
    inside = await try_out(channel("https://10.0.0.1/"), NOW)
    assert inside == Trial(
        False,
        "crm did not take it: forbidden_address (10.0.0.1: 10.0.0.1 is not public: private)",
    )


def test_an_alert_goes_to_the_owner_by_every_channel_and_waits_for_those_that_are_off() -> None:
    off = ChannelHealth(disabled_at=NOW, reason="gone")
    found = known(
        person__ana=ANA,
        channel__crm=RECORD,
        channel__ops=msgspec.structs.replace(RECORD, name="ops"),
        channel__old=msgspec.structs.replace(RECORD, name="old"),
        health_of__old=off,
    )
    route = routed(ACME, found, "")
    assert route == Route("ana", "Ana Lima", "owner", ("crm", "old", "ops"), off=("old",))
    assert render(route, ACME) == (
        "Acme (acct_42): Ana Lima (ana) would be told by crm, old and ops; it would wait for old, "
        "switched off, at most three days\n"
        "    the account's owner; whoever a case is assigned to comes first"
    )


def test_an_owner_whom_nobody_knows_leaves_it_to_the_signal_manager() -> None:
    found = known(person__kim=KIM, routing=RoutingRecord(signal_manager="kim"), channel__crm=RECORD)
    route = routed(ACME, found, "")
    assert route == Route("kim", "Kim", "signal_manager", ("crm",))
    assert "the signal manager of company.toml, because the account has no owner" in render(
        route, ACME
    )
    nobody = routed(ACME, known(person__kim=KIM, channel__crm=RECORD), "")
    assert nobody == Route(None, None, "nobody", ("crm",))
    assert render(nobody, ACME).startswith("Acme (acct_42): nobody in particular would be told by")


def test_where_nothing_would_be_sent_the_reason_is_said() -> None:
    assert routed(ACME, known(), "").silent == "there is no channel"
    shadow = routed(ACME, known(channel__crm=RECORD), "rule x is in shadow")
    assert shadow == Route("ana", None, "owner", (), "rule x is in shadow")
    assert render(shadow, ACME).startswith(
        "Acme (acct_42): nobody would be told, because rule x is in shadow\n"
    )


def test_a_rule_that_is_off_or_in_shadow_for_the_account_s_segment_tells_nobody() -> None:
    overrides: list[dict[str, object]] = [
        {"rule": "usage-drop", "segment": "smb", "off": True},
        {"rule": "gone-silent", "shadow": True},
    ]
    content = RuleSetContent(rules=shipped().content.rules, overrides=overrides)
    text = msgspec.json.encode(content).decode()
    found = config(rules__1=RuleSetRecord(n=1, content=text, applied_at=NOW))
    told = [
        silence(found, rule, segment)
        for rule, segment in (
            ("usage-drop", "smb"),
            ("usage-drop", "enterprise"),
            ("gone-silent", None),
            (None, "smb"),
        )
    ]
    assert told == [
        "rule usage-drop is off for this account",
        "",
        "rule gone-silent is in shadow: it is measured and tells nobody",
        "",
    ]
    assert silence({}, "usage-drop", "smb") == ""


def test_a_rule_that_there_is_not_is_told_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit):
        silence({}, "usage-dorp", None)
    assert capsys.readouterr().err.startswith("there is no rule 'usage-dorp'; known are ")


def test_both_groups_say_what_they_can_do() -> None:
    for app, names in (
        (channels.app, ["list", "test", "enable", "secret"]),
        (routes.app, ["test"]),
    ):
        said = CliRunner().invoke(app, ["--help"]).stdout
        assert all(f" {name} " in said for name in names)
