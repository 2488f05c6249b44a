"""One Apache Kafka node on loopback: its settings, its command line, and whether it answers."""

import asyncio
import base64
import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from services.daemon import HOST, Daemon, DaemonError

ANSWER_SECONDS = 2.0
JAVA_AT_LEAST = 17
"""Source: Apache Kafka 4.0, notable changes: brokers need Java 17."""

SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{kafka},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{kafka}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
"""

LOGGING = """\
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
appender.console.name=console
appender.console.type=Console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c %m%n
"""


@dataclass(frozen=True, slots=True)
class Kafka:
    """One Apache Kafka node, broker and controller in one.

    Args:
        folder: Its own folder, absolute.
        port: Loopback port for clients.
        controller_port: Loopback port for itself.
        jars: Folder of the jars that `deploy/kafka/pom.xml` names.
    """

    folder: Path
    port: int
    controller_port: int
    jars: Path
    variable = "EBBWATCH_KAFKA"

    @property
    def daemon(self) -> Daemon:
        """Its process, known by the path of its settings."""
        return Daemon("Kafka", self.folder, str(self.folder / "server.properties"))

    @property
    def address(self) -> str:
        """Its bootstrap address."""
        return f"{HOST}:{self.port}"

    @property
    def listens(self) -> dict[str, int]:
        """The clients' port and the controller's."""
        return {"Kafka": self.port, "Kafka's controller": self.controller_port}

    def settings(self) -> str:
        """Return the text of `server.properties`: one node, quick to start, no topic by itself."""
        ports = {"kafka": self.port, "controller": self.controller_port}
        return SETTINGS.format(host=HOST, data=self.folder / "data", **ports)

    def argv(self) -> list[str]:
        """Format the data folder if it is new and return the broker's command line.

        Raises:
            DaemonError: Java or the jars are missing, or Kafka refuses the folder.
        """
        if not any(self.jars.glob("kafka_*.jar")):
            raise DaemonError(
                f"Kafka's jars are not in {self.jars}: run `make install`, "
                "or name a Kafka of your own with EBBWATCH_KAFKA=host:port"
            )
        logging_file = self.folder / "log4j2.properties"
        logging_file.write_text(LOGGING)
        java = [
            find_java(),
            *("-Xms256m", "-Xmx768m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"),
            f"-Dlog4j2.configurationFile={logging_file}",
            *("-cp", f"{self.jars}/*"),
        ]
        if not (self.folder / "data" / "meta.properties").exists():
            self._format(java)
        return [*java, "kafka.Kafka", self.daemon.mark]

    def answers(self) -> bool:
        """Return whether the broker lists itself in the cluster's metadata."""
        return _accepts(self.port) and asyncio.run(_lists_a_broker(self.address))

    def _format(self, java: list[str]) -> None:
        cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        # In one word: an id may begin with a minus sign.
        named = [f"--cluster-id={cluster}", "-c", self.daemon.mark]
        done = subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", *named],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise DaemonError(f"Kafka cannot format {self.folder / 'data'}:\n{done.stderr.strip()}")


def find_java() -> str:
    """Return the absolute path of a Java that runs the broker; `JAVA_HOME` goes before the path.

    Raises:
        DaemonError: There is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    remedy = (
        f"the local Kafka needs Java {JAVA_AT_LEAST} or newer: run `make install`, "
        "or name a Kafka of your own with EBBWATCH_KAFKA=host:port"
    )
    if java is None:
        raise DaemonError(f"no java in {home + '/bin' if home else 'the PATH'}: {remedy}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_AT_LEAST:
        raise DaemonError(f"{java} is {said.splitlines()[0] if said else 'silent'}: {remedy}")
    return java


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), ANSWER_SECONDS):
        return True
    return False


async def _lists_a_broker(bootstrap: str) -> bool:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=bootstrap, request_timeout_ms=round(ANSWER_SECONDS * 1000)
    )
    try:
        await admin.start()
        return bool((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await admin.close()
