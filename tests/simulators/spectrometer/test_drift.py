"""Goal: a drifted laser moves every band, and the instrument does not know.

Method: the optics of one unit with and without drift, and the command line.
"""

import subprocess
import sys

import numpy as np
import pytest

from simulators.spectrometer.models import MODELS
from simulators.spectrometer.probe import Probe
from simulators.world import load_substances


def test_a_drift_moves_the_truth_and_not_what_is_stored():
    units = [
        Probe(MODELS["ventana_785"], load_substances(), 1, 0.0, drift_nm).unit
        for drift_nm in (0.0, 0.2)
    ]
    assert units[0].coefficients_nm == units[1].coefficients_nm
    assert units[0].serial_number == units[1].serial_number
    moved_cm1 = units[1].optics.axis_cm1 - units[0].optics.axis_cm1
    assert np.ptp(moved_cm1) < 1e-6
    assert moved_cm1[0] == pytest.approx(-3.245, abs=0.01)


def test_a_drift_that_no_laser_has_is_refused():
    command = [sys.executable, "-m", "simulators.spectrometer", "--laser-drift", "9"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "laser drift 9 nm; give -5 to 5" in done.stderr
