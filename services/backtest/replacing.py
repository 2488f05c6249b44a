"""Files that are whole or not there: written beside their place, and put into it at the end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

SUFFIX: Final = ".part"


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """Give a text file to write, which takes the place of another once all of it is written.

    What cannot be replaced, such as a pipe or a terminal, is written to as it is.

    Args:
        path: Where; of a symbolic link what it leads to is replaced.

    Raises:
        OSError: It cannot be written; what was there before is as it was.
    """
    place = path.resolve()
    if place.exists() and not place.is_file():
        with place.open("w", encoding="utf-8", newline="") as out:
            yield out
        return
    part = place.with_name(place.name + SUFFIX)
    part.unlink(missing_ok=True)
    try:
        with part.open("x", encoding="utf-8", newline="") as out:
            yield out
        part.replace(place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def refusal(path: Path) -> str | None:
    """Return why a file cannot be written, found out by trying; None if it can.

    Args:
        path: Where; what is there stays as it is.
    """
    place = path.resolve()
    if place.is_dir() or not place.parent.is_dir():
        return "its folder must exist, and it must be no folder"
    if place.exists() and not os.access(place, os.W_OK):
        return "it is there already, and must not be changed"
    if place.exists() and not place.is_file():
        return None
    part = place.with_name(place.name + SUFFIX)
    try:
        part.unlink(missing_ok=True)
        part.open("x").close()
        part.unlink()
    except OSError as error:
        return f"{part} cannot be made: {error.strerror or error}"
    return None
