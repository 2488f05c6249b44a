"""The three services of Ebbwatch, what they share, and the command line."""

import os

# Before numpy is imported, which starts a thread per further core for products of matrices. There
# are none here, and the threads took more time than the fold on a busy machine (DECISIONS 38).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
