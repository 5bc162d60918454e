"""How fast a gateway is there, and gone, with an empty journal and with a million readings in it.

The real command, as a service supervisor starts it: the time is from the start of the process to
its word that it is ready, and to its listening at its broker; beside it what the interpreter alone
needs. Then it is killed and started again, and stopped, also with a broker that does not answer.
"""

import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.sender import frame_of
from gateway.journal.store import FILE_NAME, connect
from gateway.journal.tallies import count_anew

READINGS: Final = 1_000_000
WHOLE: Final = (
    5_000  # of them the newest, with their frames; the others are evicted, as they will be
)
NODES: Final = 10
ROUNDS: Final = 3
NODE: Final = "node-"
JOURNAL_ID: Final = b"\x07" * 8
DEADLINE_S: Final = 60.0
_SPREAD: Final = """
    WITH RECURSIVE counting(n) AS (
        SELECT 1 UNION ALL SELECT n + 1 FROM counting WHERE n < :readings
    )
    INSERT INTO records (id, node, journal_id, seq, kind, received_ms, frame, crc)
    SELECT n, :node || (n % :nodes), :journal, (n + :nodes - 1) / :nodes, 1, :began_ms + n, x'', n
    FROM counting
"""


def fill(path: Path, readings: int = READINGS, whole: int = WHOLE) -> None:
    """Make a journal with so many readings, judged, the older ones evicted.

    Args:
        path: of the new file.
        readings: in all, of NODES nodes.
        whole: of them still have their frames.
    """
    connection = connect(path)
    now_ms = time.time_ns() // 1_000_000
    triggers = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
    ).fetchall()
    with connection:
        for name, _ in triggers:  # a million counts one by one are a minute, and are made below
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(
            _SPREAD,
            {
                "readings": readings,
                "node": NODE,
                "nodes": NODES,
                "journal": JOURNAL_ID,
                "began_ms": now_ms - readings,
            },
        )
        connection.execute(
            "INSERT INTO verdicts (record_id, verdict, reason_id, explanation, judged_ms)"
            " SELECT id, CASE id % 50 WHEN 0 THEN 'inconclusive' ELSE 'clear' END,"
            " 'nothing_listed', x'', received_ms FROM records"
        )
        frame = frame_of(JOURNAL_ID, 1)
        connection.execute(
            "UPDATE records SET frame = ?, crc = ? WHERE id > ?",
            (frame, zlib.crc32(frame), readings - whole),
        )
        connection.execute(
            "INSERT INTO journals (node, journal_id, seq, evicted_seq)"
            " SELECT node, journal_id, max(seq), 0 FROM records GROUP BY node, journal_id"
        )
        count_anew(connection)
        connection.execute(
            "INSERT INTO integrity (id, checked_ms) VALUES (1, ?1)"
            " ON CONFLICT DO UPDATE SET checked_ms = ?1",
            (now_ms,),
        )
        for _, sql in triggers:
            connection.execute(str(sql))
    connection.close()


def measure() -> dict[str, Any]:
    """Measure starts and stops with an empty journal and with a full one.

    Returns:
        Seconds (medians of ROUNDS) and megabytes.
    """
    figures: dict[str, Any] = {"python_s": _median(_python_s() for _ in range(ROUNDS))}
    for name, readings in (("empty", 0), ("million", READINGS)):
        with tempfile.TemporaryDirectory(prefix="harmattan-start-") as folder:
            print(f"  {name}: filling", file=sys.stderr, flush=True)
            state = Path(folder) / "state"
            state.mkdir(mode=0o700)
            if readings:
                fill(state / FILE_NAME, readings)
                figures["journal_mb"] = round((state / FILE_NAME).stat().st_size / 1e6)
            for key, value in _measure(Path(folder)).items():
                figures[f"{name}_{key}"] = value
    return figures


def _measure(folder: Path) -> dict[str, float]:
    post = _Post(folder)
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)
        print(f"  {name} {value:.2f}", file=sys.stderr, flush=True)

    for _ in range(ROUNDS):
        with post.started() as times:
            note("ready_s", times["ready"])
            note("broker_connected_s", times["broker_connected"])
            note("rss_mb", post.memory_mb())
            note("status_s", post.status_s())
            note("stop_s", post.stop_s(signal.SIGTERM))
        with post.started():
            post.stop_s(signal.SIGKILL)
        with post.started() as times:
            note("ready_after_kill_s", times["ready"])
            post.halt_broker()
            note("stop_with_hung_broker_s", post.stop_s(signal.SIGTERM))
    return {name: _median(values) for name, values in found.items()}


class _Post:
    """A post whose gateway is started and stopped by the one who measures."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        nodes = "".join(f'[[nodes]]\nid = "{NODE}{number}"\n' for number in range(NODES))
        self._folder = folder
        self._settings = folder / "post.toml"
        self._settings.write_text(
            f'post = "bench"\ndirectory = "state"\n[broker]\nport = {port}\n{nodes}'
        )
        self._child: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def started(self) -> Iterator[dict[str, float]]:
        """Start the gateway; give the seconds until it was ready and until it heard its broker."""
        address = self._folder / "notify"
        address.unlink(missing_ok=True)
        log = self._folder / "log"
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor,
            log.open("wb") as lines,
        ):
            supervisor.bind(str(address))
            supervisor.settimeout(DEADLINE_S)
            began_s = time.monotonic()
            self._child = subprocess.Popen(
                _command("run", self._settings, "--log", "json"),
                stderr=lines,
                env={**os.environ, "NOTIFY_SOCKET": str(address)},
            )
            try:
                times = {"ready": 0.0}
                while not supervisor.recv(4_096).startswith(b"READY=1"):
                    pass
                times["ready"] = time.monotonic() - began_s
                while b'"broker_connected"' not in log.read_bytes():
                    if self._child.poll() is not None or time.monotonic() - began_s > DEADLINE_S:
                        raise RuntimeError(f"the gateway does not run: {log.read_text()}")
                    time.sleep(0.01)
                times["broker_connected"] = time.monotonic() - began_s
                yield times
            finally:
                if self._child.poll() is None:
                    self._child.kill()
                self._child.wait()

    def stop_s(self, number: signal.Signals) -> float:
        """Send a signal and return the seconds until the process has ended."""
        assert self._child is not None  # noqa: S101 - inside `started`
        began_s = time.monotonic()
        self._child.send_signal(number)
        self._child.wait(DEADLINE_S)
        return time.monotonic() - began_s

    def halt_broker(self) -> None:
        """Let the broker hang: it takes no signal but the last."""
        os.kill(int((self._folder / "state/mosquitto.pid").read_text()), signal.SIGSTOP)

    def memory_mb(self) -> float:
        """Return the resident memory of the gateway."""
        assert self._child is not None  # noqa: S101 - inside `started`
        listed = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self._child.pid)],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(listed.stdout) / 1e3

    def status_s(self) -> float:
        """Return how long `harmattan status` takes."""
        began_s = time.monotonic()
        subprocess.run(_command("status", self._settings), capture_output=True, check=False)
        return time.monotonic() - began_s


def _command(name: str, settings: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "gateway", name, "--settings", str(settings), *options]


def _python_s() -> float:
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.monotonic() - began_s


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 2)
