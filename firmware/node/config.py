"""The settings in force: those of node.json until the gateway sends a config, then that one.

A config is checked, saved by temporary file and rename, put in force, and confirmed by the birth's
`config_version`. What cannot be used or saved is refused as a whole and the old settings stay.
"""

import os

from node import limits
from node.errors import SettingsError
from node.segment import append
from protocol.errors import ProtocolError
from protocol.fields import name_of
from protocol.messages import Config, unpack

_FILE_BYTES_MAX = 128


class Settings:
    """What can be set from afar.

    Args:
        path: of the saved config message.
        integration_us, scans: of node.json; the other defaults are those of `limits`.
    Attributes:
        version: of the config in force, 0 for node.json.
        integration_us, scans, period_s, health_s, window, resend_ms: as in
        protocol.messages.Config.
    """

    def __init__(
        self, path: str, integration_us: int, scans: int, window: int, resend_ms: int
    ) -> None:
        self._path = path
        self.version = 0
        self.integration_us = integration_us
        self.scans = scans
        self.period_s = 0
        self.health_s = limits.HEALTH_S
        self.window = window
        self.resend_ms = resend_ms

    def load(self) -> None:
        """Take the saved config, if there is one.

        Raises:
            SettingsError: it cannot be used; the settings of node.json stay.
        """
        try:
            with open(self._path, "rb") as file:
                frame = file.read(_FILE_BYTES_MAX)
        except OSError:
            return  # never configured from afar
        try:
            config = unpack(frame)
        except ProtocolError as error:
            raise SettingsError("saved config %s is damaged: %s" % (self._path, error))
        if not isinstance(config, Config):
            raise SettingsError("saved config %s is a message of another kind" % self._path)
        _check(config)
        self._take(config)

    def apply(self, config: Config) -> bool:
        """Put a config in force and save it; False when it is in force already.

        Raises:
            SettingsError: it says something this node cannot do.
            OSError: it could not be saved, so it is not in force either.
        """
        if config.version == self.version:
            return False
        _check(config)
        temporary = self._path + ".new"
        append(temporary, config.pack(), "wb")
        os.rename(temporary, self._path)
        self._take(config)
        return True

    def _take(self, config: Config) -> None:
        for field in Config.FIELDS:
            name = name_of(field)
            setattr(self, name, getattr(config, name))


def _check(config: Config) -> None:
    check_exposure(config.integration_us, config.scans)


def check_exposure(integration_us: object, scans: object) -> None:
    """Insist on an exposure somebody would wait for.

    Raises:
        SettingsError: out of range.
    """
    for name, value, high in (
        ("integration_us", integration_us, limits.INTEGRATION_US_MAX),
        ("scans", scans, 0xFFFF),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= high:
            raise SettingsError("%s is %r; use 1 to %d" % (name, value, high))
    if integration_us * scans > limits.EXPOSURE_MS_MAX * 1000:
        raise SettingsError(
            "exposure of %d us x %d scans is longer than %d s"
            % (integration_us, scans, limits.EXPOSURE_MS_MAX // 1000)
        )
