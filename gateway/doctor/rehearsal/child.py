"""The gateway of a rehearsal: `harmattan run` that ends when whoever rehearses has died.

python -P -m gateway.doctor.rehearsal.child PARENT run --settings FILE --log json
"""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def end_with(parent: int) -> None:
    """Ask the kernel for SIGTERM when the process `parent` ends; only Linux knows how."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we could ask
        raise SystemExit(1)


if __name__ == "__main__":
    end_with(int(sys.argv.pop(1)))
    sys.argv[0] = "harmattan"
    runpy.run_module("gateway", run_name="__main__")
