"""Rules that a command is given by name: a file, a folder of company files, the shipped ones."""

import tempfile
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from services.commands.config import formats
from services.commands.terminal import fail

if TYPE_CHECKING:
    from schemas.config import RuleSetContent

SHIPPED: Final = "shipped"
RULES_FILE: Final = "rules.toml"


class Rules(NamedTuple):
    """A rule set, and what it is called."""

    name: str
    content: "RuleSetContent"

    @property
    def digest(self) -> str:
        """SHA-256 of its content, hex."""
        return sha256(msgspec.json.encode(self.content)).hexdigest()


def named(name: str | Path | None) -> Rules:
    """Return the rules of a file or a folder, merged with the packs; else end and say why.

    Args:
        name: A `rules.toml`, by whatever name, or a folder as `EBBWATCH_CONFIG_DIR` names it; None,
            or `shipped`, for the shipped rules alone.
    """
    from services.company import read_company, shipped

    if name is None or str(name) == SHIPPED:
        return Rules("the shipped rules", shipped().content)
    path = Path(name)
    if not path.exists():
        fail(f"{name} does not exist: name a {RULES_FILE}, a folder, or `{SHIPPED}`")
    with tempfile.TemporaryDirectory() as alone:
        folder = path
        if path.is_file():
            folder = Path(alone)
            (folder / RULES_FILE).write_bytes(path.read_bytes())
        found = read_company(folder, formats())
    if isinstance(found, list):
        # It is read under the name that the company's has; whoever wrote it knows its own.
        problems = [one._replace(file=path.name) if path.is_file() else one for one in found]
        fail("\n".join([f"{name} is refused:", *map(str, problems)]))
    return Rules(str(name), found.content)
