"""mosquitto: without it no node is heard."""

import re
import socket
import subprocess
from pathlib import Path
from typing import Final

from gateway.doctor.finding import Found, UntoldError, bad, check, look, ok, unknown
from gateway.doctor.scene import Scene
from gateway.errors import BrokerError
from gateway.ingest.answering import MUTE
from gateway.ingest.broker import CONFIGURATION_NAME, find_leftovers, find_program
from gateway.observe.state import is_stopped
from gateway.units import age

CONNECT_S_MAX: Final = 3.0  # on this machine, or in its network
PROGRAM_S_MAX: Final = 5.0
VERSION_MIN: Final = (2, 0)  # per-listener security settings as the gateway writes them
LOOKS: Final = 3  # a broker may end and another begin between two looks, but not that often
RESTARTS_LOOK: Final = 3  # since the start; the first may have waited for a port
EXTERNAL: Final = "external: its own technician looks after it"


@check(
    "broker.program",
    cause="mosquitto is not installed, or older than 2.0.",
    remedy="Install mosquitto 2.0 or newer (`apt install mosquitto`, `make tools`), or set"
    " `broker.program`.",
)
def program(scene: Scene) -> Found:
    """The program is there and new enough."""
    if scene.settings.broker.external:
        return ok(EXTERNAL)
    try:
        path = find_program(scene.settings.broker.program)
        told = subprocess.run(
            [path, "-h"], capture_output=True, text=True, timeout=PROGRAM_S_MAX, check=False
        ).stdout
    except (BrokerError, OSError, subprocess.TimeoutExpired) as error:
        return bad(str(error))
    version = re.search(r"mosquitto version (\d+)\.(\d+)(\S*)", told)
    if version is None:
        return unknown(f"{path} does not tell its version")
    if (int(version[1]), int(version[2])) < VERSION_MIN:
        return bad(f"{path} has version {version[1]}.{version[2]}{version[3]}")
    return ok(f"{path}, version {version[1]}.{version[2]}{version[3]}")


@check(
    "broker.port",
    cause="The broker does not run, does not get its port, or hangs.",
    remedy="Read `broker_log` and `task_fault` in the log; stop the program that has the port, or"
    " set another in the settings and in the nodes.",
)
def port(scene: Scene) -> Found:
    """It answers at its port while the gateway runs."""
    broker = scene.settings.broker
    where = f"{broker.host}:{broker.port}"
    if not scene.running and not broker.external:
        return ok("the gateway does not run, nor does its broker")
    fault = scene.broker_fault
    if scene.running and (not fault or fault == MUTE):
        _check_ours(scene, broker.host, broker.port)
    if fault == MUTE:
        return _hanging(scene, where)
    if fault:
        return bad(f"{where}: {fault}")
    if scene.state is not None and scene.state.unlinked_ms:
        quiet = age(scene.state.unlinked_ms, scene.now_ms)
        return look(
            f"{where} answers, but the gateway lost it {quiet}",
            cause="It has only just come back, or it refuses the gateway.",
            remedy="Look again in a minute; the last `task_fault` of `link` in the log says why.",
        )
    return ok(f"{where} answers")


def _hanging(scene: Scene, where: str) -> Found:
    """Tell of a broker that takes connections and says nothing."""
    text = f"{where} {MUTE}"
    if scene.settings.broker.external:
        return bad(text, cause="It hangs, or its computer is far too busy.", remedy=EXTERNAL)
    stopped = [str(pid) for pid in find_leftovers(_configured(scene)) if is_stopped(pid)]
    return bad(
        f"{text}; process {', '.join(stopped)} was stopped by a signal" if stopped else text,
        cause="The broker's process hangs: a signal stopped it, or the computer is far too busy.",
        remedy="The gateway kills it within half a minute and starts another; look again then. If"
        " it stays: is the gateway itself well (`gateway.hangs`), what does `dmesg` say?",
    )


@check(
    "broker.ours",
    cause="Another program listens at the broker's port, or the broker of a gateway that was"
    " killed.",
    remedy="`ss -ltnp` names the program; stop it, or choose another `broker.port`. A broker that"
    " was left behind is ended by the next start of the gateway.",
)
def ours(scene: Scene) -> Found:
    """What answers there is the gateway's own child."""
    broker = scene.settings.broker
    if broker.external:
        return ok(EXTERNAL)
    pids = find_leftovers(_configured(scene))
    told = ", ".join(map(str, pids))
    if scene.running:
        if pids:
            return ok(f"process {told}")
        if _is_another(scene, broker.host, broker.port):
            return bad(f"port {broker.port} is another program's")
        if broker.nodes.host and _is_another(scene, *_listener(scene)):
            return bad(f"port {broker.nodes.port} is another program's")
        return ok("no broker runs")
    if pids:
        return look(f"no gateway runs, but its broker does: process {told}")
    if _is_another(scene, broker.host, broker.port):
        return bad(f"port {broker.port} is another program's")
    return ok("none runs, and the port is free")


@check(
    "broker.nodes",
    cause="`broker.nodes.host` is no address of this machine, or the broker could not read its"
    " certificates.",
    remedy="Compare the address with `ip address`; read `broker_log`; see `certificates`.",
)
def nodes(scene: Scene) -> Found:
    """The listener for nodes elsewhere answers."""
    listener = scene.settings.broker.nodes
    if not listener.host:
        return ok("none: nodes on this machine only")
    if not scene.running:
        return ok("the gateway does not run")
    fault = answers(*_listener(scene))
    if not fault:
        _check_ours(scene, *_listener(scene))
        # One process serves both; by this way it would count us as a client without certificate.
        if scene.broker_fault == MUTE:
            raise UntoldError("the broker hangs", "See `broker.port`.", see="broker.port")
    where = f"{listener.host}:{listener.port}"
    if fault:
        return bad(f"{where}: {fault}")
    refused = sum(scene.since_start("connection_refused").values())
    flooded = sum(scene.since_start("connection_flood").values())
    told = [f"{refused} connections found no place since the start"] * bool(refused)
    if flooded:
        told.append(f"{flooded} came faster than the nodes behind one address would connect")
    if told:
        return look(
            f"{where} answers; {', '.join(told)}",
            cause="A device opens connections without end, or holds them and says nothing: it is"
            " broken or hostile.",
            remedy="`connection_flood` and `connection_refused` in the log, or `ss -tn`, name its"
            " address: take it off the network. `harmattan service show firewall` is a rule that"
            " bounds what one address may open;"
            " `harmattan docs install#a-bound-for-each-address`.",
        )
    return ok(f"{where} answers")


@check(
    "broker.restarts",
    cause="mosquitto crashes, is ended by somebody, or does not get its port.",
    remedy="Its last words are in the log's `task_fault` of `broker`; update mosquitto if it"
    " crashes.",
)
def restarts(scene: Scene) -> Found:
    """How often it had to be started again since the start."""
    if scene.settings.broker.external:
        return ok(EXTERNAL)
    hung = sum(scene.since_start("broker_hung").values())
    if hung:
        return look(
            f"killed {hung} times since the start, because it hung",
            cause="Its process was stopped by a signal, or waited for something that did not come.",
            remedy="Each is a `broker_hung` in the log, with its time: find what this computer did"
            " then; update mosquitto.",
        )
    count = sum(scene.since_start(name).get("broker", 0) for name in ("task_fault", "task_failed"))
    text = f"started again {count} times since the start"
    return look(text) if count >= RESTARTS_LOOK else ok(text)


def _listener(scene: Scene) -> tuple[str, int]:
    """Return where this machine reaches the listener for nodes."""
    listener = scene.settings.broker.nodes
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listener.host, listener.host)  # noqa: S104
    return host, listener.port


def _check_ours(scene: Scene, host: str, port: int) -> None:
    """Insist on a broker that is the gateway's own: who else has answered proves nothing.

    Raises:
        UntoldError: it was another program, or the gateway has just ended its broker.
    """
    if scene.settings.broker.external or find_leftovers(_configured(scene)):
        return
    if _is_another(scene, host, port):
        raise UntoldError(
            "another program answers: the gateway has no broker",
            "See `broker.ours`.",
            see="broker.ours",
        )
    if not find_leftovers(_configured(scene)):
        raise UntoldError(
            "the broker has just ended, and is started again",
            "Look again in a minute; the last `task_fault` of `broker` in the log says why.",
        )


def _is_another(scene: Scene, host: str, port: int) -> bool:
    """Say whether another program than the gateway's broker answers there, and goes on to.

    Between two questions the broker may have ended, or begun.
    """
    return all(
        not answers(host, port) and not find_leftovers(_configured(scene)) for _ in range(LOOKS)
    )


def _configured(scene: Scene) -> Path:
    return scene.directory / CONFIGURATION_NAME


def answers(host: str, port: int) -> str:
    """Say why nothing takes connections there, a broker or not; empty when something does."""
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S_MAX):
            return ""
    except OSError as error:
        return error.strerror or str(error)
