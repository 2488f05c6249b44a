"""The generated files: `python -m schemas.generate` writes `schemas/json` from the Structs.

With `--check` it only names what differs.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from schemas.documents import Document, documents

FOLDER: Final = Path(__file__).with_name("json")


def drift(folder: Path = FOLDER) -> dict[str, str | None]:
    """Return what differs from the files of a folder.

    Args:
        folder: Where the generated files are.

    Returns:
        Per file name the text that it should have, or None where no type has that name.
    """
    wanted = {f"{name}.json": _text(document) for name, document in documents().items()}
    found = {path.name: path.read_text("utf-8") for path in folder.glob("*.json")}
    names = sorted(wanted.keys() | found.keys())
    return {name: wanted.get(name) for name in names if wanted.get(name) != found.get(name)}


def main(arguments: Sequence[str]) -> int:
    """Write the files that differ, or with `--check` only name them.

    Args:
        arguments: None, or `--check`.

    Returns:
        The exit code: 1 when `--check` found a difference, 2 for an unknown argument.
    """
    if set(arguments) - {"--check"}:
        print("usage: python -m schemas.generate [--check]", file=sys.stderr)
        return 2
    different = drift()
    for name, text in different.items():
        if not arguments:
            _write(FOLDER / name, text)
        print(f"schemas/json/{name}: {'differs' if arguments else 'written' if text else 'gone'}")
    if arguments and different:
        print("run `make schemas` and review the difference", file=sys.stderr)
    return int(bool(arguments and different))


def _write(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


def _text(document: Document) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
