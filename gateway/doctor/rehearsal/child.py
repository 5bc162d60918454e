"""The gateway of a rehearsal: `harmattan run` that ends when whoever rehearses has died.

python -m gateway.doctor.rehearsal.child run --settings FILE --log json
"""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent ends; only Linux knows how."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() == 1:  # it ended before we could ask; a container's first process has no parent
        raise SystemExit(1)


if __name__ == "__main__":
    if os.environ.get("HARMATTAN_REHEARSAL_PARENT") != "1":
        end_with_parent()
    sys.argv[0] = "harmattan"
    runpy.run_module("gateway", run_name="__main__")
