"""The gateway with its loop looked at a thousand times a second: where does its time go?

    python -m benchmarks.profiled OUT run --settings FILE --log json

SIGUSR1 begins to look, SIGUSR2 ends it and writes one JSON object to OUT: what each thread has used
of the processor in between, and how often the loop's thread was found where. Looking costs about
one percent; what is found is a share of samples, good to a few percent of the whole.
"""

import collections
import json
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

PERIOD_S = 0.001
# The innermost frame that one of these fits says where the loop was; the first that fits counts.
PLACES = (
    ("/selectors.py", "waiting"),
    ("/paho/", "mqtt client (paho)"),
    ("/aiomqtt/", "mqtt client (aiomqtt)"),
    ("/structlog/", "log"),
    ("/gateway/observe/", "log"),
    ("/gateway/wire.py", "decode"),
    ("/protocol/topics.py", "decode"),
    ("/gateway/ingest/intake.py", "decode"),
    ("/gateway/ingest/link.py", "link"),
    ("/gateway/ingest/", "answers: ledgers, batches"),
    ("/gateway/fleet/", "answers: ledgers, batches"),
    ("/protocol/delivery.py", "answers: ledgers, batches"),
    ("/gateway/journal/", "journal, loop's side"),
    ("/asyncio/", "event loop"),
    ("/concurrent/", "event loop"),
)


class Profile:
    """Samples of the main thread, by place; clocks of all threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: collections.Counter[str] = collections.Counter()
        self._begun_s = 0.0
        self._clocks_s: dict[str, float] = {}

    def begin(self, *_: object) -> None:
        """Begin to look."""
        self._found.clear()
        self._begun_s, self._clocks_s = time.monotonic(), _clocks_s()
        signal.setitimer(signal.ITIMER_REAL, PERIOD_S, PERIOD_S)

    def look(self, _: int, frame: FrameType | None) -> None:
        """Note where the loop is."""
        self._found[_place(frame)] += 1

    def end(self, *_: object) -> None:
        """Write what was found."""
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        used_s = {
            name: now_s - self._clocks_s.get(name, 0.0) for name, now_s in _clocks_s().items()
        }
        found = {
            "taken_s": time.monotonic() - self._begun_s,
            "threads_s": used_s,
            "samples": dict(self._found),
        }
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(found))
        new.rename(self._path)


def _clocks_s() -> dict[str, float]:
    """Return the processor time that each thread has used, by its name without a number."""
    used_s: collections.Counter[str] = collections.Counter()
    for thread in threading.enumerate():
        if thread.ident is not None:
            clock = time.pthread_getcpuclockid(thread.ident)
            used_s[thread.name.rpartition("_")[0] or thread.name] += time.clock_gettime(clock)  # type: ignore[assignment]
    return dict(used_s)


def _place(frame: FrameType | None) -> str:
    while frame is not None:
        name = frame.f_code.co_filename
        for part, place in PLACES:
            if part in name:
                return place
        frame = frame.f_back
    return "other"


def main() -> None:
    """Run the gateway's command."""
    from gateway.cli import main as run  # noqa: PLC0415 - after the arguments are ours

    profile = Profile(Path(sys.argv.pop(1)))
    signal.signal(signal.SIGALRM, profile.look)
    signal.signal(signal.SIGUSR1, profile.begin)
    signal.signal(signal.SIGUSR2, profile.end)
    run()


if __name__ == "__main__":
    main()
