"""What is done wrong on purpose, one patch each, and what of the suite must notice.

Each is a version of the code that a tired person might write, that passes every undisturbed run,
and that breaks the promise when something crashes at the wrong moment.
"""

from dataclasses import dataclass

SEEDS = (1, 2, 3)
PARTITION_MODEL = "tests/unit/detector/test_model.py"
SERVICE_MODEL = "tests/unit/alerts/test_model.py"
FAILED = r"^E +(AssertionError|assert )"
"""What a model test says that has compared, and not that its code cannot run."""


@dataclass(frozen=True, slots=True)
class Sabotage:
    """One wrong version.

    Attributes:
        name: Of the patch beside this file, without its ending.
        says: What is wrong with it.
        caught_by: A scenario of the suite, or the path of a model test, which needs no broker.
        sign: What a difference must say, a regular expression: a run that fails for another reason,
            such as a machine that is too slow, has caught nothing.
        seeds: Tried one after the other until one catches it.
    """

    name: str
    says: str
    caught_by: str
    sign: str
    seeds: tuple[int, ...] = SEEDS

    @property
    def modelled(self) -> bool:
        """Whether a model test catches it."""
        return self.caught_by.endswith(".py")


SABOTAGES: tuple[Sabotage, ...] = (
    Sabotage(
        "acknowledges-before-the-transaction",
        "a message counts as done before the transaction that holds its fold",
        caught_by="transaction-unanswered",
        sign=r"committed .* the snapshot",
    ),
    Sabotage(
        "alerts-outside-the-transaction",
        "alerts are written in a transaction of their own, before that of the snapshot",
        caught_by="kill-detector-at-failpoints",
        sign=r"alert record .* should not be there",
    ),
    Sabotage(
        "stamp-outside-the-transaction",
        "the ledger is written in a transaction of its own, after that of the accounts",
        caught_by="kill-detector-at-failpoints",
        sign=r"is [\d.e+]+, the log says|detector-0 ended for good with 78",
    ),
    Sabotage(
        "no-fencing",
        "every process has a transactional id of its own, so that nobody fences the former owner",
        caught_by="freeze-detector",
        sign=r"the woken detector-0|detector-0 to have ended",
    ),
    Sabotage(
        "seeks-to-the-committed-offset",
        "reading goes on at the committed offset instead of the one after the stamp",
        caught_by="committed-offsets-lie",
        sign=r"of a wrong position",
    ),
    Sabotage(
        "cut-torn-by-an-await",
        "the ledger is encoded after the forwards were waited for, and the accounts before",
        caught_by="forwards-refused",
        sign=r"the log says|was not counted",
    ),
    Sabotage(
        "id-generations-closed-by-flush",
        "a generation of remembered ids closes with each flush instead of by its count",
        caught_by=PARTITION_MODEL,
        sign=FAILED,
    ),
    Sabotage(
        "bridge-commits-before-the-acknowledgement",
        "the offset of an input is committed before its envelopes are acknowledged",
        caught_by="kill-ingest-at-failpoints",
        sign=r"^ *record .* must hold",
    ),
    Sabotage(
        "two-unacknowledged-produces",
        "an envelope is sent before the one before it in its partition is acknowledged",
        caught_by="produce-overtaken",
        sign=r"so nobody counts it",
    ),
    Sabotage(
        "outcome-not-in-the-log",
        "a delivery's outcome goes into the service's own log alone",
        caught_by=SERVICE_MODEL,
        sign=FAILED,
    ),
    Sabotage(
        "outcome-before-the-send",
        "a delivery is noted as made before it is",
        caught_by=SERVICE_MODEL,
        sign=FAILED,
    ),
    Sabotage(
        "redis-taken-for-the-truth",
        "an empty Redis is taken for a view of no cases instead of one that was lost",
        caught_by="view-flushed",
        sign=r"is open in the log and not listed",
    ),
    Sabotage(
        "one-lane-for-all-channels",
        "deliveries of all channels wait in one queue",
        caught_by="endpoints-bad-beside-a-good-one",
        sign=r"webhooks did not come true|one in a hundred webhooks",
    ),
    Sabotage(
        "pause-not-kept",
        "`Retry-After` holds for the one notice that it answered, and for no other",
        caught_by="endpoint-asks-to-wait",
        sign=r"were sent to who had asked for a pause",
    ),
    Sabotage(
        "redirects-followed",
        "a webhook goes wherever its endpoint sends it",
        caught_by="endpoint-rude",
        sign=r"a redirect was followed",
    ),
    Sabotage(
        "wall-clock-in-a-fold",
        "whether an event is young is asked of the wall clock instead of the log's",
        caught_by="kill-in-short-time-lapse",
        sign=r"alert record|got \d+ alerts",
    ),
    Sabotage(
        "ticks-merged-by-the-last",
        "how far an input has come is what the last tick says instead of the most that any said",
        caught_by="ticks-out-of-order",
        sign=r"the log says|alert record|was counted|counted was",
    ),
    Sabotage(
        "completeness-ignored",
        "a day is judged when it is due, whether its inputs have come or not",
        caught_by="ticks-out-of-order",
        sign=r"the log says|alert record|was counted",
    ),
    Sabotage(
        "forwards-acknowledged-after-the-flush",
        "a flush commits before the forwards of what it folded are acknowledged",
        caught_by="forwards-refused",
        sign=r"are missing|skips",
    ),
    Sabotage(
        "forward-without-origin",
        "a forward does not say which entry caused it",
        caught_by=PARTITION_MODEL,
        sign=FAILED,
    ),
    Sabotage(
        "snapshot-read-uncommitted",
        "who takes a partition over also reads what an unfinished transaction has written",
        caught_by="kill-detector-at-failpoints",
        sign=r"the log says|must have been written|cannot be restored",
    ),
    Sabotage(
        "stop-without-a-flush",
        "a worker that is asked to end gives its partitions up and does not write what it folded",
        caught_by="stop-under-load",
        sign=r"had folded partition \d+ up to \d+ and ended with",
    ),
    Sabotage(
        "http-answers-before-the-acknowledgement",
        "a request is answered before Kafka has acknowledged its events",
        caught_by="killed-while-kafka-is-slow",
        sign=r"acknowledged over HTTP, not in events",
    ),
)


def named(names: tuple[str, ...]) -> tuple[Sabotage, ...]:
    """Return these, or all if none is named.

    Raises:
        KeyError: There is none of a name.
    """
    known = {one.name: one for one in SABOTAGES}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise KeyError(f"there is no sabotage {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(known[name] for name in names) or SABOTAGES
