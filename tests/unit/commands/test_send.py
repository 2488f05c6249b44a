import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from services.commands.keys import write_key
from services.commands.send import BATCH_EVENTS, SendError, events_of, send, send_events
from tests.platform import free_port

app = typer.Typer()
app.command()(send)


@dataclass
class Ingest:
    """Answers as ingest does; the next answers can be laid down."""

    url: str = ""
    laid: list[tuple[int, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    bodies: list[list[bytes]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def answer(self, lines: list[bytes]) -> tuple[int, dict[str, str], dict[str, Any]]:
        if self.laid:
            return self.laid.pop(0)
        rejected = [
            {"index": n, "id": "", "field": "", "reason": "broken_json", "detail": "no JSON"}
            for n, line in enumerate(lines)
            if not line.startswith(b"{")
        ]
        accepted = len(lines) - len(rejected)
        return (200 if accepted else 400), {}, {"accepted": accepted, "rejected": rejected}


@pytest.fixture
def ingest() -> Iterator[Ingest]:
    state = Ingest()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            lines = self.rfile.read(int(self.headers["Content-Length"])).splitlines()
            state.bodies.append(lines)
            state.keys.append(self.headers["Authorization"])
            status, headers, content = state.answer(lines)
            body = json.dumps(content).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "text, events",
    [
        (b"", []),
        (b'{"a": 1}\n\n{"b": 2}\r\n', [b'{"a": 1}', b'{"b": 2}']),
        (b'[{"a":\n 1}, {"b": 2}]', [b'{"a":1}', b'{"b":2}']),
        (b'{\n "a": 1,\n "b": {}\n}\n', [b'{ "a": 1, "b": {} }']),
        (b"\n  [ ]", []),
        (b"nonsense\n{}", [b"nonsense", b"{}"]),
    ],
)
def test_lines_arrays_and_one_object_are_taken_apart(text: bytes, events: list[bytes]) -> None:
    assert list(events_of(io.BytesIO(text))) == events


def test_a_broken_array_is_an_error() -> None:
    with pytest.raises(SendError, match="the array cannot be read"):
        list(events_of(io.BytesIO(b"[1, ")))


def test_lines_are_read_as_they_come() -> None:
    class Pipe(io.BytesIO):
        def __next__(self) -> bytes:
            line = super().readline()
            assert line != b"later\n"
            return line

    events = events_of(Pipe(b"{}\nlater\n"))

    assert next(events) == b"{}"


def test_events_go_in_batches_and_refusals_are_numbered_through(ingest: Ingest) -> None:
    events = [b"{}"] * BATCH_EVENTS + [b"x", b"{}", b"y"]

    sent = send_events(events, ingest.url, "k", 5)

    assert [len(lines) for lines in ingest.bodies] == [BATCH_EVENTS, 3]
    assert (sent.accepted, [each.index for each in sent.rejected]) == (501, [501, 503])
    assert set(ingest.keys) == {"Bearer k"}


def test_a_long_event_ends_its_batch(ingest: Ingest) -> None:
    long = b'{"x": "' + b"x" * 3_000_000 + b'"}'

    send_events([long, long, b"{}"], ingest.url, "k", 5)

    assert [len(lines) for lines in ingest.bodies] == [2, 1]


def test_503_is_tried_again_when_the_service_says(ingest: Ingest) -> None:
    told: list[str] = []
    unavailable = {"error": "unavailable", "detail": "run `ebbwatch live`"}
    ingest.laid = [(503, {"Retry-After": "0"}, unavailable)] * 2

    sent = send_events([b"{}"], ingest.url, "k", 5, told.append)

    assert (sent.accepted, len(ingest.bodies)) == (1, 3)
    assert told == ["trying again in 0 s: run `ebbwatch live`"] * 2


def test_it_gives_up_when_the_time_is_over(ingest: Ingest) -> None:
    ingest.laid = [(503, {"Retry-After": "9"}, {"error": "unavailable", "detail": "Kafka"})]

    with pytest.raises(SendError, match="given up after 5 s: Kafka"):
        send_events([b"{}"], ingest.url, "k", 5)
    with pytest.raises(SendError, match="does not answer"):
        send_events([b"{}"], f"http://127.0.0.1:{free_port()}", "k", 0.5)


@pytest.mark.parametrize("status", [401, 413, 500])
def test_another_error_ends_it_with_the_reason(ingest: Ingest, status: int) -> None:
    ingest.laid = [(status, {}, {"error": "e", "detail": "the reason"})]

    with pytest.raises(SendError, match=f"HTTP {status}: the reason"):
        send_events([b"{}"], ingest.url, "k", 5)


def test_another_scheme_is_refused() -> None:
    with pytest.raises(SendError, match="must begin with http"):
        send_events([b"{}"], "file:///etc", "k", 5)


def test_the_command_takes_the_saved_key_and_shows_refusals(
    ingest: Ingest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("events").write_text('{"id": 1}\nbroken\n')
    write_key(Path(".ebbwatch/key"), "saved")

    outcome = CliRunner().invoke(app, ["events", "--url", ingest.url])

    assert (outcome.exit_code, ingest.keys) == (1, ["Bearer saved"])
    assert outcome.output.splitlines() == [
        "accepted 1, refused 1",
        "  event 2 (no id): broken_json: no JSON",
    ]


def test_the_command_reads_a_pipe_and_prints_json(ingest: Ingest, tmp_path: Path) -> None:
    outcome = CliRunner().invoke(
        app, ["-", "--url", ingest.url, "--key", "k", "--json"], input='{"id": 1}\n'
    )

    assert (outcome.exit_code, outcome.output) == (0, '{"accepted":1,"rejected":[]}\n')


def test_without_a_key_or_a_file_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("events").write_text("{}")

    keyless = CliRunner().invoke(app, ["events"])
    fileless = CliRunner().invoke(app, ["nothing", "--key", "k"])

    assert (keyless.exit_code, fileless.exit_code) == (1, 1)
    assert "ebbwatch keys create --source SOURCE --save" in keyless.output
    assert "No such file" in fileless.output


def test_a_saved_key_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    path.parent.mkdir()
    path.write_text("old")
    path.chmod(0o644)

    write_key(path, "new")

    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new\n", 0o600)
