"""What README.md and CONTRIBUTING.md say is typed, looked up and found as they say."""

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.company import shipped
from tests.platform import free_port

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
MADE = (".venv/", ".ebbwatch/")
"""Folders that commands make; no clone holds them."""


class Shell:
    """A reader's shell in an empty folder, with `ebbwatch` in its PATH."""

    def __init__(self, folder: Path, kafka: str) -> None:
        ingest = free_port()
        self.folder = folder
        self.environ = {
            **os.environ,
            "PATH": f"{_with_ebbwatch(folder / 'bin')}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "EBBWATCH_KAFKA": kafka,
            # Named so that `local up` starts no Valkey on the default port; no service asks it.
            "EBBWATCH_REDIS_URL": "redis://not-asked-for:1/0",
            "EBBWATCH_PREFIX": f"t{uuid.uuid4().hex[:8]}.",
            "EBBWATCH_INGEST_PORT": str(ingest),
            "EBBWATCH_URL": f"http://127.0.0.1:{ingest}",
            "EBBWATCH_DETECTOR_PORT": str(free_port()),
            "EBBWATCH_DETECTOR_FLUSH_SECONDS": "0.3",
        }

    def type(self, text: str) -> str:
        """Run some lines as a reader does; return what they print; each must end with 0."""
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", text],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, text: str) -> subprocess.Popen[bytes]:
        """Run a line in a terminal of its own."""
        with (self.folder / "run.log").open("wb") as log:
            return subprocess.Popen(
                ["bash", "-c", f"exec {text}"],
                cwd=self.folder,
                env=self.environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


def _interrupted(process: subprocess.Popen[bytes]) -> int:
    """Press Ctrl-C; return the exit code; whoever does not end in time is killed, which shows."""
    process.send_signal(signal.SIGINT)
    try:
        return process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(10)


def _with_ebbwatch(folder: Path) -> Path:
    folder.mkdir()
    command = folder / "ebbwatch"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m services "$@"\n')
    command.chmod(0o755)
    return folder


@pytest.fixture
def shell(kafka: str, tmp_path: Path) -> Iterator[Shell]:
    ours = Shell(tmp_path, kafka)
    yield ours
    ours.type("ebbwatch local down")


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_the_readme_s_commands_count_the_event_that_they_send(shell: Shell) -> None:
    before, after = re.findall(r"^```sh\n(.*?)^```$", _read("README.md"), re.M | re.S)
    assert re.search(r"^ebw_live_[\w-]+$", shell.type(before), re.M)
    days = [datetime.now(UTC).date()]
    running = shell.start("ebbwatch run")
    try:
        told = shell.type(after)
        line = json.loads(shell.type("ebbwatch accounts show acct_42 --json"))
    finally:
        code = _interrupted(running)
    # A run over midnight may count the event on either day.
    days.append(days[0] + timedelta(days=1))
    assert "accepted 1, refused 0\n" in told
    assert re.search(r"^acct_42  \(partition \d, stamp \d+", told, re.M)
    assert re.search(r"^  api_calls .* newest \d{4}-\d\d-\d\d 3$", told, re.M)
    assert re.search(r"^  people    1$", told, re.M)
    assert "\nno open alert\n" in told
    assert {rule["id"] for rule in shipped().content.rules} <= set(told.split())
    assert line["buckets"]["api_calls"] in [{day.isoformat(): 3} for day in days]
    assert code == 0, (shell.folder / "run.log").read_text()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_command_that_is_named_exists(document: str) -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", _read("Makefile"), re.M))
    named = {name for code in _code(document) for name in re.findall(r"\bmake ([a-z]+)", code)}
    assert named
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_is_named_exists(document: str) -> None:
    paths = {path for code in _code(document) for path in _paths(code)}
    paths |= set(re.findall(r"\]\(([^)#:]+)\)", _read(document)))
    assert paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_is_named_exists(document: str) -> None:
    for code in _code(document):
        for path, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", code):
            assert re.search(rf"^(async )?def {name}\b", _read(path), re.M), f"{path}::{name}"


def _read(path: str) -> str:
    return (ROOT / path).read_text()


def _code(document: str) -> list[str]:
    """Return a document's commands: its blocks of shell, and what stands between backticks."""
    text = _read(document)
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    blocks = [block for language, block in fenced if language in ("", "sh")]
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.M | re.S)
    return [*blocks, *re.findall(r"`([^`]+)`", prose)]


def _paths(code: str) -> list[str]:
    """Return what is a path of this repository; a name in angle brackets is the reader's own."""
    words = re.split(r"[\s=\"']+|::", code)
    return [
        word
        for word in words
        if re.fullmatch(r"\w[\w.-]*\.md|[\w.][\w.-]*/[\w./-]*", word) and not word.startswith(MADE)
    ]
