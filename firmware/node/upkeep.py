"""What is remembered of instruments: how long their lasers were on, when a standard was measured.

Rules of the file
- One line per instrument: seconds of laser, Unix seconds of the newest standard (0: not known),
  serial number. The one in use stands last; INSTRUMENTS_MAX are kept.
- It is written whole under another name and renamed, so that a power cut leaves the old or the new.
- It is written after SAVE_LASER_MS of laser, or after SAVE_MS when less was added: a power cut
  forgets no more, and the flash has an hour between two writes that are not worth much.
"""

import os

from node.segment import append
from node.shelf import NEW_SUFFIX

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Log

INSTRUMENTS_MAX = 4  # a node has one; the others were exchanged
SAVE_LASER_MS = 10 * 60 * 1000  # of laser; a laser lives some thousand hours
SAVE_MS = 60 * 60 * 1000
_FILE_BYTES_MAX = 256
_NEVER = -1  # stands for the uptime of a standard that this boot has not seen
_LASER_MS, _STANDARD_S, _STANDARD_UPTIME_MS = range(3)


class Upkeep:
    """Records of the instruments this node has had.

    Args:
        path: of the file.
        log: function of one line.
    """

    def __init__(self, path: str, log: "Log") -> None:
        self._path = path
        self._log = log
        self._records: dict[str, list[int]] = {}  # serial: laser_ms, standard_s, standard_uptime_ms
        self._serial: str | None = None  # the instrument in use
        self._unsaved_ms = 0
        self._saved_uptime_ms = 0
        self._load()

    def _load(self) -> None:
        try:
            with open(self._path, "rb") as file:
                lines = file.read(_FILE_BYTES_MAX).decode().split("\n")
        except (OSError, ValueError):
            return  # never written, or nothing to be read: it begins anew
        for line in lines:
            words = line.split(" ", 2)
            try:
                self._records[words[2]] = [int(words[0]) * 1000, int(words[1]), _NEVER]
            except (ValueError, IndexError):
                continue
            self._serial = words[2]

    def use(self, serial: str) -> None:
        """Note which instrument is in use."""
        if serial != self._serial or serial not in self._records:
            record = self._records.pop(serial, [0, 0, _NEVER])
            kept = [(s, r) for s, r in self._records.items() if s != serial]
            self._records = dict(kept[1 - INSTRUMENTS_MAX :])
            self._records[serial] = record
            self._serial = serial

    def laser(self, on_ms: int, uptime_ms: int) -> None:
        """Note that the laser of the instrument in use was on."""
        if self._serial is None:
            return
        self._records[self._serial][_LASER_MS] += on_ms
        self._unsaved_ms += on_ms
        if self._unsaved_ms >= SAVE_LASER_MS or uptime_ms - self._saved_uptime_ms >= SAVE_MS:
            self._save(uptime_ms)

    def standard(self, uptime_ms: int, time_ms: "int | None") -> None:
        """Note that the instrument in use has measured a standard just now."""
        record = self._records.get(self._serial or "")
        if record is not None:
            record[_STANDARD_UPTIME_MS] = uptime_ms
            record[_STANDARD_S] = time_ms // 1000 if time_ms is not None else 0
            self._save(uptime_ms)

    def close(self, uptime_ms: int) -> None:
        """Save what is not saved yet: the node stops."""
        if self._unsaved_ms:
            self._save(uptime_ms)

    def laser_on_s(self) -> int:
        """Return seconds of laser in the life of the instrument in use."""
        return self._records[self._serial][_LASER_MS] // 1000 if self._serial is not None else 0

    def calibration_age_h(self, uptime_ms: int, time_ms: "int | None") -> "int | None":
        """Return hours since the instrument in use measured a standard, None when not known."""
        record = self._records.get(self._serial or "")
        if record is None:
            return None
        measured_ms = record[_STANDARD_UPTIME_MS]
        if measured_ms != _NEVER:  # in this boot: no wall clock is needed
            if not record[_STANDARD_S] and time_ms is not None:
                record[_STANDARD_S] = (time_ms - (uptime_ms - measured_ms)) // 1000
                self._save(uptime_ms)
            return (uptime_ms - measured_ms) // 3_600_000
        if not record[_STANDARD_S] or time_ms is None:
            return None
        return max(time_ms // 1000 - record[_STANDARD_S], 0) // 3600

    def _save(self, uptime_ms: int) -> None:
        """Write the file; an instrument is in use."""
        lines = []
        for serial, record in self._records.items():
            if serial != self._serial:
                lines.append((serial, record))
        lines.append((self._serial, self._records[self._serial]))  # type: ignore[arg-type,index]  # in use
        text = "".join(["%d %d %s\n" % (r[_LASER_MS] // 1000, r[_STANDARD_S], s) for s, r in lines])
        try:
            append(self._path + NEW_SUFFIX, text.encode(), "wb")
            os.rename(self._path + NEW_SUFFIX, self._path)
        except OSError as error:
            self._log("laser hours cannot be saved: %s; check the flash" % error)
        self._unsaved_ms = 0  # tried again after as much
        self._saved_uptime_ms = uptime_ms
