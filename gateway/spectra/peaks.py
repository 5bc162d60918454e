"""Peaks by scipy.signal, which takes most of a second to load: only whoever looks for peaks waits.

A gateway starts, and `harmattan status` answers, without it.
"""

from typing import Any

from gateway.spectra.spectrum import FloatArray


def find_peaks(values: FloatArray, **limits: float) -> tuple[Any, dict[str, Any]]:
    """Return scipy.signal.find_peaks; the arguments are its own."""
    from scipy import signal  # noqa: PLC0415 - see the module's docstring

    found: tuple[Any, dict[str, Any]] = signal.find_peaks(values, **limits)
    return found


def peak_widths(
    values: FloatArray,
    tops: Any,  # noqa: ANN401 - whole numbers of scipy's own width
    rel_height: float,
    prominence_data: tuple[Any, Any, Any] | None = None,
) -> tuple[Any, Any, Any, Any]:
    """Return scipy.signal.peak_widths; the arguments are its own."""
    from scipy import signal  # noqa: PLC0415 - see the module's docstring

    found: tuple[Any, Any, Any, Any] = signal.peak_widths(
        values, tops, rel_height=rel_height, prominence_data=prominence_data
    )
    return found
