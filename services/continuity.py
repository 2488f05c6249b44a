"""Whether a log continues a snapshot, and that is all there: what a new owner asks first."""

from services.snapshots import Bounds


class CannotOwn(Exception):
    """A partition must not be run as it is: a hole in the log, or another partition count."""


def unusable(snapshots: str, number: int, fault: str, remedy: str) -> CannotOwn:
    """Return the refusal of a snapshot that is not what was written.

    Args:
        snapshots: Name of the snapshot's topic, such as `state.v1`.
        number: The partition.
        fault: What is wrong with it.
        remedy: What else may be done than restore it.
    """
    return CannotOwn(
        f"{snapshots} partition {number} cannot be used: {fault}. Nothing runs on a part of a "
        f"snapshot: restore the topic as it was, or {remedy}"
    )


def emptied(held: Bounds) -> str | None:
    """Return what is wrong with a snapshot without records, if anything ever was in it.

    Args:
        held: What the snapshot's partition holds. That records were once written there does not
            show in its end: they may have been of a transaction that did not come to pass.
    """
    if held.start == 0:
        return None
    return f"it begins at offset {held.start} and has no record: what was in it was deleted"


def check_count(log: str, topic: int, snapshot: int, setting: int) -> None:
    """Refuse another partition count than the deployment was made with.

    Args:
        log: Name of the log, such as `events.v1`, for the message.
        topic: Partitions that the log has.
        snapshot: Partitions that the snapshot was made with.
        setting: What EBBWATCH_PARTITIONS says.

    Raises:
        CannotOwn: If they are not all the same.
    """
    if not topic == snapshot == setting:
        raise CannotOwn(
            f"{log} has {topic} partitions, the snapshot was made with {snapshot}, "
            f"EBBWATCH_PARTITIONS says {setting}: an account stays on the partition where its "
            "history is. Set the count back, or import into a new deployment (another "
            "EBBWATCH_PREFIX)"
        )


def check(
    log: str,
    snapshots: str,
    number: int,
    stamp: int,
    appended: int,
    bounds: Bounds,
    reached: int = 0,
) -> None:
    """Refuse a log that does not continue a snapshot.

    Args:
        log: Name of the log, such as `events.v1`, for the message.
        snapshots: Name of the snapshot's topic, such as `state.v1`, for the message.
        number: The partition, for the message.
        stamp: Offset up to which the snapshot is folded; -1 for nothing.
        appended: Append time of the message at the stamp, microseconds.
        bounds: What the log holds.
        reached: Offset before which nothing is left to fold, where that may lie beyond the next
            one: in a log with markers of transactions.

    Raises:
        CannotOwn: If messages are missing, or the topic is another one than was folded.
    """
    where = f"{log} partition {number}"
    if bounds.start > max(stamp + 1, reached):
        raise CannotOwn(
            f"{where} begins at offset {bounds.start}, but the snapshot ends at {stamp}: the "
            "messages between were deleted unread. Restore them, or start a new deployment "
            "(another EBBWATCH_PREFIX) and import the history"
        )
    if bounds.end < stamp + 1:
        raise CannotOwn(
            f"{where} ends at offset {bounds.end}, but the snapshot is at {stamp}: the topic was "
            f"created anew. Delete {snapshots} with it, or restore the topic"
        )
    if bounds.appended is not None and bounds.appended != appended:
        raise CannotOwn(
            f"{where}: the message at offset {stamp} was appended at {bounds.appended}, the "
            f"snapshot folded one appended at {appended}: this is another topic than the one that "
            "was folded"
        )
