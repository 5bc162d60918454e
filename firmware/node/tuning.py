"""What becomes of a config: applied, proven or taken back, and told."""

from node.config import check_exposure
from node.errors import SettingsError

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Callable, Config, Node, Settings, Time


class Tuning:
    """The config's way into the node.

    Args:
        node: what the parts share: clock, settings, signals, uplink, board.
    """

    def __init__(self, node: "Node") -> None:
        self._node = node

    def load(self) -> None:
        """Take the saved config."""
        settings = self._node.settings
        told = []
        try:
            settings.load()
        except SettingsError as error:
            told.append(str(error))
        if settings.notice:
            told.append(settings.notice)
        if told:
            self._node.signals.fault("config", "; ".join(told))

    def configure(self, config: "Config") -> bool:
        """Put a config in force; False when it is in force already, or was taken back.

        Raises:
            SettingsError: it cannot be used.
        """
        check_exposure(config.integration_us, config.scans)
        wrong = self._unsuited(config)
        if wrong:
            raise SettingsError("config %d is not used: %s" % (config.version, wrong))
        try:
            changed = self._node.settings.apply(config, self._node.clock.uptime_ms())
        except OSError as error:
            self._fault(error)
            return False
        if changed:
            self._node.signals.clear("config")
        return changed

    def heard(self, message: "Time") -> None:
        """Take note that the gateway itself answered: a `time` message."""
        if message.boot_id != self._node.boot_id:
            return
        try:
            self._node.settings.heard(message.echo_uptime_ms, self._node.clock.uptime_ms())
        except OSError as error:
            self._fault(error)

    def follow(self) -> None:
        """Take a config back under which the gateway is not heard; call it every second."""
        settings = self._node.settings
        wrong = self._unsuited(settings) if settings.version else ""
        if wrong:  # the instrument came after the config, or is another one
            self.refused(wrong)
        else:
            self._take_back(lambda: settings.take_back(self._node.clock.uptime_ms()))

    def refused(self, why: str) -> None:
        """Take back the config in force: the instrument does not do what it says."""
        self._take_back(lambda: self._node.settings.refuse(why))

    def _take_back(self, take_back: "Callable[[], bool]") -> None:
        node = self._node
        try:
            if not take_back():
                return
        except OSError as error:
            self._fault(error)
            return
        except SettingsError as error:
            node.board.log(str(error))
        node.signals.fault("config", node.settings.notice)
        node.uplink.want("birth")

    def _unsuited(self, config: "Config | Settings") -> str:
        """Return which value the instrument does not do, empty: none, or it is not there."""
        instrument = self._node.acquire.instrument
        if instrument is None:
            return ""
        low, high = instrument.integration_us_range
        if low <= config.integration_us <= high:
            return ""
        return "integration_us is %d; instrument %s takes %d to %d" % (
            config.integration_us,
            instrument.serial,
            low,
            high,
        )

    def _fault(self, error: OSError) -> None:
        text = "config cannot be saved: %s; check the flash" % error
        self._node.signals.fault("config", text)
