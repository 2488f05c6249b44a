import pytest
from typer.testing import CliRunner

from services.cli import app
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
