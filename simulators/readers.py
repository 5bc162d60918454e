"""Scanner, document reader and scale of a lane, each on a pseudo-terminal of its own.

They live in this process and are shown what a scenario holds; the node meets them only through
their ports, whose links lie in one folder.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Final, Self

from simulators.document.device import DocumentReader
from simulators.document.specimen import Document
from simulators.errors import WorldError
from simulators.line import Line
from simulators.scale.device import Scale
from simulators.scanner.codes import made
from simulators.scanner.device import Scanner
from simulators.sides import KINDS, Code, Lines, Mass, Shown

BAUD: Final = 9_600
EMPTY_S_MAX: Final = 30.0  # a port that was pulled is tried again at least every 5 s
LOOK_S: Final = 0.05
LOOKS: Final = 4  # of a node at the empty scale: two that count, and some that a fault may take
DRIVERS: Final = {"scanner": "scanner", "document": "document", "scale": "mt_sics"}


class Readers:
    """The readers of one lane, as an asynchronous context.

    Args:
        folder: where the links to their ports are.
        seed: of everything they draw.

    Attributes:
        scanner, document, scale: the instruments, once they are plugged in.
        lines: theirs, by kind: scanner, document, scale.
    """

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        self._folder = folder
        self._seed = seed
        self.scanner: Scanner
        self.document: DocumentReader
        self.scale: Scale
        self.lines: dict[str, Line[Any]] = {}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        now_s = asyncio.get_running_loop().time()
        self.scanner = Scanner(seed=self._seed, baud=BAUD)
        self.document = DocumentReader(seed=self._seed, baud=BAUD)
        self.scale = Scale(seed=self._seed, now_s=now_s, baud=BAUD)
        async with contextlib.AsyncExitStack() as stack:
            for kind in DRIVERS:
                line = Line[Any](getattr(self, kind), link=self._folder / kind)
                self.lines[kind] = await stack.enter_async_context(line)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def settings(self) -> list[dict[str, object]]:
        """Return `readers` of the node.json of the lane's node."""
        return [
            {"driver": driver, "port": str(self._folder / kind), "baud": BAUD}
            for kind, driver in DRIVERS.items()
        ]

    def line(self, verb: str) -> Line[Any]:
        """Return the line of the instrument that a step is done at."""
        return self.lines[next(kind for kind, each in KINDS.items() if each == verb)]

    def show(self, thing: Shown) -> None:
        """Show a code to the scanner, a document to its reader, put a mass on the scale.

        Raises:
            WorldError: it is nothing for any of them.
        """
        now_s = asyncio.get_running_loop().time()
        if isinstance(thing, Code):
            self.scanner.scan(made(thing.symbology, thing.content), now_s)
            self.lines["scanner"].speak()
        elif isinstance(thing, Lines):
            self.document.present(Document(thing.kind, thing.lines))
            self.lines["document"].speak()
        elif isinstance(thing, Mass):
            self.scale.place(thing.g, now_s)
            self.lines["scale"].speak()
        else:
            raise WorldError("a sample is held to the probe, not to a reader")

    def clear(self) -> None:
        """Take everything off the scale."""
        self.scale.remove(asyncio.get_running_loop().time())
        self.lines["scale"].speak()

    async def emptied(self) -> None:
        """Wait until the scale shows nothing, and whoever asks it has seen that.

        Not for ever: that a scale is asked no more, the next weight tells.
        """
        now_s = asyncio.get_running_loop().time
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EMPTY_S_MAX):
                left = LOOKS
                asked = self.scale.counts.weights
                while left > 0:
                    await asyncio.sleep(LOOK_S)
                    if self.scale.pan.is_stable(now_s()):
                        left -= self.scale.counts.weights - asked
                    asked = self.scale.counts.weights
