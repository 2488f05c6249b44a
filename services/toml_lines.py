"""Where in a TOML text a table, a key or an element stands, so that an error names its line."""

import re
import tomllib
from collections.abc import Sequence

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_STRING = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}(?!")|\'\'\'.*?'{3,5}(?!')|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''',
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}\n#]+")


class Lines:
    r"""The lines of one TOML text.

    Args:
        text: A text that `tomllib` reads; of another the answers mean nothing.

    >>> Lines("a = 1\n[[b]]\nc = [1,\n 2]").of(("b", 0, "c", 1))
    4
    """

    def __init__(self, text: str) -> None:
        # tomllib reads CRLF as one line break too.
        self._text = text.replace("\r\n", "\n")
        self._found: dict[Path, int] = {(): 0}
        self._tables: dict[Path, int] = {}
        self._read()

    def of(self, path: Sequence[str | int]) -> int:
        """Return the line of a path, from 1 on; of a path that is not there, where it would be.

        Args:
            path: Keys and places, as one would index what `tomllib` returns.
        """
        wanted = tuple(path)
        while wanted not in self._found:
            wanted = wanted[:-1]
        return self._text.count("\n", 0, self._found[wanted]) + 1

    def _read(self) -> None:
        at, table = self._skip(0), Path()
        while at < len(self._text):
            if self._text[at] == "[":
                at, table = self._header(at)
            else:
                at = self._pair(at, table)
            at = self._skip(at)

    def _header(self, at: int) -> tuple[int, Path]:
        begin, many = at, self._text.startswith("[[", at)
        at, keys = self._keys(self._skip(at + 1 + many))
        path: Path = ()
        for place, key in enumerate(keys):
            path = (*path, key)
            if many and place == len(keys) - 1:
                self._tables[path] = self._tables.get(path, -1) + 1
            if path in self._tables:
                path = (*path, self._tables[path])
        self._note(path, begin)
        return self._skip(at) + 1 + many, path

    def _pair(self, at: int, table: Path) -> int:
        begin = at
        at, keys = self._keys(at)
        path = (*table, *keys)
        self._note(path, begin)
        return self._value(self._skip(self._skip(at) + 1), path)

    def _keys(self, at: int) -> tuple[int, list[str]]:
        keys: list[str] = []
        while found := _KEY.match(self._text, at):
            keys.append(_key(found[0]))
            at = found.end()
            if not (dot := _DOT.match(self._text, at)):
                break
            at = dot.end()
        return at, keys

    def _value(self, at: int, path: Path) -> int:
        """Return the place after a value, having noted what is inside it."""
        if self._text.startswith(("[", "{"), at):
            return self._inside(at, path)
        found = _STRING.match(self._text, at) or _PLAIN.match(self._text, at)
        return found.end() if found else len(self._text)

    def _inside(self, at: int, path: Path) -> int:
        table, close = self._text[at] == "{", "}" if self._text[at] == "{" else "]"
        at, place = self._skip(at + 1), 0
        while at < len(self._text) and self._text[at] != close:
            if table:
                at = self._pair(at, path)
            else:
                self._note((*path, place), at)
                at = self._value(at, (*path, place))
            at = self._skip(at)
            if self._text.startswith(",", at):
                at, place = self._skip(at + 1), place + 1
        return at + 1

    def _skip(self, at: int) -> int:
        found = _BLANK.match(self._text, at)
        return found.end() if found else at

    def _note(self, path: Path, at: int) -> None:
        for length in range(1, len(path) + 1):
            self._found.setdefault(path[:length], at)


def _key(told: str) -> str:
    if told[0] not in "\"'":
        return told
    return str(tomllib.loads(f"key = {told}")["key"])
