"""Boards: pins, ports, flash layout, budgets; one module each behind one interface."""
