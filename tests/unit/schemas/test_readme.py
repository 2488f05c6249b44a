"""The tables of the README name what there is."""

import re
from pathlib import Path

import schemas
from schemas.documents import records
from schemas.events import EVENT_TYPES, FAMILIES
from schemas.topics import TOPICS

README = (Path(schemas.__file__).parent / "README.md").read_text("utf-8")


def rows(title: str) -> dict[str, list[str]]:
    """Return the words in code marks of a table's rows, by the text of the first column."""
    section = README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    table = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| ")]
    return {row[0].strip(): re.findall(r"`([^`]+)`", "|".join(row)) for row in table[1:]}


def test_the_types_stand_in_the_order_and_family_of_the_code() -> None:
    assert rows("Events by family") == {
        family: [
            name for name, struct in EVENT_TYPES.items() if struct.__module__ == module.__name__
        ]
        for family, module in FAMILIES.items()
    }


def test_every_topic_and_every_record_is_named() -> None:
    named = {word for words in rows("Topics").values() for word in words}
    assert named >= {topic.name for topic in TOPICS} | set(records())
