"""What the parts of a node ask of one another. Read by the type checker only: no board has it.

A module names these under `if False:`, of which MicroPython and CPython compile nothing; `import`
under a constant called TYPE_CHECKING would cost bytes on the flash and names on the heap.
"""

from collections.abc import Awaitable as Awaitable
from collections.abc import Callable as Callable
from collections.abc import Coroutine as Coroutine
from collections.abc import Iterator as Iterator
from collections.abc import Sequence as Sequence
from types import ModuleType as ModuleType
from typing import Any as Any
from typing import Protocol, TypeAlias, TypedDict, TypeVar
from typing import TextIO as TextIO

from node.acquire import Acquire as Acquire
from node.boots import Boot as Boot
from node.clock import Clock as Clock
from node.commands import Commands as Commands
from node.config import Settings as Settings
from node.errors import LinkError
from node.identity import Identity as Identity
from node.journal import Journal as Journal
from node.logring import LogRing as LogRing
from node.mqtt import Packet as Packet
from node.node import Node as Node
from node.safe import Backlog
from node.signals import Signals as Signals
from node.supervisor import Entry as Entry
from node.supervisor import Supervisor as Supervisor
from node.uplink import Uplink as Uplink
from protocol.fields import Message as Message
from protocol.messages import Command as Command
from protocol.messages import Config as Config
from protocol.messages import Reading as Reading
from protocol.messages import Receipt as Receipt
from protocol.messages import Record as Record
from protocol.messages import Result as Result
from protocol.messages import Time as Time

T = TypeVar("T")

# Memory that bytes are taken from, and written to.
Bytes: TypeAlias = bytes | bytearray | memoryview
Scratch: TypeAlias = bytearray | memoryview

Call: TypeAlias = Callable[[], None]
Log: TypeAlias = Callable[[str], None]
TicksMs: TypeAlias = Callable[[], int]
TicksDiff: TypeAlias = Callable[[int, int], int]
RandomBytes: TypeAlias = Callable[[int], bytes]
SyncFolder: TypeAlias = Callable[[str], None]
Reply: TypeAlias = Callable[[Result], None]
IsSeq: TypeAlias = Callable[[int], bool]
Sift: TypeAlias = Callable[[File], None]
Start: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
Told: TypeAlias = Callable[[str, Exception, str], None]
Finished: TypeAlias = Callable[[bytes, int, str], None]
Utc: TypeAlias = tuple[int, int, int, int, int, int, int]
SetWallTime: TypeAlias = Callable[[Utc], None]
# Outcome and detail, or outcome, detail and tail.
Answer: TypeAlias = tuple[int, str] | tuple[int, str, bytes]
Action: TypeAlias = Callable[[Command], Answer | None]
Look: TypeAlias = Callable[[Driver], Coroutine[Any, Any, None]]
# Integration in microseconds, scans, identity of the axis.
Taken: TypeAlias = tuple[int, int, bytes | None]
# Type of the event, symbology, content, mass in milligram and whether it is stable.
Item: TypeAlias = tuple[int, str, bytes, int | None, bool | None]
# A command's id, its result once there is one, and whether it lasts.
Known: TypeAlias = list[Any]
AnyJournal: TypeAlias = Journal | Backlog

class Budget(TypedDict):
    journal_bytes_max: int
    segment_bytes: int
    record_bytes_max: int
    pixels_bytes_max: int

class Broker(TypedDict):
    host: str
    port: int
    tls: bool
    name: str
    user: str
    password: str

class Wifi(TypedDict):
    ssid: str
    password: str

class InstrumentSettings(TypedDict):
    driver: str
    port: str
    baud: int
    model: str
    pixels_max: int
    excitation_pm: int
    resolution_mcm1: int
    laser_mw: int
    laser_percent: int
    corrected: bool
    cooler: bool
    cooler_c: int
    baud_save: bool

class ReaderSettings(TypedDict):
    """Of node.json, one of `readers`."""

    driver: str
    port: str
    baud: int
    prefix: str
    suffix: str
    aim: bool
    content_max: int
    repeat_ms: int

class TriggerSettings(TypedDict):
    """Of node.json, `triggers`."""

    sample: str
    look_s: int
    rise_counts: int

class Given(TypedDict):
    """node.json, checked and with every default filled in."""

    post: str
    node: str
    integration_us: int
    scans: int
    exposure: str
    measure_s_max: int
    laser_s_max: int
    window: int
    resend_ms: int
    watchdog_s: int
    board: str
    language: str
    papers_first: bool
    wifi: Wifi
    broker: Broker
    instrument: InstrumentSettings
    readers: list[ReaderSettings]
    triggers: TriggerSettings

class Report(Protocol):
    """Tells the supervisor that a task lives."""

    def __call__(self, more_ms: int = 0) -> None: ...

class File(Protocol):
    """A file open for bytes."""

    def read(self, count: int = -1, /) -> bytes: ...
    def readinto(self, buffer: Scratch, /) -> int | None: ...
    def write(self, content: Bytes, /) -> int | None: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def flush(self) -> None: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...

class Synced(Protocol):
    """A file that can be put on the medium."""

    def flush(self) -> None: ...
    def fileno(self) -> int: ...

class Stream(Protocol):
    """MicroPython's asyncio.Stream, which is StreamReader and StreamWriter in one."""

    def write(self, content: Bytes) -> None: ...
    def drain(self) -> Awaitable[None]: ...
    def read(self, count: int) -> Awaitable[bytes]: ...
    def readinto(self, buffer: Scratch) -> Awaitable[int | None]: ...

class Socket(Protocol):
    """A socket, with or without TLS on it."""

    def close(self) -> None: ...

class BlockDevice(Protocol):
    def readblocks(self, block: int, buffer: bytearray, offset: int = 0, /) -> object: ...
    def writeblocks(self, block: int, buffer: Bytes, offset: int = 0, /) -> object: ...
    def ioctl(self, operation: int, argument: int, /) -> int | None: ...

class Port(Protocol):
    name: str
    baud: int
    stream: Stream

    def close(self) -> None: ...

class Board(Protocol):
    """See boards/README.md."""

    BUDGET: Budget
    folder: str

    @property
    def NAME(self) -> str: ...  # noqa: N802 - a constant of the boards
    @property
    def CRASH_CAUSES(self) -> tuple[int, ...]: ...  # noqa: N802 - as above
    def flash_devices(self) -> list[tuple[str, BlockDevice]]: ...
    def sync_folder(self, path: str, /) -> None: ...
    def open_serial(self, name: str, baud: int) -> Port: ...
    async def connect_network(self, wifi: Wifi, /) -> None: ...
    async def pressed(self, report: Report) -> str: ...
    def signal(self, lamp: str, line: str, word: str, text: str, /) -> None: ...
    def beat(self) -> None: ...
    def random_bytes(self, count: int) -> bytes: ...
    def unique_id(self) -> str: ...
    def heap_free(self) -> int: ...
    def temperature_mc(self) -> int | None: ...
    def supply_mv(self) -> int | None: ...
    def reset_cause(self) -> int: ...
    def set_wall_time(self, utc: Utc, /) -> None: ...
    def start_watchdog(self, watchdog_s: int, hung: Call, /) -> None: ...
    def feed_watchdog(self) -> None: ...
    def reset(self) -> None: ...
    def log(self, line: str, /) -> None: ...
    def blink(self, on: bool) -> None: ...
    def laser_permit(self) -> str: ...
    def laser_line(self, on_ms: int, /) -> None: ...
    def hold_signals(self) -> None: ...
    async def stop_requested(self) -> None: ...

class Instrument(Protocol):
    @property
    def model(self) -> str: ...
    @property
    def serial(self) -> str: ...
    @property
    def pixel_count(self) -> int: ...
    @property
    def full_scale_counts(self) -> int: ...
    @property
    def integration_us_range(self) -> tuple[int, ...]: ...
    @property
    def coefficients_f32le(self) -> bytes: ...

class Driver(Protocol):
    """See drivers/README.md."""

    @property
    def pixels(self) -> memoryview: ...
    @property
    def temperature_mc(self) -> int | None: ...
    @property
    def unverified(self) -> bool: ...
    async def open(self) -> None: ...
    async def identify(self) -> Instrument: ...
    async def measure(self, integration_us: int, scans: int, laser_on: bool) -> None: ...
    async def laser_off(self) -> None: ...
    async def close(self) -> None: ...

class Reader(Protocol):
    """A scanner, a document reader or a scale; see drivers/README.md."""

    async def open(self) -> None: ...
    async def identify(self) -> str: ...
    async def next(self, wait_ms: int) -> Item | None: ...
    async def close(self) -> None: ...

class Scale(Reader, Protocol):
    """A reader that can be asked for something."""

    async def obey(self, action: int) -> tuple[bool, str, Item | None]: ...

class Credentials(Protocol):
    def wrap(self, socket: Any, name: str) -> Any: ...
    def explain(self, error: Exception, name: str) -> LinkError | None: ...

class Acts(Protocol):
    """Commands, or the gate before them in safe mode."""

    def take(self, command: Command) -> None: ...

class Wants(Protocol):
    """Has a message sent."""

    def want(self, channel: str) -> None: ...

class Feeds(Protocol):
    """A watchdog."""

    def feed(self) -> None: ...

Run: TypeAlias = Callable[[Report], Coroutine[Any, Any, None]]
