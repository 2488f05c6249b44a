"""The oracle: what must have become of a log, recounted in plain Python.

It shares no code with the services: only the records of `schemas` and the standard library. What it
counts it never forgets, it judges a day the moment it closes, and it knows nothing of snapshots,
owners or batches; so whatever crashed, the deployment must say the same.
"""

from .addressing import Owned, Routing, addressees
from .arrivals import Arrived, desk_differences
from .comparing import Actual, cut, differences
from .crossing import votes
from .desk import Desk, recount_desk
from .kept import kept_differences
from .pages import glance_differences
from .reading import Keyed, Logs, Message, Unaccountable
from .recounting import Bucket, Recounted, recount
from .supply import supply_differences

__all__ = [
    "Actual",
    "Arrived",
    "Bucket",
    "Desk",
    "Keyed",
    "Logs",
    "Message",
    "Owned",
    "Recounted",
    "Routing",
    "Unaccountable",
    "addressees",
    "cut",
    "desk_differences",
    "differences",
    "glance_differences",
    "kept_differences",
    "recount",
    "recount_desk",
    "supply_differences",
    "votes",
]
