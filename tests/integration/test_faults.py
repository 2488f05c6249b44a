"""The most telling scenarios of the fault suite, three seeds of each; `make faults` runs all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.running import Servers, run, serving
from tests.faults.scenarios import QUICK, named

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SEEDS = 3


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with serving(tmp_path_factory.mktemp("faults")) as shared:
        yield shared


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("number", range(SEEDS))
async def test_what_came_of_the_log_is_exactly_what_the_log_says(
    name: str, number: int, servers: Servers, tmp_path: Path, seed: int
) -> None:
    outcome = await run(named(name), seed + number, servers, tmp_path / name)
    print(outcome.line())
    assert outcome.differences == ()
    assert outcome.not_run is None
