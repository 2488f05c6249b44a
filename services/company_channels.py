"""The channels of a company, as `channels.toml` and its files of secrets say them."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool

from schemas.config import ChannelRecord
from services.alerts.channels import KINDS, Kind, Network, find
from services.company_files import File, Problem, checked
from services.settings import Secret

SECRET_FILE_LIMIT: Final = 4_000
"""Characters; a secret has about fifty."""

SECRETS_LIMIT: Final = 4
"""In force at once for one channel; every one of them signs every message."""


@dataclass(frozen=True, slots=True)
class ToldChannel:
    """A channel as its file says it.

    Attributes:
        record: What `config.v1` takes, but for the sealed secret.
        secrets: In the clear, one a line.
    """

    record: ChannelRecord
    secrets: Secret


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _network(told: str) -> str:
    """Refuse what is no network."""
    try:
        return str(ip_network(told))
    except ValueError as error:
        raise ValueError(f"{error}; a network is such as '10.20.0.0/16'") from error


_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]


class _Channel(_Part):
    kind: str
    url: Annotated[str, Field(min_length=1, max_length=2_000)]
    secret_file: Annotated[str, Field(min_length=1)]
    allow: Annotated[list[Annotated[str, AfterValidator(_network)]], Field(max_length=100)] = []
    allow_http: StrictBool = False


class _ChannelsFile(_Part):
    channel: dict[_Name, dict[str, Any]] = {}


def read_channels(file: File, folder: Path, problems: list[Problem]) -> dict[str, ToldChannel]:
    """Return the channels of `channels.toml`, by name.

    Args:
        file: The file.
        folder: What its files of secrets are relative to.
        problems: Takes everything that is wrong.
    """
    told = checked(_ChannelsFile, file.data, file, (), problems) or _ChannelsFile()
    found = {}
    for name, raw in sorted(told.channel.items()):
        at = ("channel", name)
        channel = checked(_Channel, raw, file, at, problems)
        if channel is None:
            continue
        secrets = _read_secrets(folder, channel.secret_file)
        for key, reason in _faults(channel, find(channel.kind), secrets):
            problems.append(file.problem((*at, key), f"{key}: {reason}"))
        if isinstance(secrets, list):
            content = channel.model_dump(exclude={"secret_file"})
            record = ChannelRecord(**content, name=name, secret="")
            found[name] = ToldChannel(record, Secret("\n".join(secrets)))
    return found


def _faults(
    channel: _Channel, kind: Kind | None, secrets: list[str] | str
) -> Iterator[tuple[str, str]]:
    """Yield the key that is wrong, and what is wrong with it."""
    if kind is None:
        known = ", ".join(one.KIND for one in KINDS)
        yield "kind", f"{channel.kind!r} does not exist; known are {known}"
        return
    allow: list[Network] = [ip_network(one) for one in channel.allow]
    fault = kind.url_fault(channel.url, allow, channel.allow_http)
    if fault is not None:
        yield "url", fault
    if isinstance(secrets, str):
        yield "secret_file", secrets
        return
    for number, secret in enumerate(secrets, 1):
        if (fault := kind.secret_fault(secret)) is not None:
            told = f"secret {number} in {channel.secret_file}: {fault}"
            yield "secret_file", f"{told}; `ebbwatch channels secret` makes one"


def _read_secrets(folder: Path, name: str) -> list[str] | str:
    """Return the secrets of a file, one a line, or why there are none."""
    try:
        text = (folder / name).read_text()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        return (
            f"{name} cannot be read: {why}; `ebbwatch channels secret > {folder / name}` makes it"
        )
    secrets = [line.strip() for line in text.splitlines() if line.strip()]
    if not secrets or len(secrets) > SECRETS_LIMIT or len(text) > SECRET_FILE_LIMIT:
        return f"{name} has {len(secrets)} secrets; one a line, at least 1, at most {SECRETS_LIMIT}"
    return secrets
