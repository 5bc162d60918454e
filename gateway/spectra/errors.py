"""Errors of the spectra room.

    SpectraError                  base; never raised itself
      SpectrumError               the measured numbers cannot be used (NaN, too few points, ...)
      AxisError                   no valid Raman shift axis can be made
      FormatError                 a text is not a readable spectrum file; names line and value
      LibraryError                the band tables are broken; the program must not start
      SpecimenError               a measured specimen or its provenance cannot be used
      PackageError                a library package is malformed, tampered with or not trusted
        UntrustedError            it is signed by a key that nobody here trusts; `key_id` says which
      CalibrationError            a measured standard does not set the axis; `fault` says why
      ResponseError               a certificate or its glass gives no intensity correction

All are permanent: the same input fails again. Each message names the thing, its value, the remedy.
"""


class SpectraError(ValueError):
    """Base of all errors of this package."""


class SpectrumError(SpectraError):
    """The measured numbers cannot be used as a spectrum."""


class AxisError(SpectraError):
    """The coefficients do not give a usable Raman shift axis."""


class FormatError(SpectraError):
    """A text is not a readable spectrum file."""


class LibraryError(SpectraError):
    """The band tables are incomplete or contradict themselves."""


class SpecimenError(SpectraError):
    """A measured specimen or its provenance cannot be used."""


class PackageError(SpectraError):
    """A library package is malformed, tampered with or not trusted."""


class UntrustedError(PackageError):
    """A library package is signed by a key that nobody here trusts.

    Args:
        text: the sentence: thing, value, remedy.
        key_id: of that key.
    """

    def __init__(self, text: str, key_id: str) -> None:
        super().__init__(text)
        self.key_id = key_id


class CalibrationError(SpectraError):
    """A measured standard cannot set the axis.

    Args:
        fault: one of gateway.spectra.calibrate.FAULTS.
        text: the sentence: thing, value, remedy.
    """

    def __init__(self, fault: str, text: str) -> None:
        super().__init__(text)
        self.fault = fault


class ResponseError(SpectraError):
    """A certificate or the spectrum of its glass cannot be used."""
