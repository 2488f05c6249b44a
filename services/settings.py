"""Settings as records: declared here and in each service, read from an environment on floor 4."""

import difflib
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from services import failpoints

PREFIX: Final = "EBBWATCH_"
SERVICES: Final = ("ingest", "detector", "alerts")

SHARED_NAMES: Final[Mapping[str, str]] = {
    "EBBWATCH_KAFKA": "bootstrap servers, host:port[,host:port]",
    "EBBWATCH_REDIS_URL": "redis://host:port/db",
    "EBBWATCH_PREFIX": "letters, digits, dots: prefix of topics, groups and transactional ids",
    "EBBWATCH_CONFIG_DIR": "folder of the company's files",
    "EBBWATCH_PARTITIONS": "partition count of events, state, accounts, alerts, cases",
    "EBBWATCH_TOKEN": "bearer token of the API",
    "EBBWATCH_SECRET_KEY": "what API keys are hashed and secrets sealed with",
    "EBBWATCH_HOST": "address that the services listen on",
    "EBBWATCH_LOG_LEVEL": "debug, info, warning or error",
    "EBBWATCH_FAILPOINTS": "for tests only: name=kill, name=stall:SECONDS, name=raise",
    "EBBWATCH_KEY": "API key of `ebbwatch send`",
    "EBBWATCH_URL": "address of ingest for `ebbwatch send`",
    "EBBWATCH_TEST_KAFKA": "bootstrap servers of the tests' own Kafka",
}
"""Every documented name that is not one service's own; those begin with the service's name."""

Secret = SecretStr
"""A value that no log, error or repr shows; `get_secret_value()` reveals it."""

Port = Annotated[int, Field(ge=1, le=65535)]

_ADDRESS = r"^[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*$"
_REDIS = (
    r"^(rediss?://([^\s@/?#]*@)?(\[[0-9A-Fa-f:.]+\]|[^\s@/?#:\[\]]*)(:\d{1,5})?(/\d*)?"
    r"|unix://([^\s@/?#]*@)?/[^\s@?#]*)(\?[^\s#]*)?$"
)


class ServiceSettings(BaseModel):
    """What every service needs to know; each service adds its own as `<service>_<name>`.

    Attributes:
        service: Which service this is, one of `SERVICES`, or empty for a command.
        kafka: Bootstrap servers, `host:port[,host:port]`.
        prefix: Prefix of topics, groups and transactional ids.
        partitions: Partition count of `events.v1` and its companions, 1..1000.
        redis_url: Where Redis or Valkey is; user and password are in no repr and no error.
        secret_key: What API keys are hashed with; None where nothing is hashed or sealed.
        token: Bearer token of the API, without space around it; None closes it.
        config_dir: Folder of the company's files.
        host: Address that the service listens on.
        log_level: The least severe level that is logged.
        failpoints: For tests of crashes: where the process dies or stands still.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    service: ClassVar[str] = ""

    kafka: str = Field("127.0.0.1:19092", pattern=_ADDRESS)
    prefix: str = Field("ebbwatch.", max_length=50, pattern=r"^[A-Za-z0-9._-]*$")
    partitions: int = Field(8, ge=1, le=1000)
    redis_url: str = Field("redis://127.0.0.1:16379/0", pattern=_REDIS)
    secret_key: Secret | None = None
    token: Secret | None = None
    config_dir: Path | None = None
    host: str = "127.0.0.1"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    failpoints: str = ""

    @field_validator("token", mode="before")
    @classmethod
    def _bare(cls, token: object) -> object:
        return token.strip() or None if isinstance(token, str) else token

    @field_validator("failpoints")
    @classmethod
    def _known_failpoints(cls, spec: str) -> str:
        failpoints.parse(spec)
        return spec

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, without_password(value) if name == "redis_url" else value


Settings = TypeVar("Settings", bound=ServiceSettings)


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong setting.

    Attributes:
        name: The variable.
        value: Its value as it may be shown, or None where it is not set.
        detail: What is wrong with it, its bound, and the remedy.
    """

    name: str
    value: str | None
    detail: str

    def __str__(self) -> str:
        shown = "" if self.value is None else f"={self.value!r}"
        return f"{self.name}{shown}: {self.detail}"


class ConfigurationError(Exception):
    """The configuration cannot be used as it is; restarting does not help (exit 78).

    Args:
        faults: All that is wrong, at once.
    """

    def __init__(self, faults: Iterable[Fault | str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def without_password(url: str) -> str:
    """Return the address of a Redis as it may be shown: without user, password and options.

    Args:
        url: The address, which may be malformed: of one that leaves open what is a password,
            nothing is shown.

    >>> without_password("rediss://ana:p#ss/w@redis.example:6380/1")
    'rediss://redis.example:6380/1'
    >>> without_password("redis://127.0.0.1:6379/0?password=p@ss")
    '(hidden)'
    """
    begin, mark, rest = url.rpartition("://")
    place, _, options = rest.partition("?")
    if begin not in ("redis", "rediss", "unix") or "@" in options:
        return "(hidden)"
    place = place.rpartition("@")[2]
    return f"{begin}{mark}{place}" if re.search(_REDIS, f"{begin}{mark}{place}") else "(hidden)"


def load_settings(cls: type[Settings], environ: Mapping[str, str]) -> Settings:
    """Build a service's settings from an environment.

    Args:
        cls: The settings to build; field `ingest_port` is the variable `EBBWATCH_INGEST_PORT`.
        environ: Variables by name. An empty one counts as not set. A secret may also come from
            the file that `<NAME>_FILE` names.

    Returns:
        The settings.

    Raises:
        ConfigurationError: Names every unknown name and every bad value at once. A name that
            begins with another service's name is judged by that service alone.
    """
    ours = {k: v for k, v in sorted(environ.items()) if k.startswith(PREFIX) and v}
    fields = {PREFIX + name.upper(): name for name in cls.model_fields}
    files = {f"{name}_FILE": name for name, field in fields.items() if _is_secret(cls, field)}
    values = {fields[name]: text for name, text in ours.items() if name in fields}
    faults: list[Fault] = [*_unknown(cls, ours, {**fields, **files})]
    for name in files.keys() & ours.keys():
        field = fields[files[name]]
        outcome = _from_file(name, ours[name], field in values)
        if isinstance(outcome, Fault):
            faults.append(outcome)
        else:
            values[field] = outcome
    try:
        settings = cls.model_validate(values)
    except ValidationError as error:
        faults.extend(_bad(cls, error, values))
    if faults:
        raise ConfigurationError(sorted(faults, key=operator.attrgetter("name")))
    return settings


def local_environment(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Add the secret of the local platform where the environment brings none.

    Args:
        folder: The folder of `ebbwatch local up`, `.ebbwatch` in a work tree.
        environ: The environment.

    Returns:
        A copy, with `EBBWATCH_SECRET_KEY` from `folder/secret` if there is such a file and
        neither that name nor `EBBWATCH_SECRET_KEY_FILE` is set.
    """
    found = dict(environ)
    secret = folder / "secret"
    if not (found.get("EBBWATCH_SECRET_KEY") or found.get("EBBWATCH_SECRET_KEY_FILE")):
        found.pop("EBBWATCH_SECRET_KEY", None)
        if secret.is_file():
            found["EBBWATCH_SECRET_KEY"] = secret.read_text().strip()
    return found


def _is_secret(cls: type[ServiceSettings], field: str) -> bool:
    annotation: Any = cls.model_fields[field].annotation
    return annotation is Secret or Secret in get_args(annotation)


def _unknown(
    cls: type[ServiceSettings], ours: Mapping[str, str], known: Mapping[str, str]
) -> Iterable[Fault]:
    names = {*known, *SHARED_NAMES, *(f"{name}_FILE" for name in _SHARED_SECRETS)}
    others = tuple(f"{PREFIX}{name.upper()}_" for name in SERVICES if name != cls.service)
    for name in ours:
        if name not in names and not name.startswith(others):
            near = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean {near[0]}?" if near else "; unset it"
            yield Fault(name, None, f"there is no such setting{hint}")


_SHARED_SECRETS = ("EBBWATCH_TOKEN", "EBBWATCH_SECRET_KEY", "EBBWATCH_KEY")


def _from_file(name: str, path: str, given: bool) -> str | Fault:
    if given:
        return Fault(name, path, f"{name.removesuffix('_FILE')} is set too; unset one of them")
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        return Fault(name, path, f"the file cannot be read: {error}")


def _bad(
    cls: type[ServiceSettings], error: ValidationError, values: Mapping[str, str]
) -> Iterable[Fault]:
    for each in error.errors(include_url=False, include_context=False):
        field = str(each["loc"][0])
        value = values.get(field)
        if value is not None and _is_secret(cls, field):
            value = "(secret)"
        elif value is not None and field == "redis_url":
            value = without_password(value)
        name = PREFIX + field.upper()
        detail = "it is not set, and there is no default" if value is None else each["msg"]
        if each["type"] == "string_pattern_mismatch" and name in SHARED_NAMES:
            detail = f"it must be {SHARED_NAMES[name]}"
            if field == "redis_url":
                detail += "; in a password, write / ? # @ as %2F %3F %23 %40"
        yield Fault(name, value, detail)
