"""What the doctor says of what stands on this machine."""

from pathlib import Path

from services.commands.checks import here
from services.commands.checks.finding import ok, warn
from services.settings import Secret, ServiceSettings
from tests.unit.commands.checks.builders import NOON


def test_secrets_are_asked_for_and_not_shown() -> None:
    key, token = Secret("k3y"), Secret("t0ken")
    assert here.secrets(ServiceSettings()).verdict == "FAIL"
    open_ = here.secrets(ServiceSettings(secret_key=key))
    assert open_ == warn(
        "secrets",
        "EBBWATCH_TOKEN is not set here: without it console and API are open to everybody on the "
        "machine of the alerts service, and to nobody else",
        "to serve others, set EBBWATCH_TOKEN for the alerts service",
    )
    told = here.secrets(ServiceSettings(secret_key=key, token=token))
    assert told == ok("secrets", "EBBWATCH_SECRET_KEY and EBBWATCH_TOKEN are set")


def test_the_companys_files_are_compared_with_what_was_applied(tmp_path: Path) -> None:
    settings = ServiceSettings(config_dir=tmp_path)
    assert here.files(ServiceSettings(), {}, NOON).verdict == "ok"
    assert here.files(settings, {}, NOON).text == (
        f"{tmp_path} says something else than was applied: rules"
    )
    (tmp_path / "rules.toml").write_text("no TOML")
    assert here.files(settings, {}, NOON).text.startswith(f"1 problem in {tmp_path}: rules.toml")


def test_the_disk_is_looked_at_only_where_the_local_kafka_stands(tmp_path: Path) -> None:
    assert here.disk(tmp_path) is None
    (tmp_path / "kafka").mkdir()
    found = here.disk(tmp_path)
    assert found is not None
    assert found.name == "disk"
