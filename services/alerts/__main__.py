"""`python -m services.alerts` runs the alerts service with the settings of the environment."""

import os
import sys
from pathlib import Path

from services.alerts.app import main
from services.settings import local_environment

if __name__ == "__main__":
    sys.exit(main(local_environment(Path(".ebbwatch"), os.environ)))
