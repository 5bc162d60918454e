"""Every check made to fail, by what really makes it fail: a file, a row, a port, a date."""

import contextlib
import datetime as dt
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from gateway.doctor.checks.broker import answers
from gateway.fleet import nodes_file
from gateway.ingest.broker import find_program
from gateway.journal.backup import LAST_NAME as NOTE
from gateway.journal.calibrations import Kept, keep_outcome
from gateway.journal.condition import Condition, DiskState
from gateway.journal.postures import save_posture
from gateway.journal.records import save_counters
from gateway.journal.starts import save_start
from gateway.journal.store import FILE_NAME
from gateway.library import folder as library_folder
from gateway.library.changes import keep_specimen, trust
from gateway.library.substances import shipped_texts
from gateway.observe.state import FILE_NAME as STATE
from gateway.screening.standing import INSTRUMENT_FAULTS
from gateway.spectra import library as library_tables
from gateway.spectra.library import build_library
from hardware import keys
from tests.gateway.doctor.building import (
    AXIS,
    DAY_MS,
    say_alert,
    say_birth,
    say_health,
    say_reading,
)
from tests.gateway.library.national import (
    KEY,
    LIST,
    packed,
    specimen,
    write_library,
    write_list,
)

HOUR_MS = 3_600_000
FAULT = min(INSTRUMENT_FAULTS)
FULL = Condition(DiskState.full, 1, "the disk is full; free space")


@dataclass(frozen=True)
class Case:
    """One way in which a check fails.

    Attributes:
        name: of the check.
        breaks: does it to a post that is well; a context manager lasts while it is looked at.
        level: that is found.
        says: part of its value.
        later_ms: the post is looked at that much later.
        running: as if a gateway ran.
    """

    name: str
    breaks: Callable
    level: str
    says: str
    later_ms: int = 0
    running: bool = True


def counted(name, subject="", count=1):
    return lambda post: post.change(partial(save_counters, counts={(name, subject): count}))


def told(name, text):
    return lambda post: post.change(partial(save_posture, name=name, text=text, now_ms=post.at_ms))


def healthy(**changes):
    return lambda post: post.change(
        lambda connection: say_health(connection, "lane-1", post.at_ms, **changes)
    )


def machine(name, text):
    """Write one file of what the computer says of itself."""
    return lambda post: (post.folder.parent / name).write_text(text)


def with_settings(**changes):
    return lambda post: post.write_settings(**changes)


def said(query, *parameters):
    return lambda post: post.say(query, *parameters)


def nothing(post):
    """For what time alone breaks."""


# -------------------------------------------------------------------------------------- gateway


def start_often(post, count, within_ms):
    for number in range(count):
        at_ms = post.at_ms - number * within_ms // count
        post.change(partial(save_start, now_ms=at_ms, settings_digest=1))


@contextlib.contextmanager
def deaf_metrics(post):
    """The page's port is another program's, which knows no such page."""
    with other_program(0, b"HTTP/1.0 404 Not Found\r\n\r\n") as port:
        post.write_settings(tables=f"[observe]\nmetrics_port = {port}\n")
        yield


@contextlib.contextmanager
def other_program(port, answer=b""):
    """Another program listens at a port."""
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(30)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    with caller:
                        if answer:
                            caller.recv(4_096)
                            caller.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


# ----------------------------------------------------------------------------------------- disk


@contextlib.contextmanager
def disk(**changes):
    """The disk says something else of itself than it does."""
    real = os.statvfs
    names = "f_bsize f_frsize f_blocks f_bfree f_bavail f_files f_ffree f_favail f_flag f_namemax"
    try:

        def say(path):
            values = list(real(path))[:10]
            for name, value in changes.items():
                values[names.split().index(name)] = value
            return os.statvfs_result(values)

        os.statvfs = say
        yield
    finally:
        os.statvfs = real


# ------------------------------------------------------------------------------------- database


def grow_log(post):
    (post.state / f"{FILE_NAME}-wal").touch()
    os.truncate(post.state / f"{FILE_NAME}-wal", 70_000_000)  # sparse


def damage(post):
    path = post.state / FILE_NAME
    content = bytearray(path.read_bytes())
    content[:4_096] = os.urandom(4_096)
    path.write_bytes(content)


def evict(post):
    post.say(
        "INSERT INTO retention (id, evicted, bytes) VALUES (1, 500, 2000000)"
        " ON CONFLICT DO UPDATE SET evicted = 500, bytes = 2000000"
    )
    record_id = post.change(lambda c: say_reading(c, "lane-1", 5, post.at_ms - HOUR_MS, 1))
    post.say("INSERT OR IGNORE INTO evictable (rank, record_id) VALUES (0, ?)", record_id)


def check_whole(post, ago_ms, fault):
    post.say(
        "INSERT INTO integrity (id, checked_ms, fault) VALUES (1, ?1, ?2)"
        " ON CONFLICT DO UPDATE SET checked_ms = ?1, fault = ?2",
        post.at_ms - ago_ms,
        fault,
    )


def await_verdict(post, ago_ms):
    record_id = post.change(lambda c: say_reading(c, "lane-1", 7, post.at_ms - ago_ms, 0))
    post.say("INSERT OR IGNORE INTO pending (node, record_id) VALUES ('lane-1', ?)", record_id)


# --------------------------------------------------------------------------------- certificates


def issue(post, name, *, days=400, since_days=0, hosts=("127.0.0.1",), authority=None):
    """Make the certificate and key `name` of the post anew."""
    now = dt.datetime.now(dt.UTC)
    certificate = x509.load_pem_x509_certificate((post.keys / "ca.pem").read_bytes())
    key = serialization.load_pem_private_key((post.keys / "ca-key.pem").read_bytes(), None)
    pair = keys.issue(
        authority or keys.Pair(certificate, key),
        "gateway.post-1",
        now - dt.timedelta(days=400),
        hosts=hosts,
        days=400 + days,
        since=now + dt.timedelta(days=since_days) if since_days else None,
    )
    (post.keys / f"{name}.pem").write_bytes(pair.certificate_pem())
    (post.keys / f"{name}-key.pem").write_bytes(pair.key_pem())


def issue_node(post, days):
    """Make the certificate of a node anew, as it is carried to it."""
    issue(post, "other", days=days)
    found = x509.load_pem_x509_certificate((post.keys / "other.pem").read_bytes())
    place = post.keys / "nodes/lane-2/node.der"
    place.write_bytes(found.public_bytes(serialization.Encoding.DER))


def revoke(post, *, days, authority=None):
    """Write a list of revoked certificates."""
    now = dt.datetime.now(dt.UTC)
    certificate = x509.load_pem_x509_certificate((post.keys / "ca.pem").read_bytes())
    key = serialization.load_pem_private_key((post.keys / "ca-key.pem").read_bytes(), None)
    if authority is not None:
        certificate, key = authority.certificate, authority.key
    builder = x509.CertificateRevocationListBuilder().issuer_name(certificate.subject)
    builder = builder.last_update(now - dt.timedelta(days=500))
    builder = builder.next_update(now + dt.timedelta(days=days))
    found = builder.sign(key, hashes.SHA256())
    (post.keys / "crl.pem").write_bytes(found.public_bytes(serialization.Encoding.PEM))


def stranger():
    return keys.make_authority("another", dt.datetime.now(dt.UTC))


# ---------------------------------------------------------------------------------------- nodes


def leave(post, ago_ms, *, online):
    post.say("UPDATE nodes SET seen_ms = ?, online = ?", post.at_ms - ago_ms, int(online))


def calibrate_badly(post):
    record_id = post.change(lambda c: say_reading(c, "lane-1", 3, post.at_ms, 2))
    kept = Kept(
        record_id,
        post.at_ms,
        "polystyrene",
        FAULT,
        "the axis is off by 40 cm^-1",
        b"",
    )
    post.change(lambda c: keep_outcome(c, "calibrations", "lane-1", AXIS, kept))


def measure_glass(post, ago_ms):
    record_id = post.change(lambda c: say_reading(c, "lane-1", 3, post.at_ms - ago_ms, 2))
    kept = Kept(record_id, post.at_ms - ago_ms, "srm-2241", "", "", b"{}")
    post.change(lambda c: keep_outcome(c, "responses", "lane-1", AXIS, kept))


def start_nodes_often(post):
    for number in range(5):
        boot_id = f"boot-{number:03}".encode()
        post.change(lambda c, boot=boot_id: say_health(c, "lane-1", post.at_ms, boot_id=boot))


def lose(post):
    post.change(lambda c: say_health(c, "lane-1", post.at_ms, evicted_count=12))


def know_better(post, ahead_ms):
    """A node with GNSS says another time."""
    post.change(
        lambda c: say_health(c, "lane-1", post.at_ms, time_ms=post.at_ms - ahead_ms, time_quality=3)
    )


# -------------------------------------------------------------------------------------- library


def add_package(post, *, trusted, damaged=False):
    """Put a signed package into the library's folder."""
    content = bytearray(packed())
    if damaged:
        content[len(content) // 2] ^= 1
    folder = post.folder / "library"
    (folder / "packages").mkdir(parents=True)
    (folder / "packages/national.hlp").write_bytes(content)
    if trusted:
        trust(folder, KEY.public_key())


def doubt(post):
    """Keep a specimen that the import doubted."""
    write_library(post.folder / "library")
    keep_specimen(post.folder / "library", specimen(2, doubt="it looks like something listed"))


def note_library(post, version, faults="[]"):
    post.say(
        "INSERT INTO rejudgings (library_version, lists_version, since_ms, below_id, started_ms,"
        " faults) VALUES (?, 'lists', 0, 0, 0, ?)",
        version,
        faults,
    )


# --------------------------------------------------------------------------------------- outbox


@contextlib.contextmanager
def authority(post, *, days=400, trusted=True):
    """An authority with TLS and a certificate of its own."""
    mine = stranger()
    now = dt.datetime.now(dt.UTC)
    pair = keys.issue(
        mine,
        "authority",
        now - dt.timedelta(days=400),
        hosts=("127.0.0.1",),
        days=400 + days,
        since=now - dt.timedelta(days=400),
    )
    shown = mine if trusted else stranger()
    (post.folder / "authority.pem").write_bytes(shown.certificate_pem())
    (post.folder / "server.pem").write_bytes(pair.certificate_pem() + pair.key_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(post.folder / "server.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    with contextlib.suppress(OSError), caller:
                        context.wrap_socket(caller, server_side=True).close()

        threading.Thread(target=serve, daemon=True).start()
        post.write_settings(
            url=f"https://127.0.0.1:{server.getsockname()[1]}/alerts",
            tables=f"ca_file = {str(post.folder / 'authority.pem')!r}\n",
        )
        yield
        server.shutdown(socket.SHUT_RDWR)


def old_program(post):
    """A broker of long ago is found."""
    path = post.folder / "mosquitto"
    path.write_text("#!/bin/sh\necho mosquitto version 1.6.9\n")
    path.chmod(0o755)
    text = post.path.read_text().replace("[broker]", f"[broker]\nprogram = {str(path)!r}")
    post.path.write_text(text)


def without_program(post):
    post.path.write_text(
        post.path.read_text().replace("[broker]", "[broker]\nprogram = 'no-such-broker'")
    )


def without_nodes(post):
    post.write_settings(nodes=())


def bind_elsewhere(post):
    issue(post, "gateway", hosts=("192.0.2.7",))


def back_up(post, ago_ms):
    note = {"file": "/media/stick/copy.sqlite", "made_ms": post.at_ms - ago_ms}
    note |= {"bytes": 4_096, "records": 2, "schema": 6}
    (post.state / NOTE).write_text(json.dumps(note))


def revoke_node(post):
    with nodes_file.changing(post.state) as entries:
        entries["lane-2"] = nodes_file.Entry(revoked=dt.datetime.now(dt.UTC))


def set_machine(post, **changes):
    post.machine = replace(post.machine, **changes)


def lose_battery(post):
    shutil.rmtree(post.folder.parent / "sys/class/rtc")
    set_machine(post, synchronised=lambda: False)


@contextlib.contextmanager
def slow_disk(_):
    """Every page takes a quarter of a second; the clock that measures it is moved."""
    real, spent = os.fsync, [0.0]
    clock = time.perf_counter

    def write(descriptor):
        real(descriptor)
        spent[0] += 0.25

    os.fsync, time.perf_counter = write, lambda: clock() + spent[0]
    try:
        yield
    finally:
        os.fsync, time.perf_counter = real, clock


def swell(post):
    """The settings allow less than the file holds."""
    post.write_settings(tables=JOURNAL + "bytes_max = 100000000\n")
    for number in range(2):
        post.say("CREATE TABLE IF NOT EXISTS more (x BLOB)")
        post.say("INSERT INTO more VALUES (zeroblob(?))", 70_000_000 + number)


def open_to_all(post):
    post.state.chmod(0o755)
    (post.state / FILE_NAME).chmod(0o644)


@contextlib.contextmanager
def leftover(post):
    """The broker of a gateway that was killed still runs."""
    configured = post.state / "mosquitto.conf"
    listener = f"listener {post.ports[0]} 127.0.0.1\nallow_anonymous true\n"
    configured.write_text(listener + ("user nobody\n" if os.geteuid() == 0 else ""))
    child = subprocess.Popen(
        [find_program("mosquitto"), "-c", str(configured)], stderr=subprocess.DEVNULL
    )
    try:
        while answers("127.0.0.1", post.ports[0]):
            assert child.poll() is None
        yield
    finally:
        child.terminate()
        child.wait(10)


def swap_keys(post):
    (post.keys / "gateway-key.pem").write_bytes((post.keys / "ca-key.pem").read_bytes())


def lose_instrument(post):
    post.change(
        lambda c: say_birth(c, "lane-1", post.at_ms, instrument_model="", instrument_serial="")
    )


def lose_config(post):
    post.change(lambda c: say_birth(c, "lane-1", post.at_ms, config_version=0))


def alert_at(post, ago_ms, **said_of_it):
    post.change(lambda c: say_alert(c, post.at_ms - ago_ms, **said_of_it))


@contextlib.contextmanager
def break_tables(_):
    """A table of the installation is damaged."""
    real = library_tables.load_library
    library_folder.load_library = lambda: build_library(shipped_texts() | {"bands": BAD_BANDS})
    try:
        yield
    finally:
        library_folder.load_library = real


OLD_LIST = (
    LIST.replace('"national"', '"old"')
    .replace("source =", "valid_until = 2026-11-21\nsource =")
    .replace("testing_salt", "urea")
)


BAD_BANDS = shipped_texts()["bands"] + "nothing_known\n"
DAY = DAY_MS
JOURNAL = "[journal]\n"
C = Case
CASES = [
    C("gateway.running", nothing, "bad", "no gateway", running=False),
    C("gateway.starts", lambda p: start_often(p, 5, 8 * HOUR_MS), "look", "times in the last 24 h"),
    C("gateway.starts", lambda p: start_often(p, 12, HOUR_MS // 2), "bad", "in the last hour"),
    C("gateway.faults", counted("task_failed", "judging"), "look", "judging 1"),
    C("gateway.faults", counted("task_fault", "link", 11), "look", "11 foreseen"),
    C("gateway.log", counted("log_dropped", count=7), "look", "7 lines"),
    C("gateway.settings", with_settings(tables="retry_s_max = 60.0\n"), "look", "is not what"),
    C("gateway.metrics", deaf_metrics, "look", "answers 404"),
    C(
        "gateway.metrics",
        with_settings(tables="[observe]\nmetrics_port = 1\n"),
        "look",
        "does not answer",
    ),
    C("gateway.hangs", lambda p: p.write_state(hangs="writer"), "bad", "hangs: writer"),
    C("gateway.hangs", lambda p: (p.state / STATE).unlink(), "look", "says nothing"),
    C("gateway.reports", told("another", "a state that lasts"), "look", "that lasts"),
    C(
        "machine.memory",
        machine("proc/meminfo", "MemTotal: 9 kB\nMemAvailable: 9 kB"),
        "bad",
        "9.2 kB",
    ),
    C(
        "machine.memory",
        machine("proc/meminfo", "MemTotal: 999999 kB\nMemAvailable: 100000 kB"),
        "look",
        "102.4 MB",
    ),
    C("machine.memory", machine("proc/meminfo", "no table"), "unknown", "does not say"),
    C(
        "machine.temperature",
        machine("sys/class/thermal/thermal_zone0/temp", "93000"),
        "bad",
        "93 °C at cpu, critical 95",
    ),
    C(
        "machine.temperature",
        machine("sys/class/hwmon/hwmon0/temp1_input", "91000"),
        "look",
        "91 °C",
    ),
    C(
        "machine.undervoltage",
        machine("sys/class/hwmon/hwmon0/in0_lcrit_alarm", "1"),
        "bad",
        "undervoltage at rpi_volt in0",
    ),
    C("machine.load", lambda p: set_machine(p, load=lambda: (9.0, 9.0, 99.0)), "bad", "want each"),
    C(
        "machine.load",
        lambda p: set_machine(p, load=lambda: (0.0, 0.0, 2.0 * (os.cpu_count() or 1))),
        "look",
        "2.0 programs",
    ),
    C("clock.edition", nothing, "bad", "2000", later_ms=-26 * 365 * DAY),
    C(
        "clock.synchronised",
        lambda p: set_machine(p, synchronised=lambda: False),
        "look",
        "no time",
    ),
    C("clock.synchronised", lambda p: set_machine(p, synchronised=lambda: None), "look", "not say"),
    C("clock.synchronised", lose_battery, "bad", "without a battery clock"),
    C("clock.nodes", nothing, "bad", "after what the clock says now", later_ms=-HOUR_MS),
    C(
        "clock.nodes",
        lambda p: know_better(p, 30_000),
        "look",
        "+30.0 s against the GNSS of lane-1",
    ),
    C("clock.nodes", lambda p: know_better(p, -HOUR_MS), "bad", "-3600.0 s"),
    C("clock.steps", counted("clock_set", count=3), "look", "set 3 times"),
    C(
        "disk.free",
        with_settings(tables=JOURNAL + "reserve_bytes = 1000000000000\n"),
        "bad",
        "no reading",
    ),
    C("disk.free", lambda _: disk(f_bavail=25_000, f_frsize=4_096), "look", "102.4 MB free"),
    C(
        "disk.room",
        with_settings(tables=JOURNAL + "bytes_max = 10000000000000\n"),
        "look",
        "10.0 TB",
    ),
    C("disk.inodes", lambda _: disk(f_favail=50), "bad", "50 of"),
    C("disk.inodes", lambda _: disk(f_files=1_000_000, f_favail=10_000), "look", "10000 of"),
    C("disk.writable", lambda _: disk(f_flag=os.ST_RDONLY), "bad", "read-only"),
    C("disk.latency", slow_disk, "look", "ms to write"),
    C("disk.state", lambda p: p.write_state(disk=FULL), "bad", "free space"),
    C("disk.state", told("disk", "is full"), "look", "before it ended: is full", running=False),
    C("database.opens", lambda p: (p.state / FILE_NAME).unlink(), "bad", "no such file"),
    C("database.opens", damage, "bad", "not a database"),
    C(
        "database.opens",
        lambda p: (p.state / f"{FILE_NAME}-wal").write_bytes(bytes(32)),
        "look",
        "-wal",
    ),
    C("database.version", said("PRAGMA user_version = 99"), "bad", "schema 99"),
    C("database.version", said("PRAGMA user_version = 5"), "look", "schema 5"),
    C("database.log", grow_log, "look", "70.0 MB"),
    C(
        "database.damaged",
        lambda p: (p.state / "damaged-20261121").mkdir(),
        "look",
        "damaged-20261121",
    ),
    C("database.integrity", lambda p: check_whole(p, DAY, "page 7 is bad"), "bad", "page 7"),
    C("database.integrity", lambda p: check_whole(p, 20 * DAY, ""), "look", "20 d ago"),
    C("database.integrity", told("frames_damaged", "3 frames are damaged"), "bad", "3 frames"),
    C("database.size", swell, "bad", "of 100.0 MB"),
    C("database.evictions", evict, "look", "goes back"),
    C("database.pending", lambda p: await_verdict(p, HOUR_MS), "look", "the oldest for 60 min"),
    C("database.pending", lambda p: await_verdict(p, 9 * HOUR_MS), "bad", "the oldest for 9 h"),
    C("database.backup", lambda p: back_up(p, 50 * DAY), "look", "copy.sqlite, made 50 d ago"),
    C("database.backup", nothing, "look", "none was ever made", later_ms=40 * DAY),
    C("database.backup", lambda p: (p.state / NOTE).write_text("{"), "unknown", NOTE),
    C("database.private", open_to_all, "bad", "journal.sqlite"),
    C("broker.program", without_program, "bad", "'no-such-broker' is not on PATH"),
    C("broker.program", old_program, "bad", "1.6.9"),
    C("broker.port", nothing, "bad", "refused"),
    C("broker.ours", lambda p: other_program(p.ports[0]), "bad", "another program's"),
    C("broker.ours", lambda p: other_program(p.ports[0]), "bad", "another", running=False),
    C("broker.ours", leftover, "look", "no gateway runs, but its broker does", running=False),
    C("broker.nodes", nothing, "bad", "refused"),
    C("broker.restarts", counted("task_fault", "broker", 3), "look", "3 times"),
    C("certificates.expiry", lambda p: issue(p, "gateway", days=-2), "bad", "expired 48 h ago"),
    C("certificates.expiry", lambda p: issue(p, "gateway", days=30), "look", "valid for 30 d"),
    C("certificates.expiry", lambda p: issue(p, "gateway", since_days=3), "bad", "valid only from"),
    C("certificates.expiry", lambda p: issue_node(p, 10), "look", "valid for 10 d more"),
    C("certificates.expiry", lambda p: (p.keys / "ca.pem").unlink(), "bad", "cannot be read"),
    C(
        "certificates.expiry",
        lambda p: (p.keys / "ca.pem").write_text("x"),
        "bad",
        "no certificate",
    ),
    C("certificates.key", swap_keys, "bad", "does not belong to gateway.pem"),
    C(
        "certificates.key",
        lambda p: (p.keys / "gateway-key.pem").write_text("x"),
        "bad",
        "no private",
    ),
    C(
        "certificates.chain",
        lambda p: issue(p, "gateway", authority=stranger()),
        "bad",
        "is not signed by ca.pem",
    ),
    C("certificates.host", bind_elsewhere, "bad", "is for 192.0.2.7, not for 127.0.0.1"),
    C("certificates.modes", lambda p: (p.keys / "gateway-key.pem").chmod(0o640), "bad", "mode 640"),
    C(
        "certificates.modes",
        lambda p: (p.keys / "nodes/lane-1/node-key.der").chmod(0o644),
        "bad",
        "mode 644",
    ),
    C("certificates.revocations", lambda p: revoke(p, days=-1), "bad", "expired on"),
    C("certificates.revocations", lambda p: revoke(p, days=20), "look", "valid for 20 d"),
    C(
        "certificates.revocations",
        lambda p: revoke(p, days=400, authority=stranger()),
        "bad",
        "is not signed by ca.pem",
    ),
    C("certificates.revocations", lambda p: (p.keys / "crl.pem").write_text("x"), "bad", "is no"),
    C("nodes.named", without_nodes, "bad", "no node"),
    C("nodes.silence", nothing, "look", "silent, heard 60 min ago", later_ms=HOUR_MS),
    C("nodes.silence", lambda p: leave(p, 90_000, online=False), "ok", "heard in time"),
    C("nodes.silence", lambda p: leave(p, 30_000, online=False), "look", "offline"),
    C("nodes.silence", lambda p: leave(p, 3 * DAY, online=False), "bad", "heard 3 d ago"),
    C("nodes.silence", with_settings(nodes=("lane-1", "lane-9")), "look", "never heard"),
    C("nodes.silence", nothing, "unknown", "nobody hears", running=False),
    C("nodes.calibration", said("DELETE FROM calibrations"), "bad", "not calibrated"),
    C("nodes.calibration", nothing, "bad", "expired", later_ms=40 * DAY),
    C("nodes.calibration", nothing, "look", "expires in", later_ms=28 * DAY),
    C("nodes.calibration", calibrate_badly, "bad", "off by 40 cm^-1"),
    C("nodes.response", lambda p: measure_glass(p, 400 * DAY), "look", "measured 400 d ago"),
    C("nodes.instrument", lose_instrument, "bad", "no instrument answers"),
    C("nodes.fault", healthy(fault="laser is off"), "bad", "laser is off"),
    C("nodes.supply", healthy(supply_mv=3_100), "bad", "3.10 V"),
    C("nodes.supply", healthy(supply_mv=3_450), "look", "3.45 V"),
    C("nodes.supply", healthy(supply_mv=4_200), "look", "fallen from 4.80 V"),
    C("nodes.temperature", healthy(temperature_mc=72_000), "look", "72 °C"),
    C("nodes.temperature", healthy(temperature_mc=90_000), "bad", "90 °C"),
    C("nodes.memory", healthy(heap_free_bytes=9_000), "bad", "9.0 kB"),
    C("nodes.memory", healthy(heap_free_bytes=20_000), "look", "20.0 kB"),
    C("nodes.backlog", healthy(next_seq=400), "look", "399 records wait"),
    C("nodes.lost", healthy(evicted_count=12), "bad", "lately 12 evicted"),
    C("nodes.lost", counted("record_lost", "lane-2", 4), "bad", "4 missed here"),
    C("nodes.missing", told("record_missing", "record 7 of lane-1 is missing"), "look", "record 7"),
    C("nodes.restarts", start_nodes_often, "look", "6 starts"),
    C("nodes.restarts", healthy(reset_cause=3), "look", "by watchdog"),
    C("nodes.link", healthy(reconnect_count=45), "look", "again 45 times"),
    C("nodes.config", lose_config, "look", "not confirmed"),
    C(
        "nodes.quarantine",
        lambda p: p.write_state(barred={"lane-2": "topic_foreign"}, barred_count=3),
        "bad",
        "publishes on topics that are not its own",
    ),
    C("nodes.revoked", revoke_node, "look", "still in the settings"),
    C("nodes.revoked", lambda p: (p.state / "nodes.toml").write_text("["), "bad", "nodes.toml"),
    C("nodes.refused", counted("node_unknown", "x", 3), "look", "node_unknown 3"),
    C("outbox.authority", with_settings(url=""), "bad", "is empty"),
    C("outbox.reachable", nothing, "bad", "refused"),
    C("outbox.certificate", lambda p: authority(p, trusted=False), "bad", "not accepted"),
    C("outbox.certificate", lambda p: authority(p, days=-2), "bad", "expired"),
    C("outbox.certificate", lambda p: authority(p, days=5), "look", "valid for 5 d"),
    C(
        "outbox.oldest",
        lambda p: alert_at(p, HOUR_MS),
        "look",
        "1 alerts wait, the oldest for 60 min",
    ),
    C("outbox.oldest", lambda p: alert_at(p, 9 * HOUR_MS), "bad", "9 h"),
    C(
        "outbox.fault",
        lambda p: alert_at(p, 0, attempts=4, fault="authority is not reached"),
        "look",
        "4 attempts for one alert: authority is not reached",
    ),
    C(
        "outbox.fault",
        lambda p: alert_at(p, 0, attempts=1, fault="authority refuses the alert with 400"),
        "bad",
        "refuses",
    ),
    C("library.tables", break_tables, "bad", "bands.csv line"),
    C(
        "library.packages",
        lambda p: add_package(p, trusted=True, damaged=True),
        "bad",
        "national.hlp",
    ),
    C("library.trust", lambda p: add_package(p, trusted=False), "bad", "national.hlp"),
    C(
        "library.lists",
        lambda p: write_list(p.folder / "lists", "not a list"),
        "bad",
        "national.toml",
    ),
    C(
        "library.lists",
        lambda p: write_list(p.folder / "lists", OLD_LIST),
        "look",
        "list old: expired",
    ),
    C("library.doubt", doubt, "look", "in doubt"),
    C("library.current", lambda p: note_library(p, "other"), "look", "judged by other"),
    C("library.current", lambda p: note_library(p, "x", '["y is damaged"]'), "bad", "y is damaged"),
]
