"""Runs before main.py on a board: what modules leave behind shall not lie scattered."""

import gc

gc.threshold(16_384)  # as in main.py
