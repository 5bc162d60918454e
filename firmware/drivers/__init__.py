"""Instrument families, one folder each, with the same inner names (README.md)."""
