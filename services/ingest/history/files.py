"""Files of past events, as an import finds them: kind, columns, digest; unfit ones are refused."""

import csv
import gzip
import hashlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import duckdb

from services.ingest.history.unreadable import heading, why

Kind = Literal["usage", "accounts", "tickets", "events"]
Form = Literal["csv", "parquet", "ndjson"]

COLUMNS: Final[MappingProxyType[Kind, tuple[str, ...]]] = MappingProxyType(
    {
        "usage": ("account_id", "date", "count", "metric", "person", "feature"),
        "accounts": (
            *("account_id", "start", "name", "owner", "segment", "country", "timezone"),
            *("arr", "currency", "renewal_on", "seats"),
        ),
        "tickets": ("account_id", "date", "count", "ticket", "priority"),
        "events": ("raw",),
    }
)
"""What is read of each kind, in the order of a row's cells."""

REQUIRED: Final[MappingProxyType[Kind, tuple[str, ...]]] = MappingProxyType(
    {
        "usage": ("account_id", "date", "count"),
        "accounts": ("account_id",),
        "tickets": ("account_id", "date"),
        "events": ("raw",),
    }
)

_FORMS: Final[MappingProxyType[str, Form]] = MappingProxyType(
    {
        ".csv": "csv",
        ".tsv": "csv",
        ".txt": "csv",
        ".parquet": "parquet",
        ".ndjson": "ndjson",
        ".jsonl": "ndjson",
    }
)
_GZIP: Final = b"\x1f\x8b"
_CHUNK: Final = 1 << 20


class HistoryError(Exception):
    """The import as a whole is refused; the message names what is at fault and the remedy."""


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """A file that can be imported.

    Args:
        path: Where it is.
        stem: Its name without any extension; unique within an import.
        kind: What its rows are.
        form: How it is written.
        columns: Names as they stand in the file; empty for NDJSON.
        delimiter: Between the cells of a CSV file.
        packed: True if it is compressed with gzip.
    """

    path: Path
    stem: str
    kind: Kind
    form: Form
    columns: tuple[str, ...]
    delimiter: str
    packed: bool

    @property
    def source(self) -> str:
        """Source of the events of its rows.

        The same for all files of a kind: a history in a file a month is no source a month, each of
        which has an outage from its end on.
        """
        return f"import/{self.kind}"

    def column(self, name: str) -> str | None:
        """Return how the file writes a column's name, None if it has no such column."""
        return next((own for own in self.columns if _plain(own) == name), None)

    def ignored(self) -> list[str]:
        """Return the columns that an import does not read."""
        return [own for own in self.columns if _plain(own) not in COLUMNS[self.kind]]


def find(paths: Sequence[Path], kind: Kind | None = None) -> list[HistoryFile]:
    """Look at each file's name, head and columns.

    Args:
        paths: Files as the user named them; their order counts among rows of the same time.
        kind: What all of them are; None finds it out from each one's extension and columns.

    Raises:
        HistoryError: One of them cannot be read, misses a required column, or is of no known
            kind, or two have the same name.
    """
    return unique([_look_at(path, kind) for path in paths])


def unique(files: Sequence[HistoryFile]) -> list[HistoryFile]:
    """Return files as they are, each of another name: the ids of rows are made from it.

    Args:
        files: Of one import, in its order.

    Raises:
        HistoryError: Two have the same name.
    """
    stems: dict[str, Path] = {}
    for file in files:
        if file.stem in stems:
            raise HistoryError(
                f"{stems[file.stem]} and {file.path} have the same name {file.stem!r}, from which "
                "the ids of their rows are made; rename one of them"
            )
        stems[file.stem] = file.path
    return list(files)


def digest(files: Sequence[HistoryFile]) -> str:
    """Return SHA-256 over the contents of the files in their order, hex."""
    whole = hashlib.sha256()
    for file in files:
        one = hashlib.sha256()
        with file.path.open("rb") as content:
            while chunk := content.read(_CHUNK):
                one.update(chunk)
        whole.update(one.digest())
    return whole.hexdigest()


def _look_at(path: Path, kind: Kind | None) -> HistoryFile:
    form = _form(path)
    try:
        with path.open("rb") as content:
            packed = content.read(2) == _GZIP
        columns, delimiter = _head(path, form, packed)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error, duckdb.Error) as error:
        raise HistoryError(f"{path} cannot be read: {why(form, error)}") from error
    kind = kind or _kind(path, form, columns)
    if (kind == "events") != (form == "ndjson"):
        raise HistoryError(
            f"{path}: events are read from NDJSON, all else from CSV or Parquet; "
            f"this is {form} and was taken for {kind}"
        )
    file = HistoryFile(path, _stem(path), kind, form, columns, delimiter, packed)
    _check_columns(file)
    return file


def _form(path: Path) -> Form:
    name = path.name.lower().removesuffix(".gz")
    form = _FORMS.get(Path(name).suffix)
    if form is None:
        raise HistoryError(
            f"{path}: the extension tells how a file is written, and this one is unknown; known "
            f"are {', '.join(_FORMS)}, all but .parquet also with .gz"
        )
    return form


def _stem(path: Path) -> str:
    return re.sub(r"(\.(csv|tsv|txt|parquet|ndjson|jsonl))?(\.gz)?$", "", path.name, flags=re.I)


def _head(path: Path, form: Form, packed: bool) -> tuple[tuple[str, ...], str]:
    """Return the names of the columns as the file writes them, and what stands between them."""
    if form == "ndjson":
        return (), ""
    if form == "parquet":
        with duckdb.connect() as base:
            relation = base.execute("SELECT * FROM read_parquet(?) LIMIT 0", [str(path)])
            return tuple(column[0] for column in relation.description or ()), ""
    with gzip.open(path) if packed else path.open("rb") as content:
        head = heading(content.readline(_CHUNK))
    delimiter = max(",;\t|", key=head.count)
    return tuple(next(csv.reader([head], delimiter=delimiter), [])), delimiter


def _kind(path: Path, form: Form, columns: tuple[str, ...]) -> Kind:
    names = {_plain(column) for column in columns}
    if form == "ndjson":
        return "events"
    if names & {"ticket", "priority"} or _stem(path).lower().startswith("tickets"):
        return "tickets"
    if "count" in names:
        return "usage"
    if "date" not in names and names & set(COLUMNS["accounts"][1:]):
        return "accounts"
    raise HistoryError(
        f"{path}: its columns ({', '.join(columns) or 'none'}) are of no known kind of file; "
        f"usage has {', '.join(REQUIRED['usage'])}, accounts account_id and attributes, tickets "
        "account_id, date and ticket, priority or count; --kind says which it is"
    )


def _check_columns(file: HistoryFile) -> None:
    if file.form == "ndjson":
        return
    names = [_plain(column) for column in file.columns]
    missing = [name for name in REQUIRED[file.kind] if name not in names]
    if missing:
        raise HistoryError(
            f"{file.path} misses the column {missing[0]!r} that {file.kind} needs; it has "
            f"{', '.join(file.columns) or 'none'}: rename or add it"
        )
    doubled = [name for name in COLUMNS[file.kind] if names.count(name) > 1]
    if doubled:
        raise HistoryError(f"{file.path} has the column {doubled[0]!r} twice: remove one")


def _plain(column: str) -> str:
    return column.strip().lower()
