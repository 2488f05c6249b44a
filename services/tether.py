"""Runs a command that ends when the process that started it ends: `tether.py PARENT COMMAND…`.

A supervisor killed with SIGKILL can end nothing any more, so the kernel does it. This is a program
of its own, and not a hook between fork and exec, because such a hook may hang when the supervisor
has threads. It is run by its path, without this package.

Source: prctl(2), PR_SET_PDEATHSIG; kept over execve(2) of a program that is not set-user-ID.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
RESTART_ME = 70

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        # The parent ended before the kernel was told: nobody would end this process.
        sys.exit(RESTART_ME)
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        sys.exit(f"cannot run {sys.argv[2]}: {error.strerror}")
