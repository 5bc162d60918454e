"""Errors of the spectra room.

    SpectraError                  base; never raised itself
      SpectrumError               the measured numbers cannot be used (NaN, too few points, ...)
      AxisError                   no valid Raman shift axis can be made
      FormatError                 a text is not a readable spectrum file; names line and value
      LibraryError                the band tables are broken; the program must not start
      SpecimenError               a measured specimen or its provenance cannot be used
      PackageError                a library package is malformed, tampered with or not trusted

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
