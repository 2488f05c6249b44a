"""Copies of the project in which one thing is wrong; the project itself is never touched."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PATCHES = Path(__file__).parent

_COPIED = ("schemas", "services", "tests")
_JARS = Path(".ebbwatch", "kafka")


class Stale(Exception):
    """A patch does not fit the code any more: it must be written anew."""


def patch_of(name: str) -> Path:
    """Return the patch of a sabotage."""
    return PATCHES / f"{name}.patch"


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """Give a copy of the project, compiled as the project is, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="ebbwatch-sabotage-") as made:
        tree = Path(made)
        for part in _COPIED:
            # With the times of the files, by which Python tells what is compiled already.
            shutil.copytree(ROOT / part, tree / part)
        shutil.copy2(ROOT / "pyproject.toml", tree)
        (tree / _JARS).parent.mkdir()
        (tree / _JARS).symlink_to(ROOT / _JARS)
        yield tree


def apply(patch: Path, tree: Path, *, check: bool = False) -> None:
    """Apply a patch; a neighbouring line may have changed since it was written.

    Args:
        patch: A unified diff.
        tree: The folder that its paths are relative to.
        check: Only look whether it fits.

    Raises:
        Stale: It does not fit; nothing was changed.
    """
    argv = ["git", "apply", "-p1", "-C1", *(["--check"] if check else []), str(patch)]
    # A repository around the folder, or one that a hook speaks of, is not asked.
    environ = {name: told for name, told in os.environ.items() if not name.startswith("GIT_")}
    environ["GIT_CEILING_DIRECTORIES"] = str(tree.resolve().parent)
    done = subprocess.run(argv, cwd=tree, env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Stale(f"{patch.name} does not apply: {done.stderr.strip()}")
