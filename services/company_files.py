"""A company's configuration files as they stand in their folder, read but not understood."""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from services.toml_lines import Lines

NAMES = (
    "company.toml",
    "rules.toml",
    "metrics.toml",
    "inputs.toml",
    "directory.toml",
    "channels.toml",
)
"""Every file that means something (formats.md)."""

SIZE_LIMIT = 1_000_000
"""Bytes of one file; a rule set travels through the log, and people read it."""

M = TypeVar("M", bound=BaseModel)


class Problem(NamedTuple):
    """Something in a file that is wrong, or without effect.

    Attributes:
        file: The file's name, or the folder.
        line: From 1 on; 0 where no line is meant.
        reason: What is wrong, its value, its bound, the remedy.
    """

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        """Return it as compilers write it."""
        return (
            f"{self.file}:{self.line}: {self.reason}"
            if self.line
            else f"{self.file}: {self.reason}"
        )


@dataclass(frozen=True, slots=True)
class File:
    """One file that is TOML.

    Attributes:
        name: Its name.
        data: What it says.
        lines: Where it says it.
    """

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)
    lines: Lines = field(default_factory=lambda: Lines(""))

    def problem(self, path: Sequence[str | int], reason: str) -> Problem:
        """Return a problem at a place of this file."""
        return Problem(self.name, self.lines.of(path), reason)


def read_folder(folder: Path, problems: list[Problem], warnings: list[Problem]) -> dict[str, File]:
    """Read the files of a company's folder.

    Args:
        folder: The folder.
        problems: Takes what refuses the folder.
        warnings: Takes what has no effect, such as a file whose name means nothing.

    Returns:
        By name, every file that is TOML; absent ones are absent.
    """
    if not folder.is_dir():
        problems.append(
            Problem(str(folder), 0, "there is no such folder; EBBWATCH_CONFIG_DIR names it")
        )
        return {}
    found = {name: read(folder / name) for name in NAMES if (folder / name).is_file()}
    problems.extend(one for one in found.values() if isinstance(one, Problem))
    files = {name: one for name, one in found.items() if isinstance(one, File)}
    warnings.extend(_strangers(folder, _named(files)))
    return files


def read(path: Path) -> File | Problem:
    """Read one file, or tell why it is not TOML."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        return Problem(path.name, 0, f"the file cannot be read: {error.strerror}")
    return parse(path.name, raw)


def parse(name: str, raw: bytes) -> File | Problem:
    """Return a file, or why it is not TOML."""
    if len(raw) > SIZE_LIMIT:
        return Problem(name, 0, f"{len(raw):,} bytes are too many; at most {SIZE_LIMIT:,}")
    try:
        text = raw.decode()
        return File(name, tomllib.loads(text), Lines(text))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return Problem(name, line, f"byte {raw[error.start]:#04x} is not UTF-8; save it as UTF-8")
    except tomllib.TOMLDecodeError as error:
        return _syntax(name, raw, str(error))
    except RecursionError:
        return Problem(name, 0, "arrays and tables are nested too deeply")


def checked(
    model: type[M],
    data: Mapping[str, Any],
    file: File,
    at: tuple[str | int, ...],
    problems: list[Problem],
) -> M | None:
    """Return part of a file as a record, and note all that is wrong with it.

    Args:
        model: The record.
        data: The part.
        file: The file.
        at: Where in the file the part stands.
        problems: Takes everything that is wrong.

    Returns:
        The record, without the keys in which something is wrong; None if nothing is left of it.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False)
    problems.extend(file.problem((*at, *one["loc"]), _reason(model, dict(one))) for one in found)
    wrong = {one["loc"][0] for one in found if one["loc"]}
    try:
        return model.model_validate({key: one for key, one in data.items() if key not in wrong})
    except ValidationError:
        return None


def _reason(model: type[BaseModel], found: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in found["loc"] if part != "[key]")
    if found["type"] == "extra_forbidden":
        known = ", ".join(sorted(f.alias or name for name, f in model.model_fields.items()))
        hint = f"; known are {known}" if len(found["loc"]) == 1 else ""
        return f"there is no key {where}{hint}"
    value = found["input"]
    shown = "" if isinstance(value, dict) else f" (it is {value!r})"
    message = str(found["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}{shown}" if where else message


def _named(files: Mapping[str, File]) -> set[str]:
    """Return the files that others name: those of the channels' secrets."""
    channels = files["channels.toml"].data.get("channel") if "channels.toml" in files else None
    told = channels.values() if isinstance(channels, dict) else ()
    return {str(one.get("secret_file")) for one in told if isinstance(one, dict)}


def _strangers(folder: Path, named: set[str]) -> Iterator[Problem]:
    for path in sorted(folder.iterdir()):
        name = path.name
        if name in NAMES or name in named or name.startswith((".", "README")) or not path.is_file():
            continue
        near = difflib.get_close_matches(name, NAMES, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(NAMES)}"
        yield Problem(name, 0, f"nothing reads this file{hint}")


def _syntax(name: str, raw: bytes, message: str) -> Problem:
    """Say where the text stops being TOML; a text that ends too early ends on its last line."""
    found = re.search(r" \(at line (\d+), column \d+\)$", message)
    if found:
        return Problem(name, int(found[1]), message[: found.start()])
    return Problem(name, raw.count(b"\n") + 1, message.removesuffix(" (at end of document)"))
