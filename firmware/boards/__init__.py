"""Boards: pins, ports, flash layout and budgets, one module each behind one interface (README.md)."""
