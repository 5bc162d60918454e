"""What the instrument can do besides taking spectra: facts, settings and light, message by message.

Each message type of a model has one *act*: it gets a `Call`, changes the settings or the laser, and
returns the data of the answer. A request that must not be obeyed raises `RefusedError` with the
protocol's error number. Resets, baud rate and spectra touch the conversation itself: `device.py`.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from simulators.spectrometer.frames import Checksum, Error, Frame
from simulators.spectrometer.messages import MESSAGES, Type
from simulators.spectrometer.models import Model
from simulators.spectrometer.probe import Probe

BOXCAR_MAX = 15  # pixels to each side; chosen
COOLER_STABLE_C = 0.2  # from the set point; chosen
TEXT_BYTES_MAX = 16  # an alias travels as immediate data


class Call(NamedTuple):
    """One request being answered: the frame, its unpacked data, the time."""

    request: Frame
    arguments: tuple[Any, ...]
    now_s: float


class RefusedError(Exception):
    """A request is answered with an error number."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.name)
        self.error = error


# Data of the answer; None = the answer comes later, or never.
Act = Callable[[Call], bytes | None]


@dataclass(slots=True)
class Settings:
    """What a client may change; a reset brings the defaults back."""

    integration_us: int
    scans: int = 1
    boxcar: int = 0
    binning: int = 0
    checksum_type: int = Checksum.NONE
    lamp_on: bool = False
    laser_on: bool = False
    laser_level: float = 1.0
    trigger: int = 0
    cooler_on: bool = False
    cooler_c: float = 0.0


class Capabilities:
    """Facts, settings and light of one instrument.

    Args:
        model: what it is.
        probe: its optical half, whose laser the settings drive.

    Attributes:
        settings: what clients have changed.
        acts: by message number; only what the model has.
    """

    def __init__(self, model: Model, probe: Probe) -> None:
        self.settings = Settings(model.integration_us_default)
        self._model = model
        self._probe = probe
        self._alias = b""
        acts = self._facts() | self._settings() | self._light() | self._cooler()
        self.acts = {number: act for number, act in acts.items() if has(model, number)}

    def restore(self, now_s: float) -> None:
        """Bring the defaults back and switch the light off."""
        self.settings = Settings(self._model.integration_us_default)
        self._apply_laser(now_s)
        self._apply_cooler(now_s)

    def _facts(self) -> dict[int, Act]:
        """What can only be asked."""
        model, unit, probe = self._model, self._probe.unit, self._probe
        nonlinearity = model.detector.nonlinearity
        return {
            Type.HARDWARE_REVISION: lambda _: struct.pack("<B", model.hardware_revision),
            Type.FIRMWARE_REVISION: lambda _: struct.pack("<H", model.firmware_revision),
            Type.SERIAL_NUMBER: lambda _: unit.serial_number.encode(),
            Type.SERIAL_NUMBER_LENGTH: lambda _: struct.pack("<B", len(unit.serial_number)),
            Type.INTEGRATION_MIN: lambda _: struct.pack("<I", model.integration_us_min),
            Type.INTEGRATION_MAX: lambda _: struct.pack("<I", model.integration_us_max),
            Type.INTEGRATION_STEP: lambda _: struct.pack("<I", model.integration_us_step),
            Type.WAVELENGTH_COUNT: lambda _: struct.pack("<B", len(unit.coefficients_nm)),
            Type.WAVELENGTH: lambda call: _element(unit.coefficients_nm, call),
            Type.NONLINEARITY_COUNT: lambda _: struct.pack("<B", len(nonlinearity)),
            Type.NONLINEARITY: lambda call: _element(nonlinearity, call),
            Type.TEMPERATURE_COUNT: lambda _: struct.pack("<B", model.temperature_sensors),
            Type.TEMPERATURE: lambda call: _element(probe.temperatures_c(call.now_s), call),
            Type.TEMPERATURES: lambda call: b"".join(
                struct.pack("<f", value) for value in probe.temperatures_c(call.now_s)
            ),
        }

    def _settings(self) -> dict[int, Act]:
        """What can be asked and set."""
        model = self._model
        return {
            Type.INTEGRATION: lambda _: struct.pack("<I", self.settings.integration_us),
            Type.INTEGRATION_SET: self._set_integration,
            Type.SCANS: lambda _: struct.pack("<H", self.settings.scans),
            Type.SCANS_SET: self._setter("scans", 1, model.scans_max),
            Type.BOXCAR: lambda _: struct.pack("<B", self.settings.boxcar),
            Type.BOXCAR_SET: self._setter("boxcar", 0, BOXCAR_MAX),
            Type.BINNING: lambda _: struct.pack("<B", self.settings.binning),
            Type.BINNING_SET: self._setter("binning", 0, model.binning_max),
            Type.PIXEL_COUNT: lambda _: struct.pack(
                "<I", model.pixel_count >> self.settings.binning
            ),
            # 0 = on request; there is no trigger input to wait for.
            Type.TRIGGER: lambda _: b"\x00",
            Type.TRIGGER_SET: self._setter("trigger", 0, 0),
            Type.CHECKSUM_SET: self._set_checksum,
            Type.ALIAS: lambda _: self._alias,
            Type.ALIAS_SET: self._set_alias,
        }

    def _light(self) -> dict[int, Act]:
        """Lamp line and laser."""
        return {
            Type.LAMP: lambda _: struct.pack("<B", self.settings.lamp_on),
            Type.LAMP_SET: self._set_lamp,
            Type.LIGHT: self._get_light,
            Type.LIGHT_SET: self._set_light,
            Type.LIGHT_LEVEL: self._get_light_level,
            Type.LIGHT_LEVEL_SET: self._set_light_level,
        }

    def _cooler(self) -> dict[int, Act]:
        """Thermo-electric cooler."""
        probe = self._probe
        return {
            Type.COOLER_STABLE: lambda call: struct.pack("<B", self._is_stable(call.now_s)),
            Type.COOLER_TEMPERATURE: lambda call: struct.pack(
                "<f", probe.temperatures_c(call.now_s)[0]
            ),
            Type.COOLER_SET: self._set_cooler,
            Type.SET_POINT_SET: self._set_set_point,
        }

    def _is_stable(self, now_s: float) -> bool:
        away_c = self._probe.temperatures_c(now_s)[0] - self.settings.cooler_c
        return self.settings.cooler_on and abs(away_c) <= COOLER_STABLE_C

    def _set_cooler(self, call: Call) -> bytes:
        (state,) = call.arguments
        if state not in (0, 1):
            raise RefusedError(Error.INVALID_PAYLOAD)
        self.settings.cooler_on = bool(state)
        self._apply_cooler(call.now_s)
        return b""

    def _set_set_point(self, call: Call) -> bytes:
        (set_c,) = call.arguments
        least_c, most_c = self._model.cooler_c or (0.0, 0.0)
        if not least_c <= set_c <= most_c:  # NaN fails this too
            raise RefusedError(Error.INVALID_PAYLOAD)
        self.settings.cooler_c = set_c
        self._apply_cooler(call.now_s)
        return b""

    def _apply_cooler(self, now_s: float) -> None:
        """Give the probe's cooler the temperature that the settings ask for."""
        self._probe.cool(self.settings.cooler_c if self.settings.cooler_on else None, now_s)

    def _setter(self, name: str, least: int, most: int) -> Act:
        """An act that stores one whole number within limits in the settings."""

        def store(call: Call) -> bytes:
            (value,) = call.arguments
            if not least <= value <= most:
                raise RefusedError(Error.INVALID_PAYLOAD)
            setattr(self.settings, name, value)
            return b""

        return store

    def _set_integration(self, call: Call) -> bytes:
        """Take the integration, rounded down to the model's step, without a word about it."""
        (value,) = call.arguments
        model = self._model
        if not model.integration_us_min <= value <= model.integration_us_max:
            raise RefusedError(Error.INVALID_PAYLOAD)
        self.settings.integration_us = value - value % model.integration_us_step
        return b""

    def _set_checksum(self, call: Call) -> bytes:
        (kind,) = call.arguments
        if kind not in (Checksum.NONE, Checksum.MD5):
            raise RefusedError(Error.UNKNOWN_CHECKSUM)
        self.settings.checksum_type = kind
        return b""

    def _set_alias(self, call: Call) -> bytes:
        (self._alias,) = call.arguments
        return b""

    def _set_lamp(self, call: Call) -> bytes:
        self.settings.lamp_on = self._switch(call.arguments[0], self.settings.lamp_on)
        self._apply_laser(call.now_s)
        return b""

    def _set_light(self, call: Call) -> bytes:
        module, source, state = call.arguments
        _check_light(module, source)
        self.settings.laser_on = self._switch(state, self.settings.laser_on)
        self._apply_laser(call.now_s)
        return b""

    def _switch(self, state: int, is_on: bool) -> bool:  # noqa: FBT001
        """Judge a wish to switch light: never refuse off, refuse on during an exposure."""
        if state not in (0, 1):
            raise RefusedError(Error.INVALID_PAYLOAD)
        if state and not is_on and self._probe.exposure is not None:
            raise RefusedError(Error.NOT_READY)
        return bool(state)

    def _get_light(self, call: Call) -> bytes:
        _check_light(*call.arguments)
        return struct.pack("<B", self.settings.laser_on)

    def _get_light_level(self, call: Call) -> bytes:
        _check_light(*call.arguments)
        return struct.pack("<f", self.settings.laser_level)

    def _set_light_level(self, call: Call) -> bytes:
        module, source, level = call.arguments
        _check_light(module, source)
        if not 0.0 <= level <= 1.0:  # NaN fails this too
            raise RefusedError(Error.INVALID_PAYLOAD)
        self.settings.laser_level = level
        self._apply_laser(call.now_s)
        return b""

    def _apply_laser(self, now_s: float) -> None:
        """Give the probe the power that the settings ask for."""
        if self._model.laser == "strobe":
            level = 1.0 if self.settings.lamp_on else 0.0
        else:
            level = self.settings.laser_level if self.settings.laser_on else 0.0
        self._probe.set_laser(level * self._model.laser_mw_max, now_s)


def has(model: Model, number: int) -> bool:
    """Whether a model has the part of the instrument that a message is about."""
    return {
        "": True,
        "laser": model.laser == "module",
        "binning": model.binning_max > 0,
        "cooler": model.cooler_c is not None,
        "buffer": model.has_buffer,
    }[MESSAGES[Type(number)].feature]


def unpack(layout: str, data: bytes) -> tuple[Any, ...]:
    """The data of a request by its layout; refused when the length or the text is wrong."""
    if layout == "text":
        if len(data) > TEXT_BYTES_MAX:
            raise RefusedError(Error.LENGTH_MISMATCH)
        if not all(0x20 <= byte < 0x7F for byte in data):
            raise RefusedError(Error.INVALID_PAYLOAD)
        return (data,)
    shape = struct.Struct("<" + layout)
    if len(data) != shape.size:
        raise RefusedError(Error.LENGTH_MISMATCH)
    return shape.unpack(data)


def _element(values: Sequence[float], call: Call) -> bytes:
    """The float32 at the index a request names; one beyond the last does not exist."""
    (index,) = call.arguments
    if index >= len(values):
        raise RefusedError(Error.DOES_NOT_EXIST)
    return struct.pack("<f", values[index])


def _check_light(module: int, source: int) -> None:
    """Refuse any light source but the one laser, module 0, source 0."""
    if (module, source) != (0, 0):
        raise RefusedError(Error.INVALID_PAYLOAD)
