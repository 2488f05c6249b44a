import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.asyncio import Redis

from services import local
from tests.platform import create_topics, eventually, free_ports, require_jars

pytestmark = pytest.mark.integration

KAFKA_ELSEWHERE = {"EBBWATCH_KAFKA": "kafka.example:9092"}
VALKEY_ELSEWHERE = {"EBBWATCH_REDIS_URL": "rediss://ana:hidden@redis.example:6380/1"}


@dataclass
class Platform:
    """A platform in a folder and on ports of its own, and what it said."""

    folder: Path
    ports: local.Ports = field(default_factory=free_ports)
    said: list[str] = field(default_factory=list)

    def up(self, environ: dict[str, str] | None = None) -> local.Addresses:
        return local.up(
            self.folder,
            ports=self.ports,
            jars=require_jars(),
            environ=environ or {},
            tell=self.said.append,
        )

    def status(self, environ: dict[str, str] | None = None) -> list[local.Status]:
        return local.status(self.folder, ports=self.ports, environ=environ or {})

    def pids(self) -> list[int | None]:
        return [line.pid for line in self.status()]

    def down(self) -> None:
        local.down(self.folder, tell=self.said.append)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    started = Platform(tmp_path / "platform")
    yield started
    started.down()


def test_it_goes_up_stays_up_goes_down_and_comes_back_soon(platform: Platform) -> None:
    ports, folder = platform.ports, platform.folder
    addresses = platform.up()
    secret = (folder / "secret").read_text()
    assert addresses.environment() == {
        "EBBWATCH_KAFKA": f"127.0.0.1:{ports.kafka}",
        "EBBWATCH_REDIS_URL": f"redis://127.0.0.1:{ports.valkey}/0",
        "EBBWATCH_SECRET_KEY": secret,
    }
    assert (len(secret), stat.S_IMODE((folder / "secret").stat().st_mode)) == (44, 0o600)
    kafka, valkey = platform.pids()
    assert platform.status() == [
        local.Status("Kafka", f"127.0.0.1:{ports.kafka}", "running", kafka),
        local.Status("Valkey", f"127.0.0.1:{ports.valkey}", "running", valkey),
    ]

    assert platform.up() == addresses
    assert platform.pids() == [kafka, valkey]

    platform.down()
    assert [(line.state, line.pid) for line in platform.status()] == [("stopped", None)] * 2

    begun_at = time.monotonic()
    assert platform.up() == addresses
    # The promise is 10 s on an idle machine; a test machine is not idle.
    assert time.monotonic() - begun_at < 30
    platform.down()
    platform.down()
    assert platform.said[-2:] == ["Valkey: was not running", "Kafka: was not running"]


@pytest.mark.parametrize(
    "held, wanted_by, remedy",
    [
        ("kafka", "Kafka", "EBBWATCH_KAFKA=host:port"),
        ("controller", "Kafka's controller", "EBBWATCH_KAFKA=host:port"),
        ("valkey", "Valkey", "EBBWATCH_REDIS_URL=redis://host:port/0"),
    ],
)
def test_a_taken_port_is_named_with_who_wants_it_and_the_remedy(
    platform: Platform, held: str, wanted_by: str, remedy: str
) -> None:
    port = getattr(platform.ports, held)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(local.LocalError) as raised:
        platform.up(KAFKA_ELSEWHERE if held == "valkey" else None)
    assert str(raised.value) == (
        f"port {port} on 127.0.0.1, which {wanted_by} needs, is taken by another program "
        f"(`ss -ltnp 'sport = :{port}'` shows it): end that program, or name a server of your "
        f"own with {remedy}"
    )
    assert platform.pids() == [None, None]


def test_servers_that_the_environment_names_are_neither_started_nor_asked(
    platform: Platform,
) -> None:
    environ = KAFKA_ELSEWHERE | VALKEY_ELSEWHERE | {"EBBWATCH_SECRET_KEY_FILE": "a-file"}
    addresses = platform.up(environ)
    assert addresses.environment() == KAFKA_ELSEWHERE | VALKEY_ELSEWHERE
    assert platform.said == [
        "Kafka: EBBWATCH_KAFKA names another, none is started here",
        "Valkey: EBBWATCH_REDIS_URL names another, none is started here",
    ]
    assert platform.status(environ) == [
        local.Status("Kafka", "kafka.example:9092", "external", None),
        local.Status("Valkey", "redis.example:6380", "external", None),
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_naming_the_local_server_itself_starts_it(platform: Platform, host: str) -> None:
    named = {"EBBWATCH_REDIS_URL": f"redis://{host}:{platform.ports.valkey}/3"}
    assert platform.up(KAFKA_ELSEWHERE | named).redis_url == named["EBBWATCH_REDIS_URL"]
    assert platform.status()[1].state == "running"


def test_other_ports_than_the_running_ones_are_refused(platform: Platform) -> None:
    platform.up(KAFKA_ELSEWHERE)
    platform.ports = free_ports()
    with pytest.raises(local.LocalError, match=r"Valkey of .* runs with other ports or settings"):
        platform.up(KAFKA_ELSEWHERE)


def test_a_pid_file_that_names_a_stranger_is_not_believed(platform: Platform) -> None:
    platform.up(KAFKA_ELSEWHERE)
    platform.down()
    (platform.folder / "valkey" / "pid").write_text(f"{os.getpid()}\n")
    assert platform.pids() == [None, None]
    platform.down()
    assert platform.said[-2:] == ["Valkey: was not running", "Kafka: was not running"]


def test_a_killed_server_is_started_again(platform: Platform) -> None:
    platform.up(KAFKA_ELSEWHERE)
    _, first = platform.pids()
    assert first is not None
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    platform.up(KAFKA_ELSEWHERE)
    _, second = platform.pids()
    assert second not in (None, first)


def test_missing_jars_and_missing_java_say_what_to_do(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(local.LocalError) as no_jars:
        local.up(platform.folder, ports=platform.ports, jars=tmp_path, environ={}, tell=print)
    assert str(no_jars.value) == (
        f"Kafka's jars are not in {tmp_path}: run `make install`, "
        "or name a Kafka of your own with EBBWATCH_KAFKA=host:port"
    )
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(local.LocalError) as no_java:
        platform.up(VALKEY_ELSEWHERE)
    assert str(no_java.value) == (
        f"no java in {tmp_path}/bin: the local Kafka needs Java 17 or newer: run `make install`, "
        "or name a Kafka of your own with EBBWATCH_KAFKA=host:port"
    )


def test_a_server_that_ends_while_it_starts_shows_its_last_words(platform: Platform) -> None:
    data = platform.folder / "kafka" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=x\nnode.id=7\n")
    with pytest.raises(local.LocalError) as raised:
        platform.up(VALKEY_ELSEWHERE)
    first, *words = str(raised.value).splitlines()
    assert first == f"Kafka ended while it started. Its log is {platform.folder}/kafka/log:"
    assert "Stored node id 7 doesn't match previous node id 1" in words[-1]


async def test_the_fixtures_give_servers_that_work(kafka: str, valkey: str) -> None:
    await create_topics(kafka, "a-topic", partitions=3)
    async with Redis.from_url(valkey) as redis:
        assert await eventually(redis.ping) is True


def test_kafka_starts_with_a_cluster_id_that_looks_like_an_option(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_bytes", lambda size: b"\xf8" * size)
    platform.up(VALKEY_ELSEWHERE)
    written = (platform.folder / "kafka/data/meta.properties").read_text()
    assert "cluster.id=-Pj4" in written
