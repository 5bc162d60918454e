"""Board `esp32_s3`: ESP32-S3 module with 8 MB flash and 2 MB PSRAM or more.

Flash layout: the partition table has, beside MicroPython's own, a data partition `journal` of 4 MiB
and one `spare` of 512 KiB, both formatted once with littlefs when the board is provisioned and
never by this firmware: an automatic format after a bad mount would erase unsent readings. The spare
is what the node goes on with when `journal` is damaged. A ROMFS partition has 192 KiB.
"""

import esp32
import machine

from boards import bare
from node.errors import FlashRefused

if False:  # for the type checker: nothing of it is compiled
    from node.typed import BlockDevice

SIZES = {
    "architecture": "xtensawin",
    "module_bytes_max": 6_144,  # of .mpy; loaded in one piece where the board has no ROMFS
    "total_bytes_max": 172_032,  # an eighth of a ROMFS partition of 192 KiB is left
    "partition_bytes": {"journal": 4_194_304, "spare": 524_288},
}


class Board(bare.Board):
    """ESP32-S3."""

    NAME = "esp32_s3"
    # HARD_RESET is a panic of the chip's own software or machine.reset(), WDT_RESET a watchdog;
    # power on and brown-out are both PWRON_RESET.
    CRASH_CAUSES = (2, 3)
    BUDGET = {
        "journal_bytes_max": 3_600_000,  # of 4 MiB: littlefs needs room to copy and to spread wear
        "segment_bytes": 131_072,  # one eviction costs at most 31 spectra of 2048 pixels
        "record_bytes_max": 8_448,  # 4096 pixels and 256 bytes of head
        "pixels_bytes_max": 8_192,
    }
    UARTS = {"uart1": (1, 17, 18), "uart2": (2, 15, 16)}
    BUTTON_PIN = 4
    FOOT_PIN = 11
    LAMP_PINS = {"ready": 5, "measuring": 6, "fault": 7}
    BUZZER_PIN = 10
    DISPLAY = (0, 9, 8, 0x3C)
    SUPPLY: "tuple[int, int] | None" = None  # ADC pin behind a divider, and what that divides by

    def flash_devices(self) -> "list[tuple[str, BlockDevice]]":
        """Return the data partitions `journal` and `spare`.

        Raises:
            FlashRefused: there is neither.
        """
        devices = []
        for name in ("journal", "spare"):
            found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label=name)
            devices += [(name, partition) for partition in found]
        if not devices:
            raise FlashRefused("flash has no partition `journal`; provision the board again")
        return devices

    def supply_mv(self) -> "int | None":
        """Return the supply voltage in millivolt, None where no divider to it is wired."""
        if self.SUPPLY is None:
            return None
        pin, divider = self.SUPPLY
        adc = machine.ADC(machine.Pin(pin))
        adc.atten(machine.ADC.ATTN_11DB)  # up to about 3 V
        return adc.read_uv() * divider // 1_000

    def temperature_mc(self) -> int:
        """Return the chip's temperature in 1e-3 degree Celsius."""
        return esp32.mcu_temperature() * 1000  # type: ignore[attr-defined,no-any-return]  # not on the first ESP32
