"""A board's own clock, for the one thing that asks it: TLS looks whether certificates are valid.

A board without battery begins in 2000 or 2021 after a loss of power, where no certificate is valid
yet, and the gateway's time comes through the very link that then cannot be made. So the newest time
that was ever known is kept on the flash, and the clock is set to it before the first connection.
Nothing else in the firmware reads that clock.

A clock that is behind shuts nobody out, for certificates are valid from 1970 on. One that is ahead
takes the broker's for expired, and the right time never comes: so a time is only followed when the
gateway stands for it, and none is kept that no board lives to see.
"""

import os
import struct

if False:  # for the type checker: nothing of it is compiled
    from node.typed import SetWallTime

BUILT_MS = 1_795_219_200_000  # 21 November 2026; certificates begin earlier, hardware/keys.py
SAVE_MS = 6 * 3_600_000  # a write every six hours wears nothing; certificates last years
_FORM = "<Q"
_LATEST_MS = BUILT_MS + 15 * 31_557_600_000  # 15 years: boards and authorities end after ten
_STEP_MS = 600_000  # a time that moves by more was corrected, and is followed at once


class Calendar:
    """Sets a board's clock.

    Args:
        path: of the file with the newest time known.
        set_wall_time: function of (year, month, day, weekday, hour, minute, second), UTC.
    """

    def __init__(self, path: str, set_wall_time: "SetWallTime") -> None:
        self._path = path
        self._set_wall_time = set_wall_time
        self._saved_ms = BUILT_MS
        self._next_ms = 0  # uptime of the next look
        self._offset_ms = 0  # of the time that was followed last, minus the uptime

    def restore(self) -> None:
        """Set the clock to the newest time known; at the start."""
        try:
            with open(self._path, "rb") as file:
                content = file.read(9)
        except OSError:
            content = b""  # the first start
        if len(content) == struct.calcsize(_FORM):
            saved_ms = struct.unpack(_FORM, content)[0]
            if BUILT_MS < saved_ms < _LATEST_MS:
                self._saved_ms = saved_ms
        self._set_wall_time(utc(self._saved_ms))

    def follow(self, uptime_ms: int, time_ms: "int | None") -> None:
        """Follow the gateway's time; call it now and then.

        Args:
            uptime_ms: of this boot.
            time_ms: Unix time, None while it is not known, or nobody stands for it.

        Raises:
            OSError: the flash does not take the file; the clock is set all the same.
        """
        if time_ms is None or not BUILT_MS < time_ms < _LATEST_MS:
            return
        offset_ms = time_ms - uptime_ms
        if uptime_ms < self._next_ms and abs(offset_ms - self._offset_ms) < _STEP_MS:
            return
        self._next_ms = uptime_ms + SAVE_MS
        self._offset_ms = offset_ms
        self._set_wall_time(utc(time_ms))
        if abs(time_ms - self._saved_ms) < SAVE_MS:
            return  # many short boots must not wear the flash either
        self._saved_ms = time_ms
        with open(self._path + ".new", "wb") as file:
            file.write(struct.pack(_FORM, time_ms))
        os.rename(self._path + ".new", self._path)


def utc(time_ms: int) -> "tuple[int, int, int, int, int, int, int]":
    """Return year, month, day, weekday (Monday 0), hour, minute, second of a Unix time.

    Reference: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013, civil_from_days.
    """
    seconds = time_ms // 1000
    days = seconds // 86_400
    since = days + 719_468  # days since 1 March of the year 0
    era = since // 146_097
    of_era = since % 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153  # months since March
    month = shifted + 3 if shifted < 10 else shifted - 9
    return (
        year + era * 400 + (1 if month <= 2 else 0),
        month,
        of_year - (153 * shifted + 2) // 5 + 1,
        (days + 3) % 7,
        seconds // 3600 % 24,
        seconds // 60 % 60,
        seconds % 60,
    )
