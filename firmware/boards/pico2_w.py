"""Board `pico2_w`: Raspberry Pi Pico 2 W, 4 MB flash, 520 kB RAM.

Flash layout: MicroPython mounts one littlefs over its whole storage area, so the journal is a
folder in it. MicroPython formats that file system by itself when it cannot be mounted; a partition
of its own for the journal needs a build with another `_boot.py`; a build with a ROMFS of 192 KiB
takes it from that storage, and the journal still fits.
"""

import machine
import network

from boards import bare

if False:  # for the type checker: nothing of it is compiled
    from node.typed import BlockDevice, Wifi

_VOLT_PER_COUNT = 3.3 / 65_535
_AT_27_C_V = 0.706  # RP2350 data sheet, temperature sensor
_SLOPE_V_PER_C = 0.001_721

_SUPPLY_ADC_PIN = 29  # a third of VSYS; the radio's clock line, too, so only while it is off
_RADIO_SELECT_PIN = 25  # high: the radio leaves that line alone
_SUPPLY_MV_PER_COUNT = 3 * 3_300 / 65_535

SIZES = {
    "architecture": "armv7emsp",
    "module_bytes_max": 6_144,  # of .mpy; loaded in one piece where the board has no ROMFS
    "total_bytes_max": 172_032,  # an eighth of a ROMFS partition of 192 KiB is left
    "partition_bytes": {},
}


class Board(bare.Board):
    """Raspberry Pi Pico 2 W."""

    NAME = "pico2_w"
    # WDT_RESET is the watchdog, which also ends a hard fault, or machine.reset(); all else is
    # PWRON_RESET.
    CRASH_CAUSES = (3,)
    BUDGET = {
        # 500 spectra of 2048 pixels, of 2.5 MiB storage that programs (as .mpy) and settings share
        "journal_bytes_max": 2_228_224,
        "segment_bytes": 65_536,
        "record_bytes_max": 8_448,  # 4096 pixels and 256 bytes of head
        "pixels_bytes_max": 8_192,
    }
    UARTS = {"uart0": (0, 0, 1), "uart1": (1, 4, 5)}
    TIMER = LASER_TIMER = -1  # virtual ones: rp2 has no others
    BUTTON_PIN = 15
    FOOT_PIN = 14
    LAMP_PINS = {"ready": 16, "measuring": 17, "fault": 18}
    BUZZER_PIN = 19
    DISPLAY = (0, 21, 20, 0x3C)
    _supply_mv: "int | None" = None

    async def connect_network(self, wifi: "Wifi") -> None:
        """Return when the board is in its Wi-Fi network; before the radio is on, ask the supply.

        Raises:
            LinkLost: not within WIFI_MS_MAX.
        """
        if not network.WLAN(network.STA_IF).active():
            self._supply_mv = _measure_supply_mv()
        await super().connect_network(wifi)

    def supply_mv(self) -> "int | None":
        """Return the voltage at VSYS when the radio was last off, None before it was asked."""
        return self._supply_mv

    def flash_devices(self) -> "list[tuple[str, BlockDevice]]":
        """Return none: MicroPython has mounted its storage already."""
        return []

    def temperature_mc(self) -> int:
        """Return the chip's temperature in 1e-3 degree Celsius."""
        volt = machine.ADC(machine.ADC.CORE_TEMP).read_u16() * _VOLT_PER_COUNT
        return int((27 - (volt - _AT_27_C_V) / _SLOPE_V_PER_C) * 1000)


def _measure_supply_mv() -> int:
    """Return the voltage at VSYS in millivolt; the radio must be off."""
    select = machine.Pin(_RADIO_SELECT_PIN, machine.Pin.OUT, value=1)
    try:
        return int(machine.ADC(machine.Pin(_SUPPLY_ADC_PIN)).read_u16() * _SUPPLY_MV_PER_COUNT)
    finally:  # the lines are the radio's again
        select.value(0)
        machine.Pin(_SUPPLY_ADC_PIN, machine.Pin.ALT, pull=machine.Pin.PULL_DOWN, alt=7)
