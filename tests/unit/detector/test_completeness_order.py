"""What is judged when and with what masked: the same in batches, and whoever shares a partition."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.alerts import Alert
from schemas.config import Input
from schemas.envelope import Entry
from schemas.events import ClockTicked
from services.detector.partition import Partition
from tests import builders as a
from tests import playing
from tests.faults.oracle.clocks import Clock
from tests.faults.oracle.rules import RuleSet
from tests.unit.detector.test_completeness import (
    began,
    fed,
    log_entries,
    masked,
    rules,
    steady,
    tick,
)

LATE = {"usage/0": 4.5}
"""The input stands still since noon of day 4."""


def telling(name: str, *sources: str) -> Entry:
    """A tick that tells of which sources an input has carried something, anywhere."""
    entry = tick(4, 12.1, LATE)
    assert isinstance(entry.event, ClockTicked)
    return replace(entry, event=replace(entry.event, fed={name: [*sources]}))


def late_anew(log: playing.Log) -> set[str]:
    """Return what the oracle takes for late on day 4."""
    topic = Input(topic="topicusage", format="cloudevents", source="app")
    clock = Clock(rules=RuleSet(inputs={"usage": topic}), opened={"UTC": -1})
    for number, one in enumerate(log_entries(log)):
        if isinstance(one.event, ClockTicked):
            clock.hear(one.event, 1 << 40)
            for closing in clock.advance(one.event, number):
                if closing.day == a.START + 4:
                    return {*closing.late}
    raise AssertionError("day 4 does not close")


def test_a_late_input_masks_the_same_whoever_shares_the_partition() -> None:
    """The source `web` reaches acme by HTTP, and others by the input as well."""
    mine = a.usage(account="acme", source="web", day=4)
    late = steady(5, (0, 8), LATE)
    with_others = began(mine, fed("usage", 1, account="beta", source="web"), *late)
    alone = began(mine, telling("usage", "web"), *late)
    nobody = began(mine, tick(4, 12.1, LATE), *late)

    assert masked(with_others) == masked(alone) == [{"app": [4], "web": [4]}]
    assert masked(nobody) == [{"app": [4]}]
    assert [late_anew(log) for log in (alone, nobody)] == [{"app", "web"}, {"app"}]
    states = [
        playing.play(log).accounts["account:acme"].states for log in (with_others, alone, nobody)
    ]
    assert states == [{"usage": "no_data"}, {"usage": "no_data"}, {"usage": "warming_up"}]


def test_a_tick_tells_of_inputs_of_the_rule_set_only_and_of_each_source_once() -> None:
    log = began(telling("gone", "web"), telling("usage", "web", "app"), telling("usage", "web"))
    assert playing.play(log).ledger.record.fed == {"usage": ["app", "web"]}


told = st.lists(
    st.tuples(
        st.sampled_from(["usage", "tick", "tick", "tick", "outage", "rules"]),
        st.integers(0, 3),
        st.integers(0, 24),
    ),
    max_size=60,
)


@given(told, st.integers(1, 3), st.integers(1, 7))
def test_what_opens_when_depends_on_the_log_alone(
    stories: list[tuple[str, int, int]], together: int, every: int
) -> None:
    """Judged at once, or in portions with snapshots in between: the same bytes."""
    log, hour = began(), 12.0
    for number, (kind, which, late) in enumerate(stories):
        hour += {"tick": 0.15, "outage": 9}.get(kind, 0)
        now = 4 + hour / 24
        until = {f"{['usage', 'billing'][which % 2]}/{which // 2}": now - late / 24}
        match kind:
            case "usage":
                one = fed("usage", number, account=f"a{which}", time=a.at(now, 0), source="app")
                log.add(one, appended=a.at(now, 0))
            case "rules":
                names = (("usage",), ("usage", "billing"), (), ("billing",))[which]
                log.add(rules(2 + number, *names))
            case _:
                log.each(*(tick(4, hour - n / 10, until) for n in (0, 1)))
    eager = playing.play(log)
    lazy, store = Partition.begin(0, 1), dict[str, bytes]()
    found: list[Alert] = []
    for number, message in enumerate(log):
        lazy.apply(*message)
        lazy.judge(together)
        if number % every == 0:
            cut = lazy.cut()
            store, found = playing.store(store, cut), [*found, *cut.alerts]
            lazy = Partition.restore(0, 1, store)
    cut = playing.settle(lazy, together).cut()
    undisturbed = eager.cut()
    assert playing.store(store, cut) == playing.store({}, undisturbed)
    assert [*found, *cut.alerts] == undisturbed.alerts
