"""A document reader that sends machine-readable zones over a serial port by itself.

`specimen` draws documents, `device` is the reader, `python -m simulators.document` the program.
"""
