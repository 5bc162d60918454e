"""Message types the simulated instruments know, as one table.

Numbers are those of libseabreeze's OBPMessageTypes.h; layouts are from the data sheets and
libseabreeze's exchange classes. A type that is not in the table of a model is answered with
error 2, as the instrument answers what its firmware does not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Type(IntEnum):
    """Message numbers."""

    RESET = 0x0000_0000
    RESET_DEFAULTS = 0x0000_0001
    CHECKSUM_SET = 0x0000_0010
    HARDWARE_REVISION = 0x0000_0080
    TYPES_SUPPORTED = 0x0000_0082
    FIRMWARE_REVISION = 0x0000_0090
    SERIAL_NUMBER = 0x0000_0100
    SERIAL_NUMBER_LENGTH = 0x0000_0101
    ALIAS = 0x0000_0200
    ALIAS_SET = 0x0000_0210
    BAUD = 0x0000_0800
    BAUD_SET = 0x0000_0810
    BAUD_SAVE = 0x0000_08F0
    ABORT = 0x0010_0000
    BUFFER_CLEAR = 0x0010_0830
    BUFFER_COUNT = 0x0010_0900
    SPECTRUM_BUFFERED = 0x0010_0928
    SPECTRUM_CORRECTED = 0x0010_1000
    SPECTRUM_RAW = 0x0010_1100
    INTEGRATION = 0x0011_0000
    INTEGRATION_MIN = 0x0011_0001
    INTEGRATION_MAX = 0x0011_0002
    INTEGRATION_STEP = 0x0011_0003
    INTEGRATION_SET = 0x0011_0010
    TRIGGER = 0x0011_0100
    TRIGGER_SET = 0x0011_0110
    PIXEL_COUNT = 0x0011_0220
    BINNING = 0x0011_0280
    BINNING_SET = 0x0011_0290
    LAMP = 0x0011_0400
    LAMP_SET = 0x0011_0410
    SCANS = 0x0012_0000
    SCANS_SET = 0x0012_0010
    BOXCAR = 0x0012_1000
    BOXCAR_SET = 0x0012_1010
    WAVELENGTH_COUNT = 0x0018_0100
    WAVELENGTH = 0x0018_0101
    NONLINEARITY_COUNT = 0x0018_1100
    NONLINEARITY = 0x0018_1101
    TEMPERATURE_COUNT = 0x0040_0000
    TEMPERATURE = 0x0040_0001
    TEMPERATURES = 0x0040_0002
    COOLER_STABLE = 0x0042_0003
    COOLER_TEMPERATURE = 0x0042_0004
    COOLER_SET = 0x0042_0010
    SET_POINT_SET = 0x0042_0011
    LIGHT = 0x0081_0021
    LIGHT_SET = 0x0081_0031
    LIGHT_LEVEL = 0x0081_0041
    LIGHT_LEVEL_SET = 0x0081_0051


@dataclass(frozen=True, slots=True)
class Message:
    """How a request of one type looks.

    Attributes:
        layout: `struct` format of the data it needs, without byte order; "text" = 0..16 printable
            ASCII characters.
        is_query: it is always answered; a setting or command only if an ACK is requested.
        alters_exposure: refused with error 7 while a spectrum is exposed.
        feature: part of the instrument it needs: "" all models, "laser", "binning",
            "cooler", "buffer".
    """

    layout: str = ""
    is_query: bool = True
    alters_exposure: bool = False
    feature: str = ""


def _set(layout: str, feature: str = "", *, alters_exposure: bool = True) -> Message:
    return Message(layout, is_query=False, alters_exposure=alters_exposure, feature=feature)


MESSAGES: Mapping[int, Message] = {
    Type.RESET: _set("", alters_exposure=False),
    Type.RESET_DEFAULTS: _set(""),
    Type.CHECKSUM_SET: _set("B", alters_exposure=False),
    Type.HARDWARE_REVISION: Message(),
    Type.TYPES_SUPPORTED: Message(),
    Type.FIRMWARE_REVISION: Message(),
    Type.SERIAL_NUMBER: Message(),
    Type.SERIAL_NUMBER_LENGTH: Message(),
    Type.ALIAS: Message(),
    Type.ALIAS_SET: _set("text", alters_exposure=False),
    Type.BAUD: Message(),
    Type.BAUD_SET: _set("I"),
    Type.BAUD_SAVE: _set("", alters_exposure=False),
    Type.ABORT: _set("", alters_exposure=False),
    Type.BUFFER_CLEAR: _set("", "buffer", alters_exposure=False),
    Type.BUFFER_COUNT: Message(feature="buffer"),
    Type.SPECTRUM_BUFFERED: Message(alters_exposure=True, feature="buffer"),
    Type.SPECTRUM_CORRECTED: Message(alters_exposure=True),
    Type.SPECTRUM_RAW: Message(alters_exposure=True),
    Type.INTEGRATION: Message(),
    Type.INTEGRATION_MIN: Message(),
    Type.INTEGRATION_MAX: Message(),
    Type.INTEGRATION_STEP: Message(),
    Type.INTEGRATION_SET: _set("I"),
    Type.TRIGGER: Message(),
    Type.TRIGGER_SET: _set("B"),
    Type.PIXEL_COUNT: Message(),
    Type.BINNING: Message(feature="binning"),
    Type.BINNING_SET: _set("B", "binning"),
    Type.LAMP: Message(),
    # Light may always be switched off: `device.py` refuses only switching on.
    Type.LAMP_SET: _set("B", alters_exposure=False),
    Type.SCANS: Message(),
    Type.SCANS_SET: _set("H"),
    Type.BOXCAR: Message(),
    Type.BOXCAR_SET: _set("B"),
    Type.WAVELENGTH_COUNT: Message(),
    Type.WAVELENGTH: Message("B"),
    Type.NONLINEARITY_COUNT: Message(),
    Type.NONLINEARITY: Message("B"),
    Type.TEMPERATURE_COUNT: Message(),
    Type.TEMPERATURE: Message("B"),
    Type.TEMPERATURES: Message(),
    Type.COOLER_STABLE: Message(feature="cooler"),
    Type.COOLER_TEMPERATURE: Message(feature="cooler"),
    Type.COOLER_SET: _set("B", "cooler", alters_exposure=False),
    Type.SET_POINT_SET: _set("f", "cooler", alters_exposure=False),
    Type.LIGHT: Message("BB", feature="laser"),
    Type.LIGHT_SET: _set("BBB", "laser", alters_exposure=False),
    Type.LIGHT_LEVEL: Message("BB", feature="laser"),
    Type.LIGHT_LEVEL_SET: _set("BBf", "laser"),
}
