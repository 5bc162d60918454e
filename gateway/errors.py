"""What can go wrong in the gateway, told apart by what to do about it.

GatewayError                a fault with a sentence for the technician: thing, value, remedy
+-- SettingsError           the settings file or the folder; nothing starts until it is mended
+-- KeysError               keys or certificates cannot be made or used
+-- LibraryFolderError      the library's folder, a specimen, package or key cannot be used
+-- JournalError            the database cannot be opened or written
|   +-- DiskError           its disk takes nothing now; passes when somebody frees or mends it
|   +-- OlderJournalError   an older gateway wrote it, and who only looks does not change that
+-- TransientError          may pass by itself: tried again with back-off
    +-- BrokerError         the broker does not start, or does not answer
    +-- DeliveryError       an alert is not delivered; it stays in the outbox
        +-- LinkError       the authority cannot be reached, or cannot take anything now
        +-- ReceiptError    it answered, but not with the receipt for this alert
        +-- RefusedError    it refuses this alert; somebody has to look, on one side or the other
"""


class GatewayError(Exception):
    """A fault told in one sentence that names the thing, its value and the remedy."""


class SettingsError(GatewayError):
    """The settings file or the post's folder cannot be used."""


class KeysError(GatewayError):
    """Keys or certificates cannot be made or used as they are."""


class LibraryFolderError(GatewayError):
    """The library's folder, a specimen, a package or a key cannot be used."""


class JournalError(GatewayError):
    """The journal cannot be opened or written."""


class DiskError(JournalError):
    """The disk under the journal takes nothing, or no readings, until somebody mends that."""


class OlderJournalError(JournalError):
    """The journal is of an older version; a gateway that starts brings it up to date."""


class TransientError(GatewayError):
    """A fault that may pass by itself."""


class BrokerError(TransientError):
    """The broker does not start or cannot be reached."""


class DeliveryError(TransientError):
    """An alert is not delivered; it stays in the outbox."""


class LinkError(DeliveryError):
    """The authority cannot be reached or cannot take anything now."""


class ReceiptError(DeliveryError):
    """The authority answered, but not with the receipt for this alert."""


class RefusedError(DeliveryError):
    """The authority refuses this alert."""
