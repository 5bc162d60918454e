"""How an instrument of the later families behaves, which speak version 0x2000 of the protocol.

Frames and conversation are those of `device.py`; messages are few and have other numbers. Only what
python-seabreeze uses is here: nothing averages, ends an exposure, switches a lamp or changes the
baud rate. The laser is an external one: it is lit while the line that feeds it is closed, which the
instrument knows nothing of.

What no document says is decided here and listed in docs/simulators.md.

Reference: python-seabreeze, pyseabreeze/protocol.py (OBP2Protocol), features/spectrometer.py (SR4),
features/nonlinearity.py.
"""

import struct
from collections.abc import Callable, Mapping
from enum import IntEnum

from simulators.line import Reply
from simulators.spectrometer.capabilities import Call, RefusedError
from simulators.spectrometer.device import BAUD_DEFAULT, Spectrometer
from simulators.spectrometer.frames import Error, FrameReader
from simulators.spectrometer.messages import Message
from simulators.spectrometer.models import Model
from simulators.world import Substance

VERSIONS = frozenset({0x2000})
LINE_LOOK_S = 0.02  # s between looks at the laser's line


class Type(IntEnum):
    """Message numbers."""

    SERIAL_NUMBER = 0x100
    SERIAL_NUMBER_LENGTH = 0x101
    INTEGRATION_SET = 0xC01
    TRIGGER_SET = 0xD01
    WAVELENGTHS = 0x1100
    NONLINEARITIES = 0x1200
    SPECTRUM = 0x1C00


MESSAGES: Mapping[int, Message] = {
    Type.SERIAL_NUMBER: Message(),
    Type.SERIAL_NUMBER_LENGTH: Message(),
    Type.INTEGRATION_SET: Message("I", is_query=False, alters_exposure=True),
    Type.TRIGGER_SET: Message("B", is_query=False, alters_exposure=True),
    Type.WAVELENGTHS: Message(),
    Type.NONLINEARITIES: Message(),
    Type.SPECTRUM: Message(alters_exposure=True),
}


class LaterSpectrometer(Spectrometer):
    """One instrument.

    Args:
        model: what it is, from `obp2_models.OBP2_MODELS`.
        substances: the library samples are made of.
        seed: which individual of its model it is, and all its noise.
        now_s: the caller's clock at power-on.
        baud: its rate.
        laser_drift_nm: by which the laser has moved since the maker's calibration.

    Attributes:
        is_lit: asked for whether the line that feeds the laser is closed.
    """

    def __init__(
        self,
        model: Model,
        substances: Mapping[str, Substance],
        *,
        seed: int = 0,
        now_s: float = 0.0,
        baud: int = BAUD_DEFAULT,
        laser_drift_nm: float = 0.0,
    ) -> None:
        super().__init__(
            model, substances, seed=seed, now_s=now_s, baud=baud, laser_drift_nm=laser_drift_nm
        )
        self.is_lit: Callable[[], bool] = lambda: False
        self._reader = FrameReader(versions=VERSIONS)
        self._messages = MESSAGES
        self._with_metadata = frozenset({Type.SPECTRUM})
        unit, curve = self.probe.unit, model.detector.nonlinearity
        self._acts = {
            Type.SERIAL_NUMBER: lambda _: unit.serial_number.encode(),
            Type.SERIAL_NUMBER_LENGTH: lambda _: struct.pack("<B", len(unit.serial_number)),
            Type.INTEGRATION_SET: self._set_integration,
            Type.TRIGGER_SET: self._set_trigger,
            Type.WAVELENGTHS: lambda _: _floats(unit.coefficients_nm),
            Type.NONLINEARITIES: lambda _: _floats(curve),
            Type.SPECTRUM: self._begin_exposure,
        }

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes from the line. Whatever they are, nothing is raised."""
        self._look_at_laser(now_s)
        super().receive(data, now_s)

    def collect(self, now_s: float) -> list[Reply]:
        """Replies that are due, in order; each is given once."""
        self._look_at_laser(now_s)
        return super().collect(now_s)

    def next_event_s(self) -> float | None:
        """When `collect` has something to do; in an exposure or light also to look at the laser."""
        due_s = super().next_event_s()
        if self.probe.exposure is None and not self.probe.laser_mw:
            return due_s
        look_s = self._now_s + LINE_LOOK_S
        return look_s if due_s is None else min(due_s, look_s)

    def _look_at_laser(self, now_s: float) -> None:
        power_mw = self.model.laser_mw_max if self.is_lit() else 0.0
        if power_mw != self.probe.laser_mw:
            self.probe.set_laser(power_mw, now_s)

    def _set_integration(self, call: Call) -> bytes:
        """Take the integration, in units of the model's step."""
        (value,) = call.arguments
        integration_us = value * self.model.integration_us_step
        if not self.model.integration_us_min <= integration_us <= self.model.integration_us_max:
            raise RefusedError(Error.INVALID_PAYLOAD)
        self.capabilities.settings.integration_us = integration_us
        return b""

    def _set_trigger(self, call: Call) -> bytes:
        if call.arguments != (0,):  # there is no trigger input to wait for
            raise RefusedError(Error.INVALID_PAYLOAD)
        return b""


def _floats(values: tuple[float, ...]) -> bytes:
    """Coefficients in one answer; before them one float that clients pass over: their count."""
    return struct.pack(f"<{len(values) + 1}f", len(values), *values)
