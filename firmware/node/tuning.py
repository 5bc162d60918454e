"""What becomes of a config: applied, proven or taken back, and told."""

from node.errors import SettingsError

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Config, Node, Time


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
        try:
            settings.load()
        except SettingsError as error:
            self._node.signals.fault("config", str(error))
        if settings.notice:
            self._node.signals.fault("config", settings.notice)

    def configure(self, config: "Config") -> bool:
        """Put a config in force; False when it is in force already, or was taken back.

        Raises:
            SettingsError: it cannot be used.
        """
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
        node = self._node
        try:
            if not node.settings.take_back(node.clock.uptime_ms()):
                return
        except OSError as error:
            self._fault(error)
            return
        except SettingsError as error:
            node.board.log(str(error))
        node.signals.fault("config", node.settings.notice)
        node.uplink.want("birth")

    def _fault(self, error: OSError) -> None:
        text = "config cannot be saved: %s; check the flash" % error
        self._node.signals.fault("config", text)
