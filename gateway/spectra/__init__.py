"""Identify substances in Raman spectra: numbers in, hits with their evidence out.

Rules of the room: no I/O except the package's own tables (`library.load_library`), no clock, no
randomness; arrays are never changed in place; every array in a docstring has its shape and unit.
"""
