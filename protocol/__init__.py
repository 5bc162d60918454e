"""The language between a node and its gateway: pure, the same files on MicroPython and CPython.

Bytes and integers go in, values come out; nothing here does I/O or reads a clock. `SPEC.md` is the
normative text; each of its clauses is named by a test in `tests/protocol/`.
"""
