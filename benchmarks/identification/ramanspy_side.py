"""RamanSPy's side of the race: runs in RamanSPy's own environment and imports nothing of ours.

Called with a folder. Reads library.npz there, says "ready"; for every line on standard input reads
spectrum.npz, unmixes it, writes amount.npy and says "done SECONDS".
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import ramanspy
from ramanspy.analysis.unmix import abundance_methods


def main(folder: Path) -> None:
    """Answer until standard input ends."""
    warnings.simplefilter("ignore")
    library = np.load(folder / "library.npz")
    rows, grid = library["rows"], library["grid"]
    # Its first protocol, without its crop to 700 to 1800 cm^-1, which would cost it detection.
    protocol = ramanspy.preprocessing.protocols.georgiev2023_P1(fingerprint=False)
    unmix = abundance_methods["nnls"]
    print("ready", flush=True)
    for _ in sys.stdin:
        held = np.load(folder / "spectrum.npz")
        axis, counts = held["axis"], held["counts"]
        start = time.perf_counter()
        clean = protocol.apply(ramanspy.Spectrum(counts, axis))
        inside = (grid >= clean.spectral_axis[0]) & (grid <= clean.spectral_axis[-1])
        signal = np.interp(grid[inside], clean.spectral_axis, clean.spectral_data)
        # Its normalisation divides by the area; the solver wants numbers near 1.
        signal = signal / max(float(np.abs(signal).max()), 1e-300)
        amount = np.asarray(unmix(signal[None, :], rows[:, inside]))[0]
        taken = time.perf_counter() - start
        np.save(folder / "amount.npy", np.maximum(amount, 0.0).astype(np.float64))
        print("done", taken, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
