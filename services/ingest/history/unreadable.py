"""Why a file of past events cannot be read, in words for who wrote it, and files made readable."""

import csv
import gzip
import io
import re
import shutil
import zlib
from pathlib import Path
from types import MappingProxyType
from typing import Final

import duckdb

BROKEN: Final = "The CSV Parser state machine reached an invalid state"
"""How duckdb puts it, among others, that lines end in more than one way.

Source: `read_csv` of duckdb 1 and 2 in strict mode; without it rows with too many cells pass.
"""


_LINES: Final = MappingProxyType(
    {
        "INVALID ENCODING": "it is not UTF-8: save the file as UTF-8",
        "UNQUOTED VALUE": "a quote is not closed, or text follows it: write a quote within a "
        "cell twice, and quotes around the cell",
    }
)


def why(form: str, error: Exception) -> str:
    """Return what is wrong with a file, and the remedy where one is known.

    Args:
        form: How the file is written: csv, parquet or ndjson.
        error: What reading it raised.

    >>> why("csv", EOFError("Compressed file ended before the end-of-stream marker was reached"))
    'it is a damaged gzip file: pack it again'
    """
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8: save it as UTF-8"
    if isinstance(error, EOFError | zlib.error | gzip.BadGzipFile):
        return "it is a damaged gzip file: pack it again"
    if isinstance(error, csv.Error):
        return "its first line is no head of columns: check its quotes and line ends"
    if form == "parquet" and isinstance(error, duckdb.InvalidInputException):
        return "it is no Parquet file, or a damaged one: write it again"
    if isinstance(error, duckdb.Error):
        return _plain(str(error))
    return getattr(error, "strerror", None) or str(error)


def broken_line(kind: str, said: str) -> str:
    """Return what is wrong with a line that is no row.

    Args:
        kind: The `error_type` of duckdb's table of rejects.
        said: Its `error_message`.

    >>> broken_line("MISSING COLUMNS", "Expected Number of Columns: 3 Found: 2")
    'it has 2 cells, and the head of columns has 3'
    """
    counts = re.fullmatch(r"Expected Number of Columns: (\d+) Found: (\d+)", said)
    if counts is not None:
        asked, found = counts.groups()
        remedy = ": put cells that hold a delimiter in quotes" if int(found) > int(asked) else ""
        cells = "1 cell" if found == "1" else f"{found} cells"
        return f"it has {cells}, and the head of columns has {asked}{remedy}"
    return _LINES.get(kind) or _plain(said)


def heading(raw: bytes) -> str:
    """Return the text of a file's first line.

    Args:
        raw: Its bytes, with or without a mark of their order.

    Raises:
        UnicodeDecodeError: They are not UTF-8; UTF-16 without a mark is told by its zeros.

    >>> heading("account_id,date".encode("utf-16-le"))
    Traceback (most recent call last):
    UnicodeDecodeError: 'utf-8' codec can't decode byte 0x00 in position 1: no text
    """
    zero = raw.find(b"\0")
    if zero >= 0:
        raise UnicodeDecodeError("utf-8", raw, zero, zero + 1, "no text")
    return raw.decode("utf-8-sig")


def with_even_ends(path: Path, packed: bool, folder: Path) -> Path:
    """Return a copy of a file in which every line ends in a line feed.

    Args:
        path: The file; its lines end in CR LF, CR and LF as it comes.
        packed: True if it is compressed with gzip; the copy is not.
        folder: Where the copy is made.
    """
    copy = folder / "even"
    # Latin-1 gives every byte back as it was, also those that are no UTF-8.
    with (
        gzip.open(path) if packed else path.open("rb") as raw,
        io.TextIOWrapper(raw, "latin-1", newline=None) as uneven,
        copy.open("w", encoding="latin-1", newline="\n") as even,
    ):
        shutil.copyfileobj(uneven, even, 1 << 20)
    return copy


def _plain(said: str) -> str:
    """Return the first line of an error of duckdb, without the name of its class."""
    first = said.strip().partition("\n")[0]
    return first.partition(" Error: ")[2] or first
