import pytest
from msgspec.structs import replace

from schemas.envelope import Entry
from services.detector.facts.buckets import LINE_LIMIT, SUM_LIMIT, TOO_LATE, Buckets
from services.detector.facts.usage import Usage
from tests import builders as a

TRACKED = {"export": None, "import": None}


def fold(usage: Usage, buckets: Buckets, one: Entry, day: int = 100, oldest: int = 0) -> str | None:
    at = replace(a.moment(one, buckets, day, oldest=oldest), features=TRACKED)
    step = usage.fold(one, at)
    if isinstance(step, str):
        return step
    if step is not None:
        step()
    return None


def sums(buckets: Buckets, day: int = 100) -> dict[str, int]:
    return {name: line.at(day) for name, line in buckets.lines.items()}


def test_a_tracked_feature_has_a_line_of_its_own_beside_the_metrics() -> None:
    usage, buckets = Usage(), Buckets()
    for quantity, feature in ((3, "export"), (0.5, "export"), (2, "search"), (1, None)):
        assert fold(usage, buckets, a.usage(quantity, metric="api", feature=feature)) is None
    assert sums(buckets) == {"api": 6_500, "@feature:export": 3_500}
    assert usage.last_day == 100


def test_a_refusal_of_either_line_changes_neither() -> None:
    usage, buckets = Usage(), Buckets()
    assert fold(usage, buckets, a.usage(feature="export"), day=4, oldest=5) == TOO_LATE
    buckets.add("@feature:export", 100, SUM_LIMIT, 0, "app")
    assert fold(usage, buckets, a.usage(1, metric="api", feature="export")) == "sum_too_large"
    assert (sums(buckets), usage.last_day) == ({"@feature:export": SUM_LIMIT}, None)


@pytest.mark.parametrize("first", ["features", "metrics"])
def test_features_take_no_room_from_metrics_whatever_comes_first(first: str) -> None:
    usage, buckets = Usage(), Buckets()
    metrics = [a.usage(1, metric=f"m{n}") for n in range(LINE_LIMIT)]
    features = [a.usage(1, metric="m0", feature=name) for name in TRACKED]
    for one in (*features, *metrics) if first == "features" else (*metrics, *features):
        assert fold(usage, buckets, one) is None
    assert fold(usage, buckets, a.usage(1, metric="one more")) == "too_many_metrics"
    assert len(buckets.lines) == LINE_LIMIT + 2
