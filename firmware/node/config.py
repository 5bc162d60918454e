"""The settings in force: those of node.json until the gateway sends a config, then that one.

A config is checked, stored, put in force on trial, and confirmed by the birth's `config_version`.
When the gateway answers under it, it stays; otherwise the one before comes back (`trial.py`). What
cannot be used or stored is refused as a whole and the old settings stay.
"""

from node import limits
from node.errors import SettingsError
from node.trial import Trial, unseal
from protocol.errors import ProtocolError
from protocol.messages import Config, unpack

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Any, Sequence

EXPOSURES = ("manual", "automatic")  # by the number of a Config's `exposure_mode`
# The fields of a Config, in its order.
NAMES = ("version", "integration_us", "scans", "period_s", "health_s", "window", "resend_ms") + (
    "exposure_mode",
)


class Settings:
    """What can be set from afar.

    Args:
        path: of the saved config message.
        integration_us, scans, window, resend_ms, exposure: of node.json; the others are those
            of `limits`.
    Attributes:
        version: of the config in force, 0 for node.json.
        integration_us, scans, period_s, health_s, window, resend_ms, exposure_mode: as in
        protocol.messages.Config.
        refused_version: of the config that was taken back, 0 for none.
        notice: that one was taken back, one sentence, else empty.
    """

    version: int
    integration_us: int
    scans: int
    period_s: int
    health_s: int
    window: int
    resend_ms: int
    exposure_mode: int

    def __init__(
        self,
        path: str,
        integration_us: int,
        scans: int,
        window: int,
        resend_ms: int,
        exposure: str = EXPOSURES[0],
    ) -> None:
        self._path = path
        self._trial = Trial(path)
        self._given = (0, integration_us, scans, 0, limits.HEALTH_S, window, resend_ms) + (
            EXPOSURES.index(exposure),
        )
        self.refused_version = 0
        self.notice = ""
        self._put(self._given)

    def load(self) -> None:
        """Take the saved config, if there is one.

        Raises:
            SettingsError: it cannot be used; the proven one, or the settings of node.json, stay.
        """
        self._put(self._given)
        try:
            on_trial, proven = self._trial.start()
            self._note_refused()
            if self._trial.is_taken_back:
                self._tell("the node started twice before the gateway was heard")
            damaged = []
            for content, name in ((proven, self._path), (on_trial, "on trial")):
                try:
                    if content is not None:
                        self._put(_read(content, name).values())
                except SettingsError as error:
                    damaged.append(str(error))
                    if content is on_trial:
                        self._trial.end(False)  # before the gateway's next answer calls it proven
        except OSError as error:
            raise SettingsError("saved config %s: %s; check the flash" % (self._path, error))
        if damaged:
            raise SettingsError("; ".join(damaged))

    def apply(self, config: Config, now_ms: int) -> bool:
        """Put a config in force on trial; False when it is in force already, or was taken back.

        Args:
            config: of the gateway.
            now_ms: uptime.
        Raises:
            SettingsError: it says something this node cannot do.
            OSError: it could not be stored, so it is not in force either.
        """
        if config.version in (self.version, self.refused_version):
            return False
        _check(config)
        self._trial.begin(config.pack(), now_ms)
        self.refused_version, self.notice = 0, ""
        self._put(config.values())
        return True

    def heard(self, echo_ms: "int | None", now_ms: int) -> None:
        """Take note that the gateway answered what was sent at the uptime `echo_ms`.

        Raises:
            OSError: the config cannot be kept as proven; the next answer tries again.
        """
        if self._trial.proves(echo_ms, now_ms):
            self._trial.end(True)

    def take_back(self, now_ms: int) -> bool:
        """Take a config back whose trial has lasted too long; say whether there was one.

        Raises:
            OSError: the medium fails; the trial goes on.
            SettingsError: the proven config cannot be used.
        """
        if not self._trial.is_over(now_ms):
            return False
        self._trial.end(False)
        self._note_refused()
        self._tell("the gateway was not heard for %d s" % (limits.CONFIG_TRIAL_MS // 1000))
        self.load()
        return True

    def refuse(self, why: str) -> bool:
        """Take the config in force back, proven or not; say whether there was one.

        Args:
            why: names the value that the instrument does not do.
        Raises:
            OSError, SettingsError: as `take_back`.
        """
        if not self.version:
            return False
        self._trial.end(False)
        self._note_refused()
        self._tell(why)
        self.load()
        return True

    def _note_refused(self) -> None:
        content = self._trial.refused()
        try:
            self.refused_version = _read(content, "taken back").version if content else 0
        except SettingsError:
            self.refused_version = 0  # damaged: it would only be tried once more

    def _tell(self, why: str) -> None:
        name = "config %d" % self.refused_version if self.refused_version else "a damaged config"
        self.notice = "%s was taken back: %s; send another version" % (name, why)

    def _put(self, values: "Sequence[object]") -> None:
        for index, name in enumerate(NAMES):
            setattr(self, name, values[index])

    def values(self) -> "list[int]":
        """Return what is in force, in the order of a Config's fields."""
        return [getattr(self, name) for name in NAMES]


def _read(frame: bytes, path: str) -> Config:
    """Return a saved config.

    Raises:
        SettingsError: it cannot be used.
    """
    unsealed = unseal(frame)
    if unsealed is None:
        raise SettingsError("saved config %s is damaged: wrong checksum; send it again" % path)
    try:
        config = unpack(unsealed)
    except ProtocolError as error:
        raise SettingsError("saved config %s is damaged: %s; send it again" % (path, error))
    if not isinstance(config, Config):
        raise SettingsError("saved config %s is a message of another kind" % path)
    _check(config)
    return config


def _check(config: Config) -> None:
    check_exposure(config.integration_us, config.scans)


def check_exposure(integration_us: "Any", scans: "Any") -> None:
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
