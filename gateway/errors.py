"""What can go wrong in the gateway, told apart by what to do about it.

GatewayError                a fault with a sentence for the technician: thing, value, remedy
+-- SettingsError           the settings file; nothing starts until it is mended
+-- TransientError          may pass by itself: tried again with back-off
|   +-- BrokerError         the broker does not start, or does not answer
|   +-- LinkError           the authority cannot be reached, or did not answer as it must
+-- JournalError            the database cannot be opened or written
+-- RefusedError            the authority refuses this alert for good; it is kept and shown
"""


class GatewayError(Exception):
    """A fault told in one sentence that names the thing, its value and the remedy."""


class SettingsError(GatewayError):
    """The settings file is missing, malformed, or holds a value outside its range."""


class TransientError(GatewayError):
    """A fault that may pass by itself."""


class BrokerError(TransientError):
    """The broker does not start or cannot be reached."""


class LinkError(TransientError):
    """The authority cannot be reached or did not give a valid receipt."""


class JournalError(GatewayError):
    """The journal cannot be opened or written."""


class RefusedError(GatewayError):
    """The authority refuses this alert and will refuse it again."""
