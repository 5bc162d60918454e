"""The gateway's log: structured, on standard error, for a person, a program or systemd's journal.

The journal keeps time and origin by itself and takes the level from `<N>` before a line; where
standard error leads there, every form has it.

Lines are written by a thread of their own: a stalled terminal, a full disk or a reader that has
died must not stop a post. Lines that nobody takes are dropped and counted.
"""

import atexit
import logging
import os
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, TextIO

import msgspec
import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

Log = structlog.typing.FilteringBoundLogger

LINES_MAX = 4_096  # waiting to be written: seconds of a busy post, a few MB
GATHER_S = 0.01  # far below what a person or a test notices
CLOSE_S_MAX = 2.0  # to write what is left when the gateway ends
PRIORITIES = {"critical": 2, "error": 3, "exception": 3, "warning": 4, "info": 6, "debug": 7}
"""Of syslog, as sd-daemon(3) wants them."""


class Lines:
    """Where structlog leaves its lines; `dropped` counts those that were not written.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self.dropped = 0
        self._stream = stream
        self._lines: deque[str] = deque()
        self._filled = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many lines wait to be written."""
        return len(self._lines)

    def msg(self, message: str) -> None:
        """Take one line."""
        if len(self._lines) >= LINES_MAX:
            self.dropped += 1
            return
        self._lines.append(message)
        if not self._filled.is_set():
            self._filled.set()

    debug = info = warning = error = critical = exception = msg

    def close(self, within_s: float = CLOSE_S_MAX) -> None:
        """Write what is left, for a moment."""
        self._closing.set()
        self._filled.set()
        self._thread.join(within_s)

    def _run(self) -> None:
        """Write what has gathered, until closed."""
        while not self._closing.is_set():
            self._filled.wait()
            # Waking for each line would cost the event loop more than the lines themselves.
            self._closing.wait(GATHER_S)
            self._filled.clear()  # before the lines are taken: a later one wakes us again
            self._write()
        self._write()

    def _write(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        try:
            self._stream.write("".join([line + "\n" for line in lines]))
            self._stream.flush()
        except (OSError, ValueError):  # gone, full, or closed
            self.dropped += len(lines)


def _as_json(line: object, **_: object) -> str:
    return msgspec.json.encode(line, enc_hook=repr).decode()


def leads_to_journal(stream: TextIO, stated: str) -> bool:
    """Say whether a stream is the one that systemd has connected to its journal.

    Args:
        stream: standard error.
        stated: JOURNAL_STREAM of the environment: device and inode number.
    """
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file
        return False
    return stated == f"{found.st_dev}:{found.st_ino}"


def _with_priority(render: "Processor") -> "Processor":
    """Return a renderer whose lines begin with the level of the message."""

    def rendered(logger: object, name: str, line: "EventDict") -> str:
        priority = PRIORITIES.get(str(line.get("level", name)), PRIORITIES["info"])
        text = str(render(logger, name, line))
        return "\n".join(f"<{priority}>{part}" for part in text.split("\n"))

    return rendered


def _in_words(logger: object, name: str, line: "EventDict") -> str:
    """Return `event key=value ...` on one line; time and level are the journal's."""
    event = str(line.pop("event", ""))
    for known in ("level", "timestamp"):
        line.pop(known, None)
    rest = _LOGFMT(logger, name, line)
    return f"{event} {rest}" if rest else event


_LOGFMT = structlog.processors.LogfmtRenderer(bool_as_flag=False)


def start(form: str, stream: TextIO | None = None) -> tuple[Log, Lines]:
    """Set up logging and return the gateway's log, and what writes it.

    Args:
        form: `console` for a person at a terminal, `json` for one object a line, `journal` for
            words that are read by `journalctl`.
        stream: standard error when left out.
    """
    stream = stream or sys.stderr
    processors: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if form == "json":
        # Without the frames' variables: a spectrum in every line of a traceback helps nobody.
        plain = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        processors.append(structlog.processors.ExceptionRenderer(plain))
        render: Processor = structlog.processors.JSONRenderer(serializer=_as_json)
    elif form == "journal":
        processors.append(structlog.processors.format_exc_info)
        render = _in_words
    else:
        render = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    if form == "journal" or leads_to_journal(stream, os.environ.get("JOURNAL_STREAM", "")):
        render = _with_priority(render)
    processors.append(render)
    lines = Lines(stream)
    atexit.register(lines.close)
    # paho and aiomqtt speak of lost connections through the standard library; so do we, better.
    logging.getLogger("mqtt").setLevel(logging.CRITICAL)
    log: Log = structlog.wrap_logger(
        lines,
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return log, lines
