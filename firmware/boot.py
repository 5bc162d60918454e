"""Runs before main.py on a board: what modules leave behind shall not lie scattered, see main.py."""

import gc

gc.threshold(16_384)
