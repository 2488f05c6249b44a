"""A whole deployment of its own on the test broker: commands, services, what they counted."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from services.detector.calendars import to_date
from tests.platform import eventually, free_port

ROOT = Path(__file__).parents[2]
PARTITIONS = 8


class Deployment:
    """Topics under a prefix of their own, and the services as processes.

    Args:
        kafka: Bootstrap address.
        folder: Takes logs and company files.
        partitions: Partition count.
        settings: More variables, by name.
        redis_url: Where the view is; the alerts service does without if it is nowhere.
    """

    def __init__(
        self,
        kafka: str,
        folder: Path,
        partitions: int = PARTITIONS,
        settings: Mapping[str, str] | None = None,
        redis_url: str = "redis://127.0.0.1:1/0",
    ) -> None:
        self.kafka = kafka
        self.folder = folder
        self.prefix = f"t{uuid.uuid4().hex[:8]}."
        self.ingest_port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.detector_ports: dict[int, int] = {}
        self.alerts_ports: dict[int, int] = {}
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "EBBWATCH_KAFKA": kafka,
            "EBBWATCH_REDIS_URL": redis_url,
            "EBBWATCH_PREFIX": self.prefix,
            "EBBWATCH_PARTITIONS": str(partitions),
            "EBBWATCH_SECRET_KEY": "a pepper of the tests' own, long enough",
            "EBBWATCH_INGEST_PORT": str(self.ingest_port),
            "EBBWATCH_URL": f"http://127.0.0.1:{self.ingest_port}",
            "EBBWATCH_DETECTOR_FLUSH_SECONDS": "0.3",
            "EBBWATCH_DETECTOR_SESSION_SECONDS": "6",
            "EBBWATCH_ALERTS_FLUSH_SECONDS": "0.5",
            "EBBWATCH_ALERTS_SESSION_SECONDS": "6",
            **(settings or {}),
        }

    def ebbwatch(self, *arguments: str, code: int = 0, timeout: float = 120) -> str:
        """Run a command; return what it printed; fail if its exit code is another one."""
        done = subprocess.run(
            [sys.executable, "-m", "services", *arguments],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def prepare(self, *, live: bool = True) -> None:
        """Make topics and the shipped rule set, and go live."""
        self.ebbwatch("topics", "apply")
        self.ebbwatch("config", "apply")
        if live:
            self.ebbwatch("live")

    def key(self) -> str:
        """Make an API key for every source."""
        return next(
            word
            for word in self.ebbwatch("keys", "create", "--source", "*").split()
            if word.startswith("ebw_")
        )

    def start(self, service: str, number: int = 0) -> subprocess.Popen[bytes]:
        """Start a service; its output goes into a file."""
        name = f"{service}-{number}"
        environ = dict(self.environ)
        if service == "detector":
            port = self.detector_ports.setdefault(number, free_port())
            environ["EBBWATCH_DETECTOR_PORT"] = str(port)
            environ["EBBWATCH_DETECTOR_INSTANCE"] = name
        if service == "alerts":
            port = self.alerts_ports.setdefault(number, free_port())
            environ["EBBWATCH_ALERTS_PORT"] = str(port)
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "services", "serve", service, "--number", str(number)],
                cwd=self.folder,
                env=environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes[name] = process
        return process

    def desk(self, number: int = 0) -> str:
        """Return where a replica of the alerts service listens."""
        return f"http://127.0.0.1:{self.alerts_ports[number]}"

    def kill(self, name: str) -> None:
        """Kill -9."""
        self.processes[name].kill()
        self.processes[name].wait(10)

    def end(self, name: str, within: float = 10.0) -> int:
        """Ask a service to end; return its exit code; it has ten seconds."""
        process = self.processes.pop(name)
        process.terminate()
        return process.wait(within)

    def stop(self) -> None:
        """End everything, politely first."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def log(self, name: str) -> str:
        """Return what a service has written."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def accounts(self) -> dict[str, dict[str, Any]]:
        """Return what is counted, by account, read from the snapshot."""
        lines = self.ebbwatch("accounts", "show", "--all", "--json").splitlines()
        return {line["account"]: line for line in map(json.loads, lines)}

    def alerts(self) -> list[dict[str, Any]]:
        """Return every record of the alert log, read committed."""
        lines = self.ebbwatch("alerts", "list", "--json", "--all").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def counted(
        self, wanted: Mapping[tuple[str, str, str], int], within: float = 60.0
    ) -> dict[tuple[str, str, str], int]:
        """Wait until as much is counted as was sent; return all day buckets, in thousandths."""

        def enough() -> dict[tuple[str, str, str], int] | None:
            found = buckets(self.accounts().values())
            return found if sum(found.values()) >= sum(wanted.values()) else None

        found = await eventually(enough, within=within, what="everything to be counted")
        assert found is not None
        return found


def buckets(accounts: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str, str], int]:
    """Return (account, metric, date) → thousandths of what `accounts show` says, without people."""
    return {
        (line["account"], metric, day): round(quantity * 1000)
        for line in accounts
        for metric, days in line["buckets"].items()
        if not metric.startswith("@")
        for day, quantity in days.items()
    }


def recount(events: Iterable[Mapping[str, Any]], day: int) -> Counter[tuple[str, str, str]]:
    """Count usage events once per (source, id), in plain Python; all of them of one day."""
    seen: set[tuple[str, str]] = set()
    found: Counter[tuple[str, str, str]] = Counter()
    for event in events:
        identity = (event["source"], event["id"])
        if event["type"] != "usage.recorded" or identity in seen:
            continue
        seen.add(identity)
        key = (event["subject"], event["data"]["metric"], to_date(day).isoformat())
        found[key] += round(event["data"]["quantity"] * 1000)
    return found
