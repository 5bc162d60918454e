"""The pipelines a scientist would write, and how they come to an alarm.

Both unmix a spectrum without background into the library's substances, rendered from the band
tables on one grid, with non-negative least squares. A listed substance whose share of all
coefficients reaches a limit is the alarm; each pipeline gets the limit that serves it best on the
tuning side (`choose_limit`).
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from pybaselines import Baseline
from pybaselines.utils import ParameterWarning
from scipy.optimize import nnls

from gateway.spectra.library import Library
from gateway.spectra.spectrum import FloatArray, Spectrum
from simulators.forward import voigt

GRID_CM1: FloatArray = np.arange(200.0, 2401.0, 1.0)
"""Spectra of several instruments are usually brought to 1 cm^-1; most measured ones come so."""

RESOLUTION_CM1 = 8.0
"""Line width of the templates: the hand-held class, and that of the synthetic goods here."""

ARPLS_LAM = 1e6
"""Stiffness of arPLS usual for Raman spectra at 1 cm^-1 per point (1e5 to 1e7 in practice)."""

LIMITS: FloatArray = np.geomspace(0.005, 0.6, 49)
FALSE_ALARM_SHARE_MAX = 0.02
"""A peer's limit is the lowest that keeps its false alarms on the tuning side to this."""

RAMANSPY_VERSION = "0.2.10"
RAMANSPY_REQUIREMENTS = (f"ramanspy=={RAMANSPY_VERSION}", "numpy<2.3", "setuptools")
"""Its protocols call numpy.trapz, which newer NumPy no longer has; hence its own environment."""

SIDE = Path(__file__).with_name("ramanspy_side.py")
END_S_MAX = 10.0
"""The other side ends as soon as its input does; one spectrum takes far less."""


class PeerError(RuntimeError):
    """A pipeline to compare with cannot be had here."""


class Peer(Protocol):
    """A pipeline that gives every substance a share."""

    def shares(self, spectrum: Spectrum) -> tuple[FloatArray, float]:
        """Shares of the substances, shape (s,), summing to 1 or all 0, and the seconds taken."""


def templates(library: Library) -> FloatArray:
    """Every substance of the library on the grid, tallest point 1, shape (s, g)."""
    rows = np.zeros((len(library.active_ids), GRID_CM1.size))
    for place, key in enumerate(library.active_ids):
        for band in library[key].bands:
            near = np.abs(GRID_CM1 - band.shift_cm1) < 20.0 * (band.fwhm_cm1 + RESOLUTION_CM1)
            rows[place, near] += band.rel_intensity * voigt(
                GRID_CM1[near], band.shift_cm1, band.fwhm_cm1, RESOLUTION_CM1
            )
    tallest: FloatArray = rows / np.maximum(rows.max(axis=1, keepdims=True), 1e-9)
    return tallest


class ArplsPeer:
    """pybaselines' arPLS, then scipy's NNLS.

    Args:
        rows: templates, shape (s, g).
    """

    def __init__(self, rows: FloatArray) -> None:
        self._columns = np.ascontiguousarray(rows.T)

    def shares(self, spectrum: Spectrum) -> tuple[FloatArray, float]:
        """Unmix one spectrum; see Peer."""
        start = time.perf_counter()
        axis = spectrum.axis_cm1
        inside = (axis[0] <= GRID_CM1) & (axis[-1] >= GRID_CM1)
        counts = np.interp(GRID_CM1[inside], axis, spectrum.intensity_counts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ParameterWarning)  # an early stop is still a baseline
            base, _ = Baseline(GRID_CM1[inside]).arpls(counts, lam=ARPLS_LAM)
        amount, _ = nnls(self._columns[inside], counts - base)
        return normalised(amount), time.perf_counter() - start


def normalised(amount: FloatArray) -> FloatArray:
    """Coefficients as shares of their sum."""
    total = float(amount.sum())
    return amount / total if total > 0.0 else amount


class RamanspyPeer:
    """RamanSPy in its own interpreter, asked spectrum by spectrum.

    Args:
        interpreter: of the environment that has RamanSPy.
        rows: templates, shape (s, g).
    """

    def __init__(self, interpreter: Path, rows: FloatArray) -> None:
        self._folder = TemporaryDirectory(prefix="harmattan-ramanspy-")
        self._path = Path(self._folder.name)
        np.savez(self._path / "library.npz", rows=rows, grid=GRID_CM1)
        self._side = subprocess.Popen(
            [str(interpreter), str(SIDE), str(self._path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._expect("ready")
        except PeerError:
            self.close()
            raise

    def shares(self, spectrum: Spectrum) -> tuple[FloatArray, float]:
        """Unmix one spectrum; see Peer. The time is the other side's own."""
        np.savez(
            self._path / "spectrum.npz", axis=spectrum.axis_cm1, counts=spectrum.intensity_counts
        )
        if self._side.stdin is None:
            raise PeerError("RamanSPy's side takes no questions")
        self._side.stdin.write("go\n")
        self._side.stdin.flush()
        seconds = float(self._expect("done"))
        amount: FloatArray = np.load(self._path / "amount.npy")
        return normalised(amount), seconds

    def _expect(self, word: str) -> str:
        """The rest of the next line, which must start with this word."""
        line = self._side.stdout.readline() if self._side.stdout else ""
        if not line.startswith(word):
            raise PeerError(f"RamanSPy's side ended or said {line!r} instead of {word!r}")
        return line.removeprefix(word).strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the other side and remove what was exchanged."""
        if self._side.stdin:
            self._side.stdin.close()
        try:
            self._side.wait(timeout=END_S_MAX)
        except subprocess.TimeoutExpired:
            self._side.kill()
            self._side.wait()
        if self._side.stdout:
            self._side.stdout.close()
        self._folder.cleanup()


def provide_ramanspy(folder: Path) -> Path:
    """Make an environment with RamanSPy once; returns its interpreter.

    Raises:
        PeerError: in one sentence, when it cannot be had (no network, for one).
    """
    interpreter = folder / "bin" / "python"
    mark = folder / "ready"
    if mark.is_file() and mark.read_text() == "\n".join(RAMANSPY_REQUIREMENTS):
        return interpreter
    sys.stderr.write(f"bench-identify: installing RamanSPy into {folder} ...\n")
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(interpreter), "-m", "pip", "install", "--quiet", *RAMANSPY_REQUIREMENTS],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise PeerError(
                f"RamanSPy could not be installed ({last}); connect to a package index or run "
                "with --without-ramanspy"
            )
    mark.write_text("\n".join(RAMANSPY_REQUIREMENTS))
    return interpreter


@dataclass(frozen=True, slots=True)
class Question:
    """One spectrum against one list.

    Attributes:
        shares: of all substances, shape (s,).
        listed: places of the listed substances.
        right: places of those that name the target rightly; empty = nothing listed is in it.
    """

    shares: FloatArray
    listed: tuple[int, ...]
    right: tuple[int, ...]

    def found(self, limit: float) -> bool:
        """The target is the alarm."""
        return any(self.shares[place] >= limit for place in self.right)

    def false(self, limit: float) -> bool:
        """Something listed is the alarm; asked where nothing listed is there."""
        return any(self.shares[place] >= limit for place in self.listed)


def choose_limit(questions: Sequence[Question]) -> float:
    """The lowest limit, thus the one that finds most, that keeps the false alarms."""
    benign = [question for question in questions if not question.right]
    for limit in LIMITS:
        false = sum(question.false(float(limit)) for question in benign)
        if false <= FALSE_ALARM_SHARE_MAX * len(benign):
            return float(limit)
    return float(LIMITS[-1])
