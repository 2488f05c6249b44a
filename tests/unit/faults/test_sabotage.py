"""The sabotages fit the code as it is, and each has somebody who must notice it."""

import ast
import re
from pathlib import Path

import pytest

from tests.faults.sabotage.catalogue import PARTITION_MODEL, SABOTAGES, SERVICE_MODEL, Sabotage
from tests.faults.sabotage.trees import PATCHES, ROOT, Stale, apply, patch_of
from tests.faults.scenarios import SCENARIOS

PATH = re.compile(r"^\+\+\+ b/(\S+)$", re.MULTILINE)


def touched(one: Sabotage) -> list[str]:
    """Return the files that a patch changes."""
    return PATH.findall(patch_of(one.name).read_text())


def test_every_patch_has_an_entry_and_every_entry_a_patch() -> None:
    assert sorted(one.name for one in SABOTAGES) == sorted(
        path.stem for path in PATCHES.glob("*.patch")
    )


def test_whoever_must_notice_is_there() -> None:
    there = {PARTITION_MODEL, SERVICE_MODEL, *(scenario.name for scenario in SCENARIOS)}
    assert [one.name for one in SABOTAGES if one.caught_by not in there] == []
    assert [name for name in (PARTITION_MODEL, SERVICE_MODEL) if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("one", SABOTAGES, ids=lambda one: one.name)
def test_a_patch_fits_the_code_changes_services_alone_and_leaves_python(
    one: Sabotage, tmp_path: Path
) -> None:
    before = {name: (ROOT / name).read_text() for name in touched(one)}
    assert [name for name in before if not name.startswith("services/")] == []
    for name, text in before.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    apply(patch_of(one.name), tmp_path)
    for name, text in before.items():
        after = (tmp_path / name).read_text()
        assert ast.dump(ast.parse(after)) != ast.dump(ast.parse(text))


def test_a_patch_that_does_not_fit_any_more_is_told_by_its_name(tmp_path: Path) -> None:
    one = SABOTAGES[0]
    for name in touched(one):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    with pytest.raises(Stale, match=one.name):
        apply(patch_of(one.name), tmp_path)
