"""A record of a snapshot that cannot be read: one error, which names it."""

from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

CAUSES: Final = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""What arbitrary bytes can make a decoder raise, and whoever puts together what it returns."""


class Garbled(ValueError):
    """A record of a snapshot is not what its key promises; nobody may go on without it."""


def garbled(key: str, error: BaseException) -> Garbled:
    """Return the error that names a record; one that names a record already stays as it is.

    Args:
        key: The record's key.
        error: Why it cannot be read.

    >>> str(garbled("~ledger", ValueError("it ends too early")))
    "record '~ledger' cannot be read: it ends too early"
    """
    if isinstance(error, Garbled):
        return error
    return Garbled(f"record {key!r} cannot be read: {str(error) or type(error).__name__}")


def read(decode: Callable[[bytes], T], key: str, raw: bytes) -> T:
    """Return what a decoder makes of a record.

    Args:
        decode: The decoder.
        key: The record's key.
        raw: The record.

    Raises:
        Garbled: If it can make nothing of it.
    """
    try:
        return decode(raw)
    except CAUSES as error:
        raise garbled(key, error) from error
