"""The console's static files: read once, named by their content, compressed once."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from starlette.responses import Response

TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Media type by the end of the name; a file of another kind is not served."""

FOR_EVER: Final = "public, max-age=31536000, immutable"
"""For an address that names the content. Source: RFC 8246."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file.

    Attributes:
        media_type: Its type.
        content: Its bytes.
        packed: The same, gzip.
        digest: The beginning of its SHA-256, which its address carries.
    """

    media_type: str
    content: bytes
    packed: bytes
    digest: str


class Assets:
    """All static files of the console, by path below `/static/`; nothing else is ever served."""

    def __init__(self) -> None:
        folder = resources.files(__package__) / "static"
        self._files = {path: _asset(path, file) for path, file in _walk(folder, "")}

    def address(self, path: str) -> str:
        """Return where a page finds a file; another content has another address.

        Args:
            path: Below `static/`, such as `app.css`.

        Raises:
            KeyError: There is no such file.
        """
        return f"/static/{path}?v={self._files[path].digest}"

    def answer(self, path: str, version: str | None, encodings: str, seen: str) -> Response | None:
        """Answer a request for a file.

        Args:
            path: Below `static/`.
            version: The digest that the address carries; None for none.
            encodings: `Accept-Encoding`.
            seen: `If-None-Match`.

        Returns:
            The answer; None if there is no such file.
        """
        found = self._files.get(path)
        if found is None:
            return None
        tag = f'"{found.digest}"'
        headers = {
            "etag": tag,
            "cache-control": FOR_EVER if version == found.digest else "no-cache",
            "vary": "accept-encoding",
        }
        if tag in seen:
            return Response(status_code=304, headers=headers)
        if "gzip" in encodings:
            return Response(
                found.packed,
                headers=headers | {"content-encoding": "gzip"},
                media_type=found.media_type,
            )
        return Response(found.content, headers=headers, media_type=found.media_type)


def _walk(folder: Traversable, before: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for one in folder.iterdir():
        path = before + one.name
        if one.is_dir():
            found += _walk(one, f"{path}/")
        elif any(path.endswith(end) for end in TYPES):
            found.append((path, one))
    return found


def _asset(path: str, file: Traversable) -> Asset:
    content = file.read_bytes()
    return Asset(
        media_type=next(kind for end, kind in TYPES.items() if path.endswith(end)),
        content=content,
        packed=gzip.compress(content, mtime=0),
        digest=hashlib.sha256(content).hexdigest()[:16],
    )
