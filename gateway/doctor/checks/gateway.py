"""Whether the gateway itself runs, and how well."""

import http.client
import time
from typing import Final

from gateway.doctor.finding import Found, UntoldError, bad, check, look, ok
from gateway.doctor.scene import Scene
from gateway.fleet.ahead import POSTURE as CLOCK_AHEAD
from gateway.journal.integrity import POSTURE as FRAMES_DAMAGED
from gateway.journal.starts import digest
from gateway.observe.state import EVERYTHING, is_stopped
from gateway.units import DAY_S, HOUR_S, age, named, span

STARTS_LOOK: Final = 4  # in a day; a technician who tries something starts it a few times
STARTS_BAD: Final = 10  # in an hour: it does not stay up
FAULTS_MAX: Final = 10  # foreseen ones since the start: a broker that was slow to begin makes one
METRICS_S_MAX: Final = 3.0  # the page is made in milliseconds
SHOWN_ELSEWHERE: Final = ("disk", "quarantine", "record_missing", CLOCK_AHEAD, FRAMES_DAMAGED)


@check(
    "gateway.running",
    cause="It was stopped, it ended with an error, or nothing starts it when the computer does.",
    remedy="Start it (`harmattan run`, or the service of the system) and read the end of its log.",
)
def running(scene: Scene) -> Found:
    """A gateway holds the post's folder."""
    if not scene.running:
        return bad("no gateway holds the post's folder")
    _check_turns(scene)
    return ok("runs")


@check(
    "gateway.starts",
    cause="It ends by itself, is ended by a watchdog, or the computer loses its power.",
    remedy="Read the log before each `started`; without a `stopped` there it was killed or"
    " crashed.",
)
def starts(scene: Scene) -> Found:
    """How often it was started lately."""
    times = scene.start.started_ms
    day = [each for each in times if 0 <= scene.now_ms - each < 1_000 * DAY_S]
    hour = [each for each in day if scene.now_ms - each < 1_000 * HOUR_S]
    text = f"started {age(times[0], scene.now_ms)}, {len(day)} times in the last 24 h"
    if len(hour) >= STARTS_BAD:
        return bad(f"started {len(hour)} times in the last hour")
    return look(text) if len(day) >= STARTS_LOOK else ok(text)


@check(
    "gateway.faults",
    cause="A part met a fault, foreseen (`task_fault`: broker, disk, link) or not (`task_failed`).",
    remedy="The log has each with its text; report a `task_failed` with the traceback after it.",
)
def faults(scene: Scene) -> Found:
    """Parts that were started again since the start."""
    failed = scene.since_start("task_failed")
    foreseen = scene.since_start("task_fault")
    if failed:
        parts = named([f"{part} {count}" for part, count in sorted(failed.items())])
        return look(f"unforeseen faults since the start: {parts}")
    count = sum(foreseen.values())
    if count > FAULTS_MAX:
        parts = named([f"{part} {each}" for part, each in sorted(foreseen.items())])
        return look(f"{count} foreseen faults since the start: {parts}")
    return ok(f"{count} foreseen faults since the start")


@check(
    "gateway.log",
    cause="Whoever takes the log does not keep up: a stalled terminal, a full disk, a dead pipe.",
    remedy="Look where the gateway's standard error goes; free space there, or restart it.",
)
def log(scene: Scene) -> Found:
    """Lines of the log that nobody took."""
    dropped = sum(scene.since_start("log_dropped").values())
    if dropped:
        return look(f"{dropped} lines of the log dropped since the start")
    return ok("no line of the log dropped since the start")


@check(
    "gateway.settings",
    cause="The settings file was changed while the gateway runs; it reads it at its start only.",
    remedy="Restart the gateway to take the change over, or put the file back.",
)
def settings(scene: Scene) -> Found:
    """The file says what the gateway runs with."""
    if not scene.running:
        return ok(f"{scene.settings_path.name} is valid")
    if scene.start.settings_digest != digest(scene.settings):
        return look(f"{scene.settings_path.name} is not what the gateway runs with")
    return ok(f"{scene.settings_path.name} is what the gateway runs with")


@check(
    "gateway.metrics",
    cause="Another program has the port, or the gateway runs with other settings.",
    remedy="Choose a free `observe.metrics_port` and restart the gateway; 0 turns the metrics off.",
)
def metrics(scene: Scene) -> Found:
    """The page for Prometheus answers."""
    port = scene.settings.observe.metrics_port
    if not port:
        return ok("turned off")
    if not scene.running:
        return ok("the gateway does not run")
    _check_turns(scene)
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=METRICS_S_MAX)
    try:
        link.request("GET", "/metrics")
        status = link.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return look(f"port {port} does not answer: {error}")
    finally:
        link.close()
    return ok(f"port {port} answers") if status == 200 else look(f"port {port} answers {status}")


@check(
    "gateway.reports",
    cause="The gateway itself found a state that lasts; its sentence says which.",
    remedy="Its sentence says what to do; the state is taken back when it has passed.",
)
def reports(scene: Scene) -> Found | list[Found]:
    """What the gateway says holds now, beyond what other checks show."""
    told = {name: text for name, text in scene.postures.items() if name not in SHOWN_ELSEWHERE}
    if not told:
        return ok("nothing lasting is reported")
    return [look(text, name) for name, text in sorted(told.items())]


@check(
    "gateway.hangs",
    cause="A part waits for something that does not come: usually a disk that no longer answers.",
    remedy="Run as a service it is started again by its watchdog. Read `dmesg`; report the log"
    " before"
    " it if the disk is well.",
)
def hangs(scene: Scene) -> Found:
    """Every part of the gateway turns."""
    if not scene.running:
        return ok("the gateway does not run")
    state = scene.state
    if state is None:
        return look("the gateway says nothing of itself beside its journal")
    if state.hangs != EVERYTHING:
        return bad(f"hangs: {state.hangs}") if state.hangs else ok("every part turns")
    text = f"nothing of the gateway has turned for {span(time.monotonic() - state.turned_s)}"
    if is_stopped(state.pid):
        return bad(
            text,
            cause="Its process was stopped by a signal: Ctrl-Z at its terminal, `kill -STOP`, or a"
            " debugger.",
            remedy=f"`fg` at its terminal, or `kill -CONT {state.pid}`; it goes on where it was.",
        )
    return bad(
        text,
        cause="Its event loop is held: by a disk that no longer answers, a computer far too busy,"
        " or an error of ours.",
        remedy=f"Read `dmesg`; end it (`kill -9 {state.pid}`, nothing receipted is lost) and start"
        " it again, and report the log before it. As a service its watchdog does that.",
    )


def _check_turns(scene: Scene) -> None:
    """Insist on a gateway that turns, where a check is about what it does.

    Raises:
        UntoldError: it does not.
    """
    if scene.state is not None and scene.state.hangs == EVERYTHING:
        raise UntoldError("the gateway stands still", "See `gateway.hangs`.", see="gateway.hangs")
