"""A node's intensity correction: from the reading of a certified glass to a curve.

The command that asks for the reading names the certificate by its digest and has laid a copy of it
into the post's folder, so that what the correction rests on stays with the journal.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from gateway.errors import GatewayError
from gateway.journal.responses import GLASS_PREFIX
from gateway.screening.frame import Frame, FrameError
from gateway.screening.standing import Standing
from gateway.spectra.errors import SpectraError
from gateway.spectra.response import (
    CERTIFICATE_BYTES_MAX,
    ResponseCurve,
    measure_response,
    read_certificate,
)

FOLDER: Final = "certificates"  # in the post's folder
DIGEST_CHARS: Final = 24  # 96 bits name a file beyond doubt, and fit the name of a standard


class GlassError(Exception):
    """A glass gives no correction.

    Args:
        fault: its name, for the log.
        text: the sentence: thing, value, remedy.
    """

    def __init__(self, fault: str, text: str) -> None:
        super().__init__(text)
        self.fault = fault


def is_glass(standard: str) -> bool:
    """Whether what a command names is a certified glass and no standard."""
    return standard.startswith(GLASS_PREFIX)


def keep_certificate(directory: Path, content: bytes) -> str:
    """Lay a certificate into the post's folder; return its name for the command.

    Raises:
        GatewayError: it cannot be written.
    """
    digest = hashlib.sha256(content).hexdigest()[:DIGEST_CHARS]
    path = directory / FOLDER / f"{digest}.toml"
    try:
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise GatewayError(
            f"cannot write {path}: {error.strerror or error}; give this user the right to write "
            "the post's folder"
        ) from error
    return GLASS_PREFIX + digest


def evaluate_glass(name: str, directory: Path, frame: Frame, standing: Standing) -> ResponseCurve:
    """Make the correction of a node's instrument from its reading of the glass.

    Args:
        name: as `keep_certificate` gave it.
        directory: the post's folder.
        frame: the reading with its axis and dark frame.
        standing: the calibration it stands on. Without one the stated axis does: the curve is
            smooth over 20 cm^-1 and more.

    Raises:
        GlassError: reading, glass and certificate give none.
    """
    digest = name.removeprefix(GLASS_PREFIX)
    path = directory / FOLDER / f"{digest}.toml"
    remedy = "give the command again, with --certificate FILE"
    if not digest.isalnum():
        raise GlassError("certificate_unknown", f"certificate {digest[:40]!r} is none; {remedy}")
    try:
        with path.open("rb") as source:
            content = source.read(CERTIFICATE_BYTES_MAX + 1)
    except OSError as error:
        text = f"certificate {path.name}: {error.strerror or error}; {remedy}"
        raise GlassError("certificate_unknown", text) from error
    if hashlib.sha256(content).hexdigest()[:DIGEST_CHARS] != digest:
        text = f"certificate {path.name} was changed after the command; {remedy}"
        raise GlassError("certificate_unknown", text)
    if frame.dark_counts is None:
        raise GlassError(
            "dark_missing",
            "the glass was measured without a dark frame, which a correction needs; measure it "
            "again",
        )
    try:
        certificate = read_certificate(content.decode("utf-8", errors="replace"))
        spectrum = frame.as_spectrum(0.0)
        if standing.calibration is not None:
            spectrum = standing.calibration.correct(spectrum)
        laser_nm = frame.axis.excitation_nm if frame.axis else None
        return measure_response(certificate, spectrum, laser_nm)
    except FrameError as error:
        text = f"the reading of the glass cannot be used ({error}); measure it again"
        raise GlassError(error.reason_id, text) from error
    except SpectraError as error:
        raise GlassError("glass_refused", str(error)) from error
