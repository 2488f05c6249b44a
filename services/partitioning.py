"""Which partition a subject belongs to: Kafka's own default partitioner."""

from functools import lru_cache

from aiokafka.partitioner import murmur2

from schemas.envelope import ACCOUNT


@lru_cache(1 << 20)
def partition_of(key: str, count: int) -> int:
    """Return the partition of a key, the one that Kafka's Java client would choose.

    Args:
        key: An account's id without the subject's prefix, or any other subject as it stands.
        count: Number of partitions, >= 1.

    Source: the default partitioner of Apache Kafka, murmur2 of the key's bytes.
    """
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % count


def home_of(subject: str, count: int) -> int:
    """Return the partition in which a subject is folded.

    Args:
        subject: Such as `account:acct_42`, `person:u1`, `colleague:ana` or `company`.
        count: Number of partitions, >= 1.

    >>> home_of("account:acct_42", 8) == partition_of("acct_42", 8)
    True
    """
    return partition_of(subject.removeprefix(ACCOUNT), count)
