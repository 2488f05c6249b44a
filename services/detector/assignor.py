"""Shares the partitions out among the workers, and never shares out nothing."""

from collections.abc import MutableMapping
from typing import Any

from faust.assignor import PartitionAssignor

from services.runtime import ExitCode, die


class Assignor(PartitionAssignor):
    """Faust's, but for a topic that Kafka says nothing of.

    A broker that has just started may answer a metadata request before it knows its topics. Faust
    leaves such a topic out: every worker would own nothing, and nobody would ask again.
    """

    def assign(self, cluster: Any, member_metadata: MutableMapping[str, Any]) -> Any:
        """Return what each member gets; the group's leader is asked.

        Args:
            cluster: What is known of the topics.
            member_metadata: What each member subscribes to.
        """
        topics = {topic for one in member_metadata.values() for topic in one.subscription}
        unknown = sorted(topic for topic in topics if not cluster.partitions_for_topic(topic))
        if unknown:
            # The worker that is started in its place waits until Kafka knows them.
            die("assignor", f"Kafka says nothing of {', '.join(unknown)} yet", ExitCode.STUCK)
        return super().assign(cluster, member_metadata)
