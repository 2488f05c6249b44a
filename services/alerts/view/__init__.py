"""The view: what Redis holds for the API and the console, for reading only.

It may be lost at any time; a marker key per partition says so, and the owner of the partition
writes it anew from the snapshot and from `accounts.v1`.
"""

from services.alerts.view.batch import Batch
from services.alerts.view.link import Superseded, ViewAway, ViewLost
from services.alerts.view.stream import Trimmed
from services.alerts.view.view import View

__all__ = ["Batch", "Superseded", "Trimmed", "View", "ViewAway", "ViewLost"]
