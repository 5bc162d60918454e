"""Decide what an identification means at a border: alarm, inconclusive or clear, and say why.

Rules of the room: pure values in, pure values out; the only I/O is reading the package's own dated
watchlists. Doubt about a measurement can take a "clear" away, never an alarm.
"""
