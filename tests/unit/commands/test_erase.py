import pytest
from typer.testing import CliRunner

from services.cli import app
from services.commands.erase import clock_fault
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
    done = CliRunner().invoke(app, ["erase", kind, "acct_42"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"Kafka at {address} does not do what was asked" in done.stderr


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
