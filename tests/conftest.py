"""What every test starts from: no setting of this shell, one seed that is told, servers on demand.

`EBBWATCH_TEST_KAFKA=host:port` names a broker to test against in place of one started here;
`TEST_SEED=number` repeats the random choices of an earlier run.
"""

import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import core, settings

from tests.platform import local_kafka, local_valkey

# Read before the environment is cleared: a setting of the shell must not steer a test.
TEST_KAFKA = os.environ.get("EBBWATCH_TEST_KAFKA")
SEED = int(os.environ.get("TEST_SEED") or random.SystemRandom().getrandbits(32))
# The processes of a parallel run are started with this environment: one seed for all of them, and
# one order of sets, or they would not find the same tests.
os.environ["TEST_SEED"] = str(SEED)
os.environ.setdefault("PYTHONHASHSEED", str(SEED % 2**32))

SLOW = ("tests/integration/test_faults.py", "tests/integration/", "tests/browser/")
"""What waits for other processes; begun last, it would be waited for at the end."""

for name in [name for name in os.environ if name.startswith("EBBWATCH_")]:
    del os.environ[name]

settings.register_profile("ci", deadline=None, print_blob=True)
settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--hypothesis-seed", default=None) is None:
        # Hypothesis declares it with its first value only.
        core.global_force_seed = SEED  # type: ignore[assignment]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _begun(item.nodeid))


def _begun(name: str) -> int:
    return next((n for n, start in enumerate(SLOW) if name.startswith(start)), len(SLOW))


def pytest_report_header() -> str:
    return f"seed: {SEED} (the same again with TEST_SEED={SEED})"


@pytest.fixture
def seed() -> int:
    """The seed of this run, for `numpy.random.default_rng` and `random.Random`."""
    return SEED


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of an Apache Kafka broker without topics."""
    if TEST_KAFKA:
        yield TEST_KAFKA
        return
    with local_kafka(tmp_path_factory.mktemp("kafka")) as bootstrap:
        yield bootstrap


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty Valkey."""
    with local_valkey(tmp_path_factory.mktemp("valkey")) as redis_url:
        yield redis_url
