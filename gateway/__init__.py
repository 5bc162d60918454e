"""The gateway of a border post: takes readings in, decides what they show, gets alerts out."""

import os

# Before NumPy is imported. The matrices here are small: more threads of BLAS wait for each other
# longer than they compute, measured 38 ms a spectrum instead of 6 while the other core is busy.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
