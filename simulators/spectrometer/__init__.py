"""A spectrometer speaking Ocean Binary Protocol on a pseudo-terminal.

`frames` finds frames in bytes, `models` says what an instrument is, `device` how it behaves,
`line` is the serial cable, `__main__` the command. Only `line` and `__main__` touch the world.
"""
