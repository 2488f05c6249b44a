"""`ebbwatch send`: posts events from a file or a pipe."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import chain, islice
from pathlib import Path
from typing import IO, Annotated, Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import msgspec
import typer

from services.commands.terminal import LOCAL_FOLDER, fail, show_json
from services.runtime import ExitCode

BATCH_EVENTS: Final = 500
BATCH_BYTES: Final = 4_000_000
DEFAULT_URL: Final = "http://127.0.0.1:8600"
RETRY_SECONDS: Final = 1.0
RETRIED: Final = (429, 503)

_array = msgspec.json.Decoder(list[msgspec.Raw])


class _Rejected(msgspec.Struct, frozen=True):
    index: int
    id: str
    field: str
    reason: str
    detail: str


class _Answer(msgspec.Struct, frozen=True):
    accepted: int
    rejected: list[_Rejected]


class _Problem(msgspec.Struct, frozen=True):
    error: str
    detail: str


class SendError(Exception):
    """The service does not take the events; the message says why."""


@dataclass
class Sent:
    """What became of the events.

    Attributes:
        accepted: How many were accepted.
        rejected: The others, numbered from 1 in the order of the input.
    """

    accepted: int = 0
    rejected: list[_Rejected] = field(default_factory=list)


def send(
    file: Annotated[str, typer.Argument(help="NDJSON, a JSON array or one event; - for stdin.")],
    url: Annotated[str, typer.Option(envvar="EBBWATCH_URL", help="Where ingest is.")] = DEFAULT_URL,
    key: Annotated[
        str | None,
        typer.Option(
            envvar="EBBWATCH_KEY",
            show_envvar=False,
            help=f"API key; else EBBWATCH_KEY, EBBWATCH_KEY_FILE, {LOCAL_FOLDER / 'key'}.",
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to go on trying a batch.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Send native events and wait until they are durable; exit 1 if any is refused."""
    try:
        source = nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb")  # noqa: SIM115
        with source as stream:
            sent = send_events(events_of(stream), url, key or _saved_key(), timeout)
    except (OSError, SendError) as error:
        fail(str(error))
    _show(sent, as_json)
    if sent.rejected:
        raise typer.Exit(ExitCode.FAILED)


def events_of(stream: IO[bytes]) -> Iterator[bytes]:
    """Take NDJSON, an array, or one object over several lines apart.

    Args:
        stream: The input; NDJSON is read as it comes.

    Raises:
        SendError: It is an array that cannot be read.
    """
    lines = (line.strip() for line in stream)
    first = next((line for line in lines if line), b"")
    if first.startswith(b"["):
        body = b"\n".join(chain((first,), lines))
        try:
            yield from (msgspec.json.format(raw, indent=-1) for raw in _array.decode(body))
        except msgspec.MsgspecError as error:
            raise SendError(f"the array cannot be read: {error}") from error
    elif first and not _is_whole(first):
        yield b" ".join(chain((first,), lines))
    else:
        yield from (line for line in chain((first,), lines) if line)


def _is_whole(line: bytes) -> bool:
    """Tell NDJSON, whose first line is complete, from an object over several lines."""
    return not line.startswith(b"{") or line.endswith(b"}")


def send_events(
    events: Iterable[bytes],
    url: str,
    key: str,
    timeout: float,
    tell: Callable[[str], None] = lambda text: typer.echo(text, err=True),
) -> Sent:
    """Post events in batches, each until it is acknowledged.

    Args:
        events: JSON of one event each, without line breaks.
        url: Where ingest is.
        key: API key.
        timeout: How long to go on trying one batch, seconds.
        tell: Takes a line for the user.

    Raises:
        SendError: The service refuses, or is not to be reached for so long.
    """
    sent, number = Sent(), 0
    for batch in _batches(events):
        answer = _post(b"\n".join(batch), url, key, timeout, tell)
        sent.accepted += answer.accepted
        sent.rejected += [
            msgspec.structs.replace(each, index=number + each.index + 1) for each in answer.rejected
        ]
        number += len(batch)
    return sent


def _batches(events: Iterable[bytes]) -> Iterator[list[bytes]]:
    rest = iter(events)
    while batch := list(islice(rest, 1)):
        size = len(batch[0])
        for event in islice(rest, BATCH_EVENTS - 1):
            batch.append(event)
            size += len(event)
            if size > BATCH_BYTES:
                break
        yield batch


def _post(body: bytes, url: str, key: str, timeout: float, tell: Callable[[str], None]) -> _Answer:
    end = time.monotonic() + timeout
    while True:
        answer = _try(body, url, key)
        if isinstance(answer, _Answer):
            return answer
        wait, why = answer
        if time.monotonic() + wait > end:
            raise SendError(f"given up after {timeout:g} s: {why}")
        tell(f"trying again in {wait:g} s: {why}")
        time.sleep(wait)


def _try(body: bytes, url: str, key: str) -> _Answer | tuple[float, str]:
    """Post once; returns how long to wait, and why, if it may succeed later."""
    headers = {"Content-Type": "application/x-ndjson", "Authorization": f"Bearer {key}"}
    target = url.rstrip("/") + "/v1/events"
    if not target.startswith(("http://", "https://")):
        raise SendError(f"--url {url!r} must begin with http:// or https://")
    try:
        with urlopen(Request(target, body, headers), timeout=60) as response:
            return msgspec.json.decode(response.read(), type=_Answer)
    except HTTPError as error:
        return _answered(error.code, error.headers.get("Retry-After"), error.read())
    except (URLError, HTTPException, OSError) as error:
        return RETRY_SECONDS, f"{target} does not answer: {error}"


def _answered(status: int, retry_after: str | None, body: bytes) -> _Answer | tuple[float, str]:
    try:
        return msgspec.json.decode(body, type=_Answer)
    except msgspec.MsgspecError:
        pass
    try:
        detail = msgspec.json.decode(body, type=_Problem).detail
    except msgspec.MsgspecError:
        detail = body[:200].decode(errors="replace")
    if status in RETRIED:
        wait = float(retry_after) if retry_after and retry_after.isdigit() else RETRY_SECONDS
        return wait, detail
    raise SendError(f"HTTP {status}: {detail}")


def _saved_key() -> str:
    named = os.environ.get("EBBWATCH_KEY_FILE")
    path = Path(named) if named else LOCAL_FOLDER / "key"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        raise SendError(
            f"no API key: {path} does not exist. Make one with `ebbwatch keys create --source "
            "SOURCE --save`, or give --key or EBBWATCH_KEY"
        ) from None


def _show(sent: Sent, as_json: bool) -> None:
    if as_json:
        show_json(sent)
        return
    typer.echo(f"accepted {sent.accepted}, refused {len(sent.rejected)}")
    for each in sent.rejected:
        where = f" {each.field}" if each.field else ""
        typer.echo(
            f"  event {each.index} ({each.id or 'no id'}):{where} {each.reason}: {each.detail}"
        )
