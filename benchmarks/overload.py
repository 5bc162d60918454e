"""Ten times what a post can sustain, from fifty nodes, while an otherwise quiet node raises alarms.

    python -m benchmarks.overload --seconds 600

**Sustainable** is the rate at which readings can come for ever: each is committed and receipted,
and each sample among them is judged, without a backlog that grows. Two parts of the gateway limit
it: ingest, which takes every reading, and judging, which takes the samples. Both are measured
first, in the same run, each on its own and thus generously: ingest with nodes that never pause,
judging while it works off what waits. Of readings with a share `SAMPLE_SHARE` of samples the
sustainable rate is the lower of `ingest` and `judging / share`. The share is such that neither
limit is far below the other, so that ten times the rate floods both; with as many samples as a real
post has, judging alone would be flooded, and ingest idle.

**The nodes** behave as nodes do (`simulators/crowd.py`): a window of unreceipted records,
repetition, and a journal with an end. What is measured faster than it can be delivered is given up
at the node, counted, and told to the gateway as a floor; that is where the nine tenths go which
nobody can keep. They run in a process of their own with a lower priority: they are other computers
in truth.

**Held to**
1. Resident memory of the gateway: within 10 % of what it was after warm-up (a fifth of the time).
2. A quiet node's alarm, from its measurement to the verdict that the node shows: the median under
   load at most five times the median before it.
3. Afterwards every record that a node still holds is delivered, nothing waits for a verdict, every
   receipted record is in the journal, and headquarters has every alarm of the quiet node once.

The last line is one JSON object; `broken` names what did not hold, and the exit status is 1 then.
"""

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.flood import LOOK_S, PIXELS, POST, STUCK_S, TICK_S, Crowd, Order
from benchmarks.ingest import gateway
from gateway import wire
from simulators import crowd
from simulators.crowd import SAMPLE, STANDARD, CrowdNode, inspection_of
from simulators.headquarters import Headquarters
from simulators.lane import read_rows

NODES = 50
TIMES = 10
KEPT_MAX = 500  # records of a node's flash: 1 MB of 2 kB
SAMPLE_SHARE = 0.04
QUIET = "quiet"
ALONE_S = (0.2, 0.6)  # between alarms of the quiet node while it is alone
# And under load. Fifty nodes that share one busy judge have their turn every few seconds; who asks
# for more than that is not quiet.
LOADED_S = (6.0, 12.0)
MEMORY_GROWTH_MAX = 0.10
LATENCY_TIMES_MAX = 5.0
WARM_UP_SHARE = 0.2
ALONE_S_MIN = 3.0  # of the time before the load
PROBE_S = 5.0  # for each of the limits that are measured first
FILL_S = 4.0  # of load that fills the page cache of the journal, where nothing is measured first


# ---------------------------------------------------------------------------------- the quiet node


@dataclass(slots=True)
class Quiet:
    """A node that raises an alarm now and then, and how long it waits for its verdicts."""

    port: int
    rng: random.Random
    wait_s: tuple[float, float] = ALONE_S
    latencies_s: list[float] = field(default_factory=list)
    receipts_s: list[float] = field(default_factory=list)
    alarms: list[int] = field(default_factory=list)
    _since_s: dict[bytes, float] = field(default_factory=dict)

    def told(self, _: CrowdNode, verdict: wire.Verdict) -> None:
        """Note a verdict."""
        since_s = self._since_s.pop(verdict.inspection_id, None)
        if since_s is not None:
            self.latencies_s.append(time.perf_counter() - since_s)

    def freed(self, _: CrowdNode, seqs: list[int]) -> None:
        """Note receipts; the verdict comes later."""
        now_s = time.perf_counter()
        begun = [self._since_s.get(inspection_of(seq)) for seq in seqs]
        self.receipts_s += [now_s - since_s for since_s in begun if since_s is not None]

    def begin(self) -> tuple[list[float], list[float]]:
        """Return the latencies to verdict and to receipt so far, and begin anew."""
        found = self.latencies_s, self.receipts_s
        self.latencies_s, self.receipts_s = [], []
        return found

    def node(self) -> CrowdNode:
        """Return the node."""
        return CrowdNode(
            *(POST, QUIET, self.port),
            make=crowd.make,
            journal_id=b"quietly.",
            pixel_count=PIXELS,
            told=self.told,
            freed=self.freed,
        )

    async def live(self, node: CrowdNode) -> None:
        """Measure an alarm, again and again."""
        while True:
            await asyncio.sleep(self.rng.uniform(*self.wait_s))
            seq = node.kept.next_seq
            self._since_s[inspection_of(seq)] = time.perf_counter()
            node.add(SAMPLE)
            self.alarms.append(seq)


# ----------------------------------------------------------------------------------------- the run


@dataclass(slots=True)
class Overload:
    """One post under load, and what is seen of it.

    Attributes:
        folder: of the post.
        port: of its broker.
        pid: of the gateway.
        share: of samples among the readings.
        kept_max: records that a node's flash holds.
    """

    folder: Path
    port: int
    pid: int
    seed: int
    share: float
    kept_max: int
    receipted: list[tuple[str, str]] = field(default_factory=list)  # journal, book
    memory_kb: list[tuple[float, int]] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """Return the path of the journal."""
        return self.folder / "state" / "journal.sqlite"

    def count(self, query: str) -> int:
        """Return the number that a query on the journal gives."""
        number: int = read_rows(self.path, query)[0][0]
        return number

    @contextlib.asynccontextmanager
    async def load(self, rate: float, share: float, seconds: float) -> AsyncIterator[Crowd]:
        """Run a crowd with journals of its own; give it once all its nodes are calibrated."""
        number = len(self.receipted)
        book = self.folder / f"receipted-{number}.json"
        order = Order(
            *(self.port, NODES, rate, share, seconds),
            *((self.seed + number) & 0xFFFFFFFF, str(book), self.kept_max),
        )
        self.receipted.append((f"{order.seed:08x}".encode().hex(), str(book)))
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.flood", json.dumps(asdict(order))),
            stdout=asyncio.subprocess.PIPE,
        )
        crowd_ = Crowd(child)
        try:
            await crowd_.line()
            yield crowd_
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()

    async def judged(self) -> None:
        """Wait until no reading waits for its verdict.

        Raises:
            RuntimeError: nothing moves any more.
        """
        last, since_s, shown_s = -1, time.monotonic(), time.monotonic()
        while pending := self.count("SELECT count(*) FROM pending"):
            now_s = time.monotonic()
            if pending != last:
                last, since_s = pending, now_s
            if now_s > since_s + STUCK_S:
                raise RuntimeError(f"{pending} readings wait for their verdicts, and nothing moves")
            if now_s > shown_s + 10.0:
                shown_s = now_s
                _tell(f"{pending:,} readings wait for their verdicts")
            await asyncio.sleep(LOOK_S)

    async def watch_memory(self) -> None:
        """Note the gateway's resident memory, again and again."""
        begun_s = time.monotonic()
        while True:
            self.memory_kb.append((time.monotonic() - begun_s, resident_kb(self.pid)))
            await asyncio.sleep(LOOK_S)

    def missing(self) -> int:
        """Return how many receipted records are not in the journal."""
        lost = 0
        for journal, book in self.receipted:
            for node, seqs in json.loads(Path(book).read_text()).items():
                rows = read_rows(
                    self.path,
                    "SELECT seq FROM records WHERE node = ? AND journal_id = ?",
                    *(node, bytes.fromhex(journal)),
                )
                lost += len(set(seqs) - {seq for (seq,) in rows})
        return lost

    def overtaken(self) -> list[int]:
        """Return, for each alarm of the quiet node, how many others were judged before it.

        From the line that says it is committed, or that the one before it is judged, to the line
        with its verdict; one of another node was being judged when it came.
        """
        found, others, before = [], 0, 0
        since: dict[int, int] = {}
        with (self.folder / "log").open("rb") as log:
            for line in log:
                if b'"event":"verdict"' not in line and b'"event":"record_committed"' not in line:
                    continue
                said = json.loads(line)
                if said["node"] != QUIET:
                    others += said["event"] == "verdict"
                elif said["event"] == "record_committed":
                    since[said["seq"]] = others
                else:
                    found.append(others - max(before, since.pop(said["seq"], others)))
                    before = others
        return found


def resident_kb(pid: int) -> int:
    """Return the resident memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


def _tell(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


async def overload(
    folder: Path,
    seconds: float,
    seed: int = 1,
    *,
    sustainable: float | None = None,
    sample_share: float = SAMPLE_SHARE,
    kept_max: int = KEPT_MAX,
    loaded_s: tuple[float, float] = LOADED_S,
) -> dict[str, Any]:
    """Overload a post for so many seconds.

    Args:
        folder: for everything it writes.
        seconds: of the load; a tenth of it comes before for the quiet node alone.
        seed: of waits and shares.
        sustainable: readings per second; None: measured first.
        sample_share: of the readings.
        kept_max: records that a node's flash holds.
        loaded_s: the shortest and the longest wait between alarms of the quiet node under load.

    Returns:
        The figures, with `broken` for what did not hold.
    """
    async with Headquarters(folder / "headquarters") as headquarters:
        quiet_node = f'[[nodes]]\nid = "{QUIET}"\n'
        tables = f'[authority]\nurl = "{headquarters.url}"\n{quiet_node}'
        async with gateway(folder, NODES, tables=tables) as (port, pid):
            run = Overload(folder, port, pid, seed, sample_share, kept_max)
            quiet = Quiet(port, random.Random(seed))  # noqa: S311 - repeatable
            node = quiet.node()
            async with asyncio.TaskGroup() as group:
                life = group.create_task(node.run())
                node.add(STANDARD)
                figures = await _phases(run, quiet, node, group, seconds, sustainable, loaded_s)
                life.cancel()
        sent = {alert["alert_id"] for alert in headquarters.alerts()}
    return figures | _verdict(run, quiet, figures, sent)


async def _phases(
    run: Overload,
    quiet: Quiet,
    node: CrowdNode,
    group: asyncio.TaskGroup,
    seconds: float,
    sustainable: float | None,
    loaded_s: tuple[float, float],
) -> dict[str, Any]:
    """Measure alone, measure the limits, overload, deliver."""
    measuring = group.create_task(quiet.live(node))
    await asyncio.sleep(max(ALONE_S_MIN, seconds / 10))
    alone_s, alone_receipts_s = quiet.begin()
    quiet.wait_s = loaded_s
    if sustainable is None:
        ingest, judging = await _limits(run)
        sustainable = min(ingest, judging / run.share)
        _tell(f"ingest {ingest:,.0f}/s, judging {judging:,.1f}/s: {sustainable:,.0f}/s sustainable")
    else:
        await _ingest(run, FILL_S)
    async with run.load(TIMES * sustainable, run.share, seconds) as crowd_:
        quiet.begin()
        watching = group.create_task(run.watch_memory())
        loaded = await crowd_.figures()
        under_load_s, loaded_receipts_s = quiet.begin()
        watching.cancel()
        measuring.cancel()
        waiting = run.count("SELECT count(*) FROM pending")
        _tell(f"measured {loaded['measured']:,}, receipted {loaded['receipted']:,}; delivering")
        since_s = time.monotonic()
        afterwards = await crowd_.figures()
        await crowd_.child.wait()
    await run.judged()
    await _delivered(node)
    return {
        "nodes": NODES,
        "pixels": PIXELS,
        "seconds": seconds,
        "seed": run.seed,
        "sample_share": run.share,
        "sustainable_per_s": round(sustainable),
        "measured_per_s": round(loaded["measured"] / loaded["taken_s"]),
        "receipted_per_s": round(loaded["receipted"] / loaded["taken_s"]),
        "quiet_alone_ms_p50": _median_ms(alone_s),
        "quiet_loaded_ms_p50": _median_ms(under_load_s),
        "quiet_receipt_alone_ms_p50": _median_ms(alone_receipts_s),
        "quiet_receipt_loaded_ms_p50": _median_ms(loaded_receipts_s),
        "quiet_alarms_loaded": len(under_load_s),
        "waiting_for_a_verdict_at_the_end": waiting,
        "given_up_by_nodes": afterwards["given_up"],
        "held_by_nodes_afterwards": afterwards["held_at_the_end"],
        "delivering_s": round(time.monotonic() - since_s),
    }


async def _delivered(node: CrowdNode) -> None:
    """Wait until the quiet node has its receipts, and its last alerts had time to go out."""
    async with asyncio.timeout(STUCK_S):
        while len(node.kept):  # noqa: ASYNC110 - nothing else to do meanwhile
            await asyncio.sleep(TICK_S)
    await asyncio.sleep(2.0)


async def _ingest(run: Overload, seconds: float) -> float:
    """Return what ingest takes per second while nothing is judged."""
    async with run.load(0.0, 0.0, seconds) as crowd_:
        found = await crowd_.figures()
        await crowd_.figures()
        await crowd_.child.wait()
    await run.judged()
    receipted_per_s: float = found["receipted"] / found["taken_s"]
    return receipted_per_s


async def _limits(run: Overload) -> tuple[float, float]:
    """Return what ingest takes per second, and what judging does."""
    ingest = await _ingest(run, PROBE_S)
    async with run.load(100.0 * PROBE_S, 1.0, 1.0) as crowd_:
        await crowd_.figures()
        await crowd_.figures()
        await crowd_.child.wait()
    waiting, since_s = run.count("SELECT count(*) FROM pending"), time.monotonic()
    await run.judged()
    return ingest, waiting / (time.monotonic() - since_s)


def _median_ms(latencies_s: list[float]) -> float:
    return round(1_000 * statistics.median(latencies_s), 1) if latencies_s else float("nan")


def _verdict(
    run: Overload, quiet: Quiet, figures: dict[str, Any], sent: set[str]
) -> dict[str, Any]:
    """Return what is left to say, and what did not hold."""
    warm_s = WARM_UP_SHARE * figures["seconds"]
    warm = [kb for at_s, kb in run.memory_kb if at_s >= warm_s]
    growth = max(warm) / warm[0] - 1.0
    times = figures["quiet_loaded_ms_p50"] / figures["quiet_alone_ms_p50"]
    overtaken = run.overtaken()
    alarms = {f"{POST}.{QUIET}.{b'quietly.'.hex()}.{seq}" for seq in quiet.alarms}
    lost = run.missing()
    promises = {
        "memory": growth <= MEMORY_GROWTH_MAX,
        "latency": times <= LATENCY_TIMES_MAX,
        "delivered": figures["held_by_nodes_afterwards"] == 0,
        "receipted": lost == 0,
        "alerts": alarms == sent,
    }
    return {
        "memory_mb": round(warm[0] / 1_000),
        "memory_growth": round(growth, 3),
        "latency_times": round(times, 2),
        "quiet_overtaken_p50": statistics.median(overtaken) if overtaken else 0,
        "quiet_overtaken_max": max(overtaken, default=0),
        "receipted_and_missing": lost,
        "quiet_alarms": len(alarms),
        "quiet_alerts_missing": len(alarms - sent),
        "broken": [name for name, holds in promises.items() if not holds],
    }


def main() -> int:
    """Run the command; 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="harmattan-overload-") as folder:
        figures = asyncio.run(overload(Path(folder), options.seconds, options.seed))
    print(json.dumps(figures), flush=True)
    return 1 if figures["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
