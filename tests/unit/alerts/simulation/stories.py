"""What happens to two accounts: alerts of rules, and what people do about them."""

from collections.abc import Callable

from hypothesis import strategies as st

from schemas.alerts import SEVERITIES
from schemas.cases import LogRecord, Outcome
from tests.unit.alerts import builders as a

WHO = ("acme", "beta")
ALERTS = ("p", "q")
PEOPLE = ("ana", "bob")
CHANNELS = ("crm", "log")
OUTCOMES: tuple[Outcome, ...] = ("saved", "churned")
HOUR = 3600.0

alerts = st.builds(
    lambda kind, id, severity, day, **about: kind(id, severity, day=day, stamp=day, **about),
    st.sampled_from([a.raised, a.raised, a.worsened, a.eased]),
    st.sampled_from(ALERTS),
    st.sampled_from(SEVERITIES),
    st.integers(1, 9),
    account=st.sampled_from(WHO),
    owner=st.sampled_from([*PEOPLE, None]),
    shadow=st.sampled_from([False, False, False, False, True]),
    historic=st.sampled_from([False, False, False, False, True]),
)
clearings = st.builds(
    lambda id, day, account: a.cleared(id, day=day, account=account),
    st.sampled_from(ALERTS),
    st.integers(1, 9),
    st.sampled_from(WHO),
)
Act = Callable[..., LogRecord]
acts: st.SearchStrategy[Act] = st.one_of(
    st.sampled_from([a.acknowledged, a.acknowledged, a.reopened]),
    st.just(lambda **done: a.commented(f"said with {done['id']}", **done)),
    st.sampled_from(OUTCOMES).map(
        lambda out: lambda **done: a.resolved(out, f"noted with {done['id']}", **done)
    ),
    st.sampled_from([None, *PEOPLE]).map(lambda to: lambda **done: a.assigned(to, **done)),
    st.sampled_from(ALERTS).map(lambda id: lambda **done: a.feedback(id, **done)),
)
done = st.tuples(
    # What is done, or for how many seconds the case is snoozed.
    acts | st.sampled_from([30.0, 3 * HOUR]),
    st.integers(0, 60),
    st.sampled_from([*WHO, *WHO, *WHO, "nobody"]),
    st.sampled_from(PEOPLE),
    # How many versions the person was behind; None for whoever does not say.
    st.sampled_from([None, 0, 0, 1]),
)
