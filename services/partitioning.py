"""Which partition an account belongs to: Kafka's own default partitioner."""

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(1 << 20)
def partition_of(key: str, count: int) -> int:
    """Return the partition of an account, the one that Kafka's Java client would choose.

    Args:
        key: The account's id (or `company`), without the subject's prefix.
        count: Number of partitions, >= 1.

    Source: the default partitioner of Apache Kafka, murmur2 of the key's bytes.
    """
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % count
