import msgspec
import pytest
from typer.testing import CliRunner

from services.cli import app
from services.commands.erase import clock_fault, names
from tests.platform import free_port


@pytest.mark.parametrize("kind", ["account", "person"])
@pytest.mark.parametrize("id", ["", "a" * 201, "acct\x1b[2J", "acct\n"])
def test_what_can_be_no_id_is_refused(kind: str, id: str) -> None:
    done = CliRunner().invoke(app, ["erase", kind, id])
    assert (done.exit_code, done.stderr) == (2, "an id has 1 to 200 printable characters\n")


@pytest.mark.parametrize("kind", ["account", "person"])
def test_nothing_is_said_to_be_erased_while_kafka_is_away(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("EBBWATCH_KAFKA", address)
    done = CliRunner().invoke(app, ["erase", kind, "acct_42", "--yes"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"Kafka at {address} does not do what was asked" in done.stderr


@pytest.mark.parametrize("kind", ["account", "person"])
def test_nothing_is_erased_where_nobody_can_be_asked(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EBBWATCH_KAFKA", f"127.0.0.1:{free_port()}")
    done = CliRunner().invoke(app, ["erase", kind, "acct_42"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{kind} 'acct_42' ")
    assert done.stderr.endswith("for good: nobody can be asked here, so say --yes\n")


@pytest.mark.parametrize(
    "ahead, told",
    [
        (0, None),
        (600, None),
        (601, "nothing is erased: this machine's clock is 601 s ahead of Kafka's"),
        (-60, None),
        (-3_600, "is 3600 s behind Kafka's: what came in that time is not erased"),
    ],
)
def test_an_erasure_by_a_clock_that_is_wrong_is_not_said_to_be_done(
    ahead: int, told: str | None
) -> None:
    now = 1_800_000_000 * 1_000_000
    fault = clock_fault(now + ahead * 1_000_000, now)
    assert fault is None if told is None else told in (fault or "")


@pytest.mark.parametrize(
    "subject, id, known",
    [
        ("account:acct_42", "acct_42", True),
        ("account:acct_7", "acct_7", True),  # only in parts of its own
        ("account:acct_9", "acct_9", True),  # a person has joined it
        ("person:u1", "u1", True),
        ("person:ana", "ana", True),  # among the people of an account
        ("account:acct_4", "acct_4", False),
        ("account:an", "an", False),
        ("person:nope", "nope", False),
    ],
)
def test_an_id_is_known_if_a_snapshot_has_it_as_a_subject_or_within_one(
    subject: str, id: str, known: bool
) -> None:
    snapshot = {
        "~ledger": msgspec.msgpack.encode({"stamp": 9}),
        "account:acct_42": msgspec.msgpack.encode({"people": {"ana": 3}}),
        "account:acct_7\x1fdays\x1f0": b"",
        "person:u1": msgspec.msgpack.encode({"v": 1, "account": "acct_9"}),
    }
    assert names(snapshot, subject, id) is known
