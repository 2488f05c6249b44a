"""One target driven by coverage: libFuzzer by way of atheris; it never returns.

Started by `python -m tests.fuzz`, as a process of its own, because the first failure ends it.
"""

import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-untyped]

from tests.fuzz.garbling import ODD

with atheris.instrument_imports(include=["schemas", "services"]):
    from tests.fuzz.targets import named


def main(name: str, seconds: int, seed: int, found: Path) -> None:
    """Fuzz until the time is over.

    Args:
        name: The target.
        seconds: How long.
        seed: Of the choices.
        found: Folder for the input that failed.
    """
    target = named(name)
    with tempfile.TemporaryDirectory() as folder:
        for place, raw in enumerate(target.seeds()):
            (Path(folder) / f"{place:04d}").write_bytes(raw)
        words = Path(folder).with_suffix(".words")
        words.write_text("".join(f"{_quoted(word)}\n" for word in (*ODD, *target.words) if word))
        atheris.Setup(
            [
                name,
                f"-max_total_time={seconds}",
                f"-seed={seed}",
                f"-dict={words}",
                f"-artifact_prefix={found}/{name}-",
                "-max_len=65536",
                "-rss_limit_mb=2048",
                "-timeout=10",
                "-verbosity=0",
                folder,
            ],
            target.check,
        )
        atheris.Fuzz()


def _quoted(word: bytes) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"'


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
