"""What can go wrong at a node; the text of each names the thing, its value and the remedy.

NodeError
+-- SettingsError         node.json cannot be used: a person must correct it
+-- InstrumentError       one measurement failed; tried again with back-off
|   +-- PortMissing         the serial device does not exist
|   +-- PortBusy            another program holds the port
|   +-- PortRefused         the port cannot be opened or is no serial port
|   +-- PortLost            unplugged, or the line failed while in use
|   +-- InstrumentSilent    no byte of an answer within the deadline
|   +-- InstrumentGarbled   bytes came, but no whole frame answers the request
|   +-- LineNoisy           bytes do not cease to come: noise, or something else that speaks
|   +-- InstrumentRefused   the instrument answered with an error number (attribute `number`)
|   |   +-- ExposureRefused     it does not do the exposure that is set
|   |   +-- InstrumentBusy      not now: it is doing something else
|   |   +-- InstrumentFailed    something in it is broken, by its own word
|   +-- Misread             what was read cannot be right: read it again; the port stays in use
|   |   +-- ItemRefused         and again it will be so until a setting is changed
|   +-- InstrumentUnsuited  it answers well, but this firmware cannot use it
|   +-- DetectorWarm        its cooler has not reached the temperature that is set
|   +-- LaserUncertain      "laser off" was not confirmed
+-- LaserStopped          it may not be on: barred, interlock open, key off, time over
+-- JournalError
|   +-- JournalUnusable     the folder holds something else: it is set aside, a new one begins
|   +-- JournalOutdated     the gateway has newer records: the flash is a restored copy
|   +-- FlashRefused        a write failed: full even after eviction, or failing
+-- LinkError             this connection is over; another is tried with back-off
    +-- MqttError           the broker's bytes are not MQTT 3.1.1
    +-- LinkRefused         CONNACK or SUBACK says no
    |   +-- CredentialsRefused  a certificate or key will not do: a person must change one
    +-- LinkLost            closed, reset, or silent beyond the keep-alive
"""

LASER_ON = "laser_on"  # a part of its own: a port that is gone says nothing of the laser
FLASH_DAMAGED = (5, 84)  # EIO of the medium, EILSEQ of littlefs about its own structures


class NodeError(Exception):
    """Something went wrong that the node reports and lives with."""


class SettingsError(NodeError):
    """node.json is missing, unreadable or says something impossible."""


class InstrumentError(NodeError):
    """The instrument could not be used this time."""


class PortMissing(InstrumentError):
    """The serial device does not exist."""


class PortBusy(InstrumentError):
    """Another program holds the serial port."""


class PortRefused(InstrumentError):
    """The serial port cannot be opened, or the path is no serial port."""


class PortLost(InstrumentError):
    """The serial port went away while it was in use."""


class InstrumentSilent(InstrumentError):
    """No answer within the deadline."""


class InstrumentGarbled(InstrumentError):
    """Bytes arrived within the deadline, but no whole frame answers the request."""


class LineNoisy(InstrumentError):
    """Bytes do not cease to come, although nobody asked for any."""


class InstrumentRefused(InstrumentError):
    """The instrument answered with an error number.

    Attributes:
        number: error number of the instrument's protocol.
    """

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)
        self.number = number


class ExposureRefused(InstrumentRefused):
    """The instrument does not take an integration time or a number of scans."""


class InstrumentBusy(InstrumentRefused):
    """The instrument is doing something else."""


class InstrumentFailed(InstrumentRefused):
    """The instrument says that something in it is broken."""


class Misread(InstrumentError):
    """What was read cannot be right; it is neither stored nor in the text."""


class ItemRefused(Misread):
    """What was read cannot be taken as things are set; its text says what to change."""


class InstrumentUnsuited(InstrumentError):
    """The instrument cannot be used by this firmware."""


class DetectorWarm(InstrumentError):
    """The cooler has not brought the detector to the temperature that is set."""


class LaserUncertain(InstrumentError):
    """The instrument did not confirm that its laser is off."""


class LaserStopped(NodeError):
    """The laser may not be on, or had to be switched off before the end."""


class JournalError(NodeError):
    """The flash journal cannot do what was asked."""


class JournalUnusable(JournalError):
    """The journal's folder holds something that is no journal of this firmware."""


class JournalOutdated(JournalError):
    """The gateway has records of this journal that the journal never gave."""


class FlashRefused(JournalError):
    """The flash did not take a write: full even after eviction, read-only or failing.

    Attributes:
        number: of the operating system's error behind it, 0 when there is none.
    """

    def __init__(self, text: str, number: int = 0) -> None:
        super().__init__(text)
        self.number = number


class LinkError(NodeError):
    """The connection to the broker is over."""


class MqttError(LinkError):
    """The broker sent what MQTT 3.1.1 does not allow, or more than this client takes."""


class LinkRefused(LinkError):
    """The broker answered and said no."""


class CredentialsRefused(LinkRefused):
    """A certificate or key cannot be used, ours or the broker's; tried again slowly."""


class LinkLost(LinkError):
    """The connection was closed, reset, or fell silent."""


def part_of(error: Exception) -> str:
    """Return the part of the node that an error concerns, empty: none in particular."""
    for kind, name in (
        (LinkError, "broker"),
        (LaserUncertain, LASER_ON),
        (InstrumentError, "instrument"),
        (LaserStopped, "laser"),
        (JournalError, "journal"),
    ):
        if isinstance(error, kind):
            return name
    return ""
