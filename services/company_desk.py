"""The company's people, routing and channels, as its files say them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Final, Self
from zoneinfo import ZoneInfo

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from schemas.config import PersonRecord, RoutingRecord
from services.company_channels import ToldChannel, read_channels
from services.company_files import File, Problem, checked

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]+$"


@dataclass(frozen=True, slots=True)
class DeskFiles:
    """What is said of people, routing and channels.

    Attributes:
        people: By id.
        routing: How alerts find them.
        channels: By name.
    """

    people: Mapping[str, PersonRecord] = field(default_factory=dict)
    routing: RoutingRecord = field(default_factory=RoutingRecord)
    channels: Mapping[str, ToldChannel] = field(default_factory=dict)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _days(told: str) -> str:
    """Refuse what names no weekdays."""
    ends = [day.strip() for part in told.split(",") for day in part.split("-", 1)]
    if not all(day in _DAYS for day in ends):
        raise ValueError("weekdays are such as 'mon-fri' or 'mon,wed-fri'")
    return told


def _clock(told: str) -> str:
    """Refuse what is no time of a day."""
    try:
        found = time.fromisoformat(told)
    except ValueError:
        found = None
    if found is None or len(told) != 5:
        raise ValueError("a time is such as '09:00'")
    return told


def _zone(told: str) -> str:
    """Refuse a time zone that does not exist."""
    try:
        return ZoneInfo(told).key
    except (KeyError, OSError, ValueError) as error:
        reason = "there is no such time zone; IANA names are such as 'Europe/Lisbon'"
        raise ValueError(reason) from error


class _Hours(_Part):
    days: Annotated[str, Field(max_length=60), AfterValidator(_days)]
    start: Annotated[str, AfterValidator(_clock)] = Field(alias="from")
    end: Annotated[str, AfterValidator(_clock)] = Field(alias="to")
    timezone: Annotated[str, AfterValidator(_zone)]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"hours end at {self.end}, not after they begin at {self.start}")
        return self


_Id = Annotated[str, Field(min_length=1, max_length=200, pattern=_PRINTABLE)]


class _Person(_Part):
    name: Annotated[str, Field(min_length=1, max_length=500)]
    email: Annotated[str, Field(max_length=320, pattern=r"^[^\s@\x00-\x1f]+@[^\s@]+$")] | None = (
        None
    )
    slack: _Id | None = None
    manager: _Id | None = None
    hours: _Hours | None = None


class _DirectoryFile(_Part):
    person: dict[_Id, dict[str, Any]] = {}


def read_desk(
    files: Mapping[str, File],
    folder: Path | None,
    signal_manager: str | None,
    problems: list[Problem],
) -> DeskFiles:
    """Read `directory.toml` and `channels.toml`.

    Args:
        files: The company's files by name; absent ones are empty.
        folder: Where they are; files of secrets are relative to it.
        signal_manager: Of `company.toml`: who gets what has no other owner.
        problems: Takes everything that is wrong.
    """
    directory = files.get("directory.toml") or File("directory.toml")
    people = _people(directory, problems)
    company = files.get("company.toml") or File("company.toml")
    if signal_manager is not None and signal_manager not in _named(directory):
        reason = f"signal_manager: {_unknown(signal_manager)}"
        problems.append(company.problem(("signal_manager",), reason))
    channels = files.get("channels.toml") or File("channels.toml")
    routing = RoutingRecord(signal_manager=signal_manager)
    return DeskFiles(people, routing, read_channels(channels, folder or Path(), problems))


def _people(file: File, problems: list[Problem]) -> dict[str, PersonRecord]:
    told = checked(_DirectoryFile, file.data, file, (), problems) or _DirectoryFile()
    people = {
        id: person
        for id, raw in sorted(told.person.items())
        if (person := checked(_Person, raw, file, ("person", id), problems)) is not None
    }
    known = _named(file)
    for id, person in people.items():
        reason = ""
        if person.manager is not None and person.manager not in known:
            reason = _unknown(person.manager)
        elif id in _above(people, id):
            reason = f"{id!r} would be, over others, the manager of {id!r}"
        if reason:
            problems.append(file.problem(("person", id, "manager"), f"manager: {reason}"))
    return {id: _record(id, person) for id, person in people.items()}


def _record(id: str, person: _Person) -> PersonRecord:
    content = person.model_dump(by_alias=True, exclude_none=True)
    return msgspec.convert(content | {"id": id}, PersonRecord)


def _above(people: Mapping[str, _Person], id: str) -> set[str]:
    """Return all who stand above a person: an alert that nobody takes goes from one to the next."""
    seen, above = set[str](), people[id].manager
    while above is not None and above in people and above not in seen:
        seen.add(above)
        above = people[above].manager
    return seen


def _named(file: File) -> set[str]:
    """Return who stands in the file: a person in whom something is wrong exists nevertheless."""
    named = file.data.get("person", {})
    return set(named) if isinstance(named, dict) else set()


def _unknown(person: str) -> str:
    return f"there is no person {person!r} in directory.toml"
