from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest

from schemas.config import ChannelHealth, ChannelRecord, PersonRecord, RoutingRecord
from services.commands.applying import desk_changes, told
from services.company_channels import ToldChannel
from services.company_desk import DeskFiles
from services.sealing import Sealer
from services.settings import Secret

SEALER = Sealer("key")
ANA, KIM = (PersonRecord(id=id, name=id.title()) for id in ("ana", "kim"))
RECORD = ChannelRecord(name="crm", kind="webhook", url="https://crm.example.com", secret="")
CRM = ToldChannel(RECORD, Secret("whsec_a"))
DESK = DeskFiles({"ana": ANA, "kim": KIM}, RoutingRecord(signal_manager="kim"), {"crm": CRM})


def applied(desk: DeskFiles, before: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """Return what stands in `config.v1` after it."""
    found = dict(before or {})
    for key, value in desk_changes(found, desk, SEALER).items():
        if value is None:
            del found[key]
        else:
            found[key] = value
    return found


def test_all_of_it_is_written_and_the_secret_only_sealed() -> None:
    found = applied(DESK)
    record = msgspec.json.decode(found.pop("channel/crm"), type=ChannelRecord)
    assert msgspec.structs.replace(record, secret="") == RECORD
    assert SEALER.open(record.secret, "channel/crm") == "whsec_a"
    assert found == {
        "person/ana": msgspec.json.encode(ANA),
        "person/kim": msgspec.json.encode(KIM),
        "routing": msgspec.json.encode(RoutingRecord(signal_manager="kim")),
    }


def test_what_says_the_same_is_not_written_again() -> None:
    found = applied(DESK) | {"mode": b"{}", "rules/1": b"{}", "keys/k1": b"{}"}
    assert desk_changes(found, DESK, SEALER) == {}
    assert desk_changes({}, DeskFiles(), None) == {}


def test_what_the_files_do_not_name_any_more_is_deleted() -> None:
    failing = {"channel-health/crm": msgspec.json.encode(ChannelHealth())}
    assert desk_changes(applied(DESK) | failing | {"mode": b"{}"}, DeskFiles(), None) == {
        "channel/crm": None,
        "channel-health/crm": None,
        "person/ana": None,
        "person/kim": None,
        "routing": None,
    }


@pytest.mark.parametrize(
    "changed",
    [
        replace(CRM, secrets=Secret("whsec_b\nwhsec_a")),
        replace(CRM, record=msgspec.structs.replace(RECORD, url="https://crm.example.org")),
        replace(CRM, record=msgspec.structs.replace(RECORD, allow=["10.0.0.0/8"])),
    ],
)
def test_a_channel_that_changed_is_written_and_its_health_begins_anew(
    changed: ToldChannel,
) -> None:
    before = applied(DESK) | {"channel-health/crm": b"{}", "channel-health/other": b"{}"}
    changes = desk_changes(before, replace(DESK, channels={"crm": changed}), SEALER)
    assert (sorted(changes), changes["channel-health/crm"]) == (
        ["channel-health/crm", "channel/crm"],
        None,
    )


def test_under_another_key_secrets_are_sealed_anew() -> None:
    changes = desk_changes(applied(DESK), DESK, Sealer("another key"))
    raw = changes["channel/crm"]
    assert raw is not None
    record = msgspec.json.decode(raw, type=ChannelRecord)
    assert Sealer("another key").open(record.secret, "channel/crm") == "whsec_a"


def test_what_was_done_is_said_by_name() -> None:
    everything = desk_changes({}, DESK, SEALER)
    assert list(told(everything)) == [
        "people: 2 written (ana, kim)",
        "channels: 1 written (crm)",
        "routing: written",
    ]
    fewer = replace(DESK, people={"ana": msgspec.structs.replace(ANA, name="Ana L")})
    other = replace(fewer, routing=RoutingRecord())
    assert list(told(desk_changes(applied(DESK), other, SEALER))) == [
        "people: 1 written (ana), 1 deleted (kim)",
        "routing: deleted",
    ]
    many = {f"person/p{n:02}": b"{}" for n in range(13)}
    assert list(told(many)) == [
        "people: 13 written (p00, p01, p02, p03, p04, p05, p06, p07, p08, p09 and 3 more)"
    ]
