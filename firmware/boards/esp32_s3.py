"""Board `esp32_s3`: ESP32-S3 module with 8 MB flash and 2 MB PSRAM or more.

Flash layout: the partition table has, beside MicroPython's own, a data partition named `journal`,
formatted once with littlefs when the board is provisioned and never by this firmware, because an
automatic format after a bad mount would erase unsent readings.
"""

import os

import esp32

from boards import bare
from node.errors import FlashRefused

_MOUNT_POINT = "/flash"


class Board(bare.Board):
    """ESP32-S3."""

    NAME = "esp32_s3"
    BUDGET = {
        "journal_bytes_max": 1_572_864,  # of 2 MB: littlefs copies blocks when it appends
        "segment_bytes": 65_536,
        "record_bytes_max": 4_448,  # 2068 pixels and 256 bytes of head
        "pixels_bytes_max": 4_136,
    }
    UARTS = {"uart1": (1, 17, 18), "uart2": (2, 15, 16)}
    BUTTON_PIN = 4
    LAMP_PINS = {"ready": 5, "measuring": 6, "fault": 7}

    def mount(self) -> str:
        """Mount the journal's partition and return its path.

        Raises:
            FlashRefused: there is none, or it holds no littlefs.
        """
        found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="journal")
        if not found:
            raise FlashRefused("flash has no partition `journal`; provision the board again")
        try:
            os.mount(os.VfsLfs2(found[0]), _MOUNT_POINT)
        except OSError as error:
            if error.errno != 1:  # EPERM: mounted before
                raise FlashRefused("partition `journal` cannot be mounted: %s" % error)
        return _MOUNT_POINT

    def temperature_mc(self) -> int:
        """Return the chip's temperature in 1e-3 degree Celsius."""
        return esp32.mcu_temperature() * 1000
