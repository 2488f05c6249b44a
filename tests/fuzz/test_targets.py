"""Every target holds for some hundred garbled inputs; `make fuzz` goes on for longer."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.garbling import inputs
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

EXAMPLES = 60
HEAVY = 4
SEEDS = 8


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_bytes_break_it(target: Target) -> None:
    @settings(
        max_examples=HEAVY if target.heavy else EXAMPLES,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def hold(data: st.DataObject) -> None:
        target.check(data.draw(inputs(target)))

    hold()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_its_seeds_hold(target: Target) -> None:
    # The last ones are those that broke it once.
    for seed in target.seeds()[-SEEDS if target.heavy else None :]:
        target.check(seed)
