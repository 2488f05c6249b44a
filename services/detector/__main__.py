"""`python -m services.detector` runs a detector with the settings of the environment."""

import os
import sys
from pathlib import Path

from services.detector.app import main
from services.settings import local_environment

if __name__ == "__main__":
    sys.exit(main(local_environment(Path(".ebbwatch"), os.environ)))
