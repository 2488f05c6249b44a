from pathlib import Path

import pytest

from services.ingest.settings import IngestSettings
from services.settings import (
    SHARED_NAMES,
    ConfigurationError,
    ServiceSettings,
    load_settings,
    local_environment,
)


def faults(environ: dict[str, str], cls: type[ServiceSettings] = ServiceSettings) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(cls, environ)
    return str(raised.value).splitlines()


def test_without_variables_the_documented_defaults_hold() -> None:
    settings = load_settings(ServiceSettings, {"PATH": "/bin", "EBBWATCH_KAFKA": ""})

    assert settings == ServiceSettings(
        kafka="127.0.0.1:19092",
        prefix="ebbwatch.",
        partitions=8,
        redis_url="redis://127.0.0.1:16379/0",
    )


def test_variables_are_read_by_name() -> None:
    environ = {
        "EBBWATCH_KAFKA": "a:1,b:2",
        "EBBWATCH_PARTITIONS": "24",
        "EBBWATCH_SECRET_KEY": "k",
        "EBBWATCH_INGEST_PORT": "9000",
    }

    settings = load_settings(IngestSettings, environ)

    assert (settings.kafka, settings.partitions, settings.ingest_port) == ("a:1,b:2", 24, 9000)
    assert settings.secret_key.get_secret_value() == "k"


def test_all_that_is_wrong_is_named_at_once_with_bound_and_remedy() -> None:
    found = faults(
        {
            "EBBWATCH_PARTITIONS": "0",
            "EBBWATCH_KAFKA": "nowhere",
            "EBBWATCH_LOG_LEVEL": "loud",
            "EBBWATCH_PREFIXX": "x.",
            "EBBWATCH_INGEST_PROT": "1",
        },
        IngestSettings,
    )

    assert found == [
        "EBBWATCH_INGEST_PROT: there is no such setting; did you mean EBBWATCH_INGEST_PORT?",
        "EBBWATCH_KAFKA='nowhere': it must be bootstrap servers, host:port[,host:port]",
        "EBBWATCH_LOG_LEVEL='loud': Input should be 'debug', 'info', 'warning' or 'error'",
        "EBBWATCH_PARTITIONS='0': Input should be greater than or equal to 1",
        "EBBWATCH_PREFIXX: there is no such setting; did you mean EBBWATCH_PREFIX?",
        "EBBWATCH_SECRET_KEY: it is not set, and there is no default",
    ]


def test_a_service_leaves_the_names_of_the_others_to_them() -> None:
    environ = {"EBBWATCH_DETECTOR_ANYTHING": "1", "EBBWATCH_SECRET_KEY": "k"}

    assert load_settings(IngestSettings, environ).ingest_port == 8600
    assert load_settings(ServiceSettings, environ | {"EBBWATCH_INGEST_X": "1"}).partitions == 8


def test_every_shared_name_is_accepted_by_every_service() -> None:
    values = {
        "EBBWATCH_KAFKA": "a:1",
        "EBBWATCH_REDIS_URL": "redis://a:1/0",
        "EBBWATCH_PARTITIONS": "4",
        "EBBWATCH_LOG_LEVEL": "info",
        "EBBWATCH_FAILPOINTS": "detector.fold=kill@3",
    }

    load_settings(IngestSettings, {**dict.fromkeys(SHARED_NAMES, "x"), **values})


def test_a_field_is_the_service_s_own_or_a_documented_shared_name() -> None:
    names = {f"EBBWATCH_{name.upper()}" for name in IngestSettings.model_fields}

    assert {name for name in names if not name.startswith("EBBWATCH_INGEST_")} <= set(SHARED_NAMES)


def test_a_secret_comes_from_its_file_and_no_repr_or_error_shows_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary\n")
    environ = {"EBBWATCH_SECRET_KEY_FILE": str(tmp_path / "secret")}

    settings = load_settings(IngestSettings, environ)
    found = faults({**environ, "EBBWATCH_INGEST_PORT": "x", "EBBWATCH_SECRET_KEY": "canary"})

    assert settings.secret_key.get_secret_value() == "canary"
    assert "canary" not in f"{settings!r} {settings} {found}"


@pytest.mark.parametrize(
    "url, shown",
    [
        ("redis://ana:CANARY@redis.example:6380/1", "redis://redis.example:6380/1"),
        ("rediss://:CANARY@[::1]:6380", "rediss://[::1]:6380"),
        ("redis://redis.example/0?password=CANARY", "redis://redis.example/0"),
        ("unix://ana:CANARY@/run/redis.sock?db=0", "unix:///run/redis.sock"),
    ],
)
def test_no_repr_shows_the_password_of_redis(url: str, shown: str) -> None:
    settings = load_settings(ServiceSettings, {"EBBWATCH_REDIS_URL": url})

    assert settings.redis_url == url
    assert f"redis_url='{shown}'" in repr(settings)
    assert "CANARY" not in f"{settings!r} {settings}"


@pytest.mark.parametrize(
    "url, shown",
    [
        ("redis:/ana:CANARY@redis.example:6380/1", "(hidden)"),
        ("http://ana:CANARY@redis.example", "(hidden)"),
        ("redis://ana:CAN#ARY@redis.example:6380/1", "redis://redis.example:6380/1"),
        ("redis://ana:CAN/ARY@redis.example:6380/1", "redis://redis.example:6380/1"),
        ("redis://ana:CAN?ARY@redis.example:6380/1", "(hidden)"),
        ("redis://ana:C@N@RY@redis.example:6380/1", "redis://redis.example:6380/1"),
        ("redis://ana:x://CANARY@redis.example", "(hidden)"),
        ("redis://ana:CANARY#redis.example", "(hidden)"),
        ("redis://redis.example/0?password=C@NARY#", "(hidden)"),
        ("ana:CANARY@redis.example:6380", "(hidden)"),
        ("CANARY", "(hidden)"),
    ],
)
def test_no_error_shows_the_password_of_redis(url: str, shown: str) -> None:
    assert faults({"EBBWATCH_REDIS_URL": url}) == [
        f"EBBWATCH_REDIS_URL={shown!r}: it must be redis://host:port/db; in a password, write "
        "/ ? # @ as %2F %3F %23 %40"
    ]


@pytest.mark.parametrize("token, kept", [(" t \n", "t"), ("a b", "a b"), (" ", None)])
def test_space_around_a_token_is_no_part_of_it(token: str, kept: str | None) -> None:
    settings = load_settings(ServiceSettings, {"EBBWATCH_TOKEN": token})

    assert (settings.token and settings.token.get_secret_value()) == kept


def test_a_file_that_cannot_be_read_or_that_competes_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing")

    (unread,) = faults({"EBBWATCH_TOKEN_FILE": missing})
    (twice,) = faults({"EBBWATCH_TOKEN_FILE": missing, "EBBWATCH_TOKEN": "t"})

    assert unread.startswith(f"EBBWATCH_TOKEN_FILE='{missing}': the file cannot be read:")
    assert twice == f"EBBWATCH_TOKEN_FILE='{missing}': EBBWATCH_TOKEN is set too; unset one of them"


def test_the_local_platform_s_secret_fills_in_where_there_is_none(tmp_path: Path) -> None:
    assert local_environment(tmp_path, {"A": "1"}) == {"A": "1"}
    (tmp_path / "secret").write_text("local\n")

    assert local_environment(tmp_path, {"A": "1"}) == {"A": "1", "EBBWATCH_SECRET_KEY": "local"}
    for brought in ({"EBBWATCH_SECRET_KEY": "own"}, {"EBBWATCH_SECRET_KEY_FILE": "own"}):
        assert local_environment(tmp_path, brought) == brought
