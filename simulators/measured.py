"""A measured spectrum as a simulated sample: two columns in a file, read once and checked."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulators.errors import WorldError
from simulators.photons import FloatArray

MEASURED_BYTES_MAX = 8 * 1024 * 1024  # a two-column spectrum of any instrument is far smaller
MEASURED_POINTS_MIN = 8  # fewer are no spectrum


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured spectrum to replay.

    Attributes:
        name: where it came from, for messages.
        shift_cm1: shape (n,), strictly increasing, cm^-1.
        intensity: shape (n,), >= 0 after clipping, largest value 1.
    """

    name: str
    shift_cm1: FloatArray
    intensity: FloatArray


def read_measured(path: Path) -> Measured:
    """Read a two-column spectrum (Raman shift in cm^-1, intensity), with or without a header.

    Negative intensities are clipped at 0 and the highest value is scaled to 1.

    Raises:
        WorldError: the file is missing, too large, or not two increasing columns of numbers.
    """
    rows = _read_rows(path)
    points: list[tuple[float, float]] = []
    for index, row in enumerate(rows):
        try:
            points.append((float(row[0]), float(row[1])))
        except (ValueError, IndexError):
            if index:
                raise WorldError(
                    f"{path}: row {index + 1} is {str(row)[:80]}, not two numbers"
                ) from None
    columns = np.array(points, dtype=np.float64).reshape(-1, 2)
    shift_cm1, intensity = columns[:, 0], np.maximum(columns[:, 1], 0.0)
    if len(points) < MEASURED_POINTS_MIN or not np.isfinite(columns).all():
        raise WorldError(f"{path} holds fewer than {MEASURED_POINTS_MIN} finite points")
    if not (np.diff(shift_cm1) > 0).all():
        raise WorldError(f"{path}: the first column must increase from row to row")
    if intensity.max() == 0.0:
        raise WorldError(f"{path}: the second column has no value above 0")
    return Measured(path.name, shift_cm1, intensity / intensity.max())


def _read_rows(path: Path) -> list[list[str]]:
    if path.exists() and not path.is_file():
        raise WorldError(f"{path} is no file; a two-column CSV file is expected")
    try:
        with path.open("rb") as file:
            content = file.read(MEASURED_BYTES_MAX + 1)
        if len(content) <= MEASURED_BYTES_MAX:
            lines = content.decode("utf-8-sig").splitlines()
            return [row for row in csv.reader(lines) if row and not row[0].startswith("#")]
    except OSError as error:
        raise WorldError(f"cannot read the spectrum {path}: {error.strerror}") from None
    except (ValueError, csv.Error):  # no UTF-8, a NUL in the path, a column without an end
        raise WorldError(f"{path} is not text; a two-column CSV file is expected") from None
    raise WorldError(f"{path} is larger than {MEASURED_BYTES_MAX} bytes; no spectrum is")
