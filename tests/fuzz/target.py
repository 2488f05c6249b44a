"""What is fuzzed: a property of any bytes at all, and good ones to begin with."""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Target(NamedTuple):
    """A decoder under test; hypothesis and atheris drive the same ones.

    Attributes:
        name: As on the command line.
        check: Raises where the property does not hold, whatever the bytes.
        seeds: Makes inputs that get deep into the code, to be garbled.
        words: What the format is made of, and what has broken such decoders before.
        heavy: Each check opens files or a database: a tenth as many are made.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    words: Sequence[bytes] = ()
    heavy: bool = False
