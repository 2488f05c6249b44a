"""A clock can only be moved by a library that is there, and only by that of this machine."""

import platform
from pathlib import Path

import pytest

from tests.faults.scenario import NotRun
from tests.faults.skewing import NAME, library


@pytest.mark.parametrize("place", [f"lib/{platform.machine()}-linux-any", "lib64", "local/lib"])
def test_the_library_is_found_wherever_a_distribution_puts_it(place: str, tmp_path: Path) -> None:
    file = tmp_path / place / "faketime" / NAME
    file.parent.mkdir(parents=True)
    file.touch()
    assert library(str(tmp_path)) == str(file)


def test_without_it_or_with_another_machines_the_scenario_is_not_run_and_says_what_to_do(
    tmp_path: Path,
) -> None:
    file = tmp_path / "lib" / "pdp11-linux-gnu" / "faketime" / NAME
    file.parent.mkdir(parents=True)
    file.touch()
    with pytest.raises(NotRun, match="apt-get install libfaketime"):
        library(str(tmp_path))
