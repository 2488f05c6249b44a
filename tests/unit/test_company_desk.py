from pathlib import Path

import pytest

from schemas.config import ChannelRecord, PersonRecord, RoutingRecord, WorkingHours
from services.alerts.channels import webhook
from services.company import Company, read_company, shipped
from services.company_desk import DeskFiles
from services.company_files import Problem
from services.settings import Secret

NEW, OLD = (webhook.make_secret(bytes([n]) * 32) for n in (1, 2))
PEOPLE = """
[person.ana]
name = "Ana Lima"
email = "ana@example.com"
slack = "U024BE7LH"
manager = "kim"
hours = { days = "mon-fri", from = "09:00", to = "18:00", timezone = "UTC", country = "PT" }

[person.kim]
name = "Kim Larsen"
"""
CRM = """
[channel.crm]
kind = "webhook"
url = "https://crm.example.com/hooks/ebbwatch"
secret_file = "secrets/crm"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A company's folder with one file of secrets."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "crm").write_text(f"{NEW}\n\n  {OLD}\n")
    return tmp_path


def desk(folder: Path, **files: str) -> DeskFiles:
    found = read(folder, files)
    assert isinstance(found, Company), "\n".join(map(str, found))
    return found.desk


def problems(folder: Path, **files: str) -> list[str]:
    found = read(folder, files)
    assert isinstance(found, list)
    return [str(one) for one in found]


def read(folder: Path, files: dict[str, str]) -> Company | list[Problem]:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return read_company(folder, ())


def test_people_routing_and_channels_are_read(folder: Path) -> None:
    told = CRM + 'allow = ["10.20.0.0/16", "fd00::/8"]\nallow_http = true\n'
    found = desk(folder, company='signal_manager = "kim"', directory=PEOPLE, channels=told)
    assert found.people == {
        "ana": PersonRecord(
            id="ana",
            name="Ana Lima",
            email="ana@example.com",
            slack="U024BE7LH",
            manager="kim",
            hours=WorkingHours(
                days="mon-fri", start="09:00", end="18:00", timezone="UTC", country="PT"
            ),
        ),
        "kim": PersonRecord(id="kim", name="Kim Larsen"),
    }
    assert found.routing == RoutingRecord(signal_manager="kim")
    assert found.channels["crm"].record == ChannelRecord(
        name="crm",
        kind="webhook",
        url="https://crm.example.com/hooks/ebbwatch",
        secret="",
        allow=["10.20.0.0/16", "fd00::/8"],
        allow_http=True,
    )
    assert found.channels["crm"].secrets == Secret(f"{NEW}\n{OLD}")
    assert NEW not in repr(found)


def test_a_company_that_says_nothing_has_nobody_and_no_channel(folder: Path) -> None:
    assert desk(folder) == shipped().desk == DeskFiles()


def test_a_file_of_secrets_may_stand_elsewhere(folder: Path) -> None:
    elsewhere = folder / "secrets" / "crm"
    told = CRM.replace("secrets/crm", str(elsewhere))
    assert desk(folder, channels=told).channels["crm"].secrets == Secret(f"{NEW}\n{OLD}")


@pytest.mark.parametrize(
    "text, said",
    [
        ("[person.ana]\n", ["directory.toml:1: name: Field required"]),
        ('[person.ana]\nname = ""\n', ["directory.toml:2: name: String should have at least 1"]),
        (
            '[person.ana]\nname = "Ana"\nmail = "a@b"\n',
            ["directory.toml:3: there is no key mail; known are email, hours, manager"],
        ),
        (
            '[person.ana]\nname = "Ana"\nemail = "ana example.com"\n',
            ["directory.toml:3: email: String should match pattern"],
        ),
        (
            '[person.ana]\nname = "Ana"\nmanager = "kim"\n',
            ["directory.toml:3: manager: there is no person 'kim' in directory.toml"],
        ),
        (
            '[person.ana]\nname = "Ana"\nmanager = "ana"\n',
            ["directory.toml:3: manager: 'ana' would be, over others, the manager of 'ana'"],
        ),
        (
            '[person.a]\nname = "A"\nmanager = "b"\n[person.b]\nname = "B"\nmanager = "a"\n'
            '[person.c]\nname = "C"\nmanager = "a"\n',
            [
                "directory.toml:3: manager: 'a' would be, over others, the manager of 'a'",
                "directory.toml:6: manager: 'b' would be, over others, the manager of 'b'",
            ],
        ),
        (
            '[people.ana]\nname = "Ana"\n',
            ["directory.toml:1: there is no key people; known are pe"],
        ),
        ("person = 3\n", ["directory.toml:1: person: Input should be a valid dictionary"]),
        ("[person]\nana = 3\n", ["directory.toml:2: person.ana: Input should be a valid dict"]),
        (
            f'[person."{"a" * 201}"]\nname = "Ana"\n',
            [f"directory.toml:1: person.{'a' * 201}: String should have at most 200 characters"],
        ),
        (
            '[person."a\\u0007"]\nname = "Ana"\n',
            ["directory.toml:1: person.a\x07: String should match pattern"],
        ),
    ],
)
def test_what_is_wrong_with_people_is_told_with_its_line(
    folder: Path, text: str, said: list[str]
) -> None:
    found = problems(folder, directory=text)
    assert [one[: len(begin)] for one, begin in zip(found, said, strict=True)] == said


@pytest.mark.parametrize(
    "change, said",
    [
        ('days = "mon-fry"', "days: weekdays are such as 'mon-fri' or 'mon,wed-fri' (it is 'mon-f"),
        ('days = ""', "days: weekdays are such as"),
        ('from = "9:00"', "from: a time is such as '09:00' (it is '9:00')"),
        ('to = "24:00"', "to: a time is such as '09:00' (it is '24:00')"),
        ('to = "09:00"', "hours end at 09:00, not after they begin at 09:00"),
        ('timezone = "Lisbon"', "timezone: there is no such time zone; IANA names are such as"),
        ('timezone = "/etc"', "timezone: there is no such time zone"),
        ('country = "Portugal"', "country: String should match pattern"),
    ],
)
def test_hours_that_are_none_are_told(folder: Path, change: str, said: str) -> None:
    key = change.split(" ")[0]
    start = PEOPLE.index(f"{key} = ")
    end = min(PEOPLE.index(mark, start) for mark in (",", " }") if mark in PEOPLE[start:])
    (found,) = problems(folder, directory=PEOPLE[:start] + change + PEOPLE[end:])
    assert found.startswith("directory.toml:7: hours")
    assert said in found


@pytest.mark.parametrize("days", ["mon-fri", "mon", "mon,wed-fri", "sat-sun", "fri-mon"])
def test_weekdays_are_written_as_people_do(folder: Path, days: str) -> None:
    hours = desk(folder, directory=PEOPLE.replace("mon-fri", days)).people["ana"].hours
    assert hours is not None
    assert hours.days == days


def test_the_signal_manager_is_one_of_the_people(folder: Path) -> None:
    told = 'currency = "EUR"\nsignal_manager = "joe"\n'
    assert problems(folder, company=told, directory=PEOPLE) == [
        "company.toml:2: signal_manager: there is no person 'joe' in directory.toml"
    ]


@pytest.mark.parametrize(
    "old, new, said",
    [
        ('"webhook"', '"fax"', "3: kind: 'fax' does not exist; known are webhook"),
        (
            "https:",
            "http:",
            "4: url: its scheme is 'http', not https; allow_http = true lifts that",
        ),
        (
            "crm.example.com",
            "10.0.0.1",
            "4: url: 10.0.0.1 is not public: private; list its network in `allow` if it is meant",
        ),
        ("crm.example.com", "crm.example.com:25", "4: url: port 25 is not 443 or 8443; allow_http"),
        ("https://crm.example.com/hooks/ebbwatch", "", "4: url: String should have at least 1"),
        ('secret_file = "secrets/crm"', "", "2: secret_file: Field required"),
        ("channel.crm", 'channel."My CRM"', "2: channel.My CRM: String should match pattern"),
        (
            'secret_file = "secrets/crm"',
            'secret_file = "secrets/crm"\ncolour = 1',
            "6: there is no key colour; known are allow, allow_http, kind, secret_file, url",
        ),
        (
            'secret_file = "secrets/crm"',
            'secret_file = "secrets/crm"\nallow = ["10.0.0.0/8", "10.0.0.1/8"]',
            "6: allow.1: 10.0.0.1/8 has host bits set; a network is such as '10.20.0.0/16' (it is",
        ),
        (
            'secret_file = "secrets/crm"',
            'secret_file = "secrets/crm"\nallow_http = "yes"',
            "6: allow_http: Input should be a valid boolean (it is 'yes')",
        ),
    ],
)
def test_what_is_wrong_with_a_channel_is_told_with_its_line(
    folder: Path, old: str, new: str, said: str
) -> None:
    (found,) = problems(folder, channels=CRM.replace(old, new))
    assert found.startswith(f"channels.toml:{said}")


def test_a_missing_secret_says_how_to_make_one(folder: Path) -> None:
    (folder / "secrets" / "crm").unlink()
    assert problems(folder, channels=CRM) == [
        "channels.toml:5: secret_file: secrets/crm cannot be read: No such file or directory; "
        f"`ebbwatch channels secret > {folder}/secrets/crm` makes it"
    ]


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "secrets/crm has 0 secrets; one a line, at least 1, at most 4"),
        (f"{NEW}\n".encode() * 5, "secrets/crm has 5 secrets; one a line, at least 1, at most 4"),
        (b"\xff\xfe", "secrets/crm cannot be read: it is no text; `ebbwatch channels secret"),
        (
            b"hunter2",
            "secret 1 in secrets/crm: it does not begin with whsec_; `ebbwatch channels s",
        ),
        (
            f"{NEW}\nwhsec_hunter2=".encode(),
            "secret 2 in secrets/crm: it has 5 bytes; at least 24, at most 64; `ebbwatch channels",
        ),
    ],
)
def test_a_secret_that_is_none_is_told_and_never_shown(
    folder: Path, content: bytes, said: str
) -> None:
    (folder / "secrets" / "crm").write_bytes(content)
    (found,) = problems(folder, channels=CRM)
    assert found.startswith(f"channels.toml:5: secret_file: {said}")
    assert "hunter2" not in found


def test_all_that_is_wrong_is_told_at_once(folder: Path) -> None:
    found = problems(
        folder,
        company='signal_manager = "joe"',
        directory=PEOPLE.replace('"kim"', '"kam"') + "[person.x]\n",
        channels=CRM.replace("webhook", "fax", 1) + "colour = 1\n[channel.b]\n",
    )
    assert [one.split(" ")[0] for one in found] == [
        "channels.toml:3:",
        "channels.toml:6:",
        "channels.toml:7:",
        "channels.toml:7:",
        "channels.toml:7:",
        "company.toml:1:",
        "directory.toml:6:",
        "directory.toml:11:",
    ]
