"""Runs before main.py on a board: counts boots, see node/boots.py."""

import machine

from node import boots

boots.count("/boots", machine.reset_cause())
