"""Every check made to fail, by what really makes it fail: a file, a row, a port, a date."""

import contextlib
import datetime as dt
import errno
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
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
from gateway.journal.opening import connect_immutable
from gateway.journal.postures import save_posture
from gateway.journal.records import save_counters
from gateway.journal.starts import save_start
from gateway.journal.store import FILE_NAME, connect
from gateway.library import folder as library_folder
from gateway.library.changes import keep_specimen, trust
from gateway.library.substances import shipped_texts
from gateway.screening.standing import INSTRUMENT_FAULTS
from gateway.spectra import library as library_tables
from gateway.spectra.library import build_library
from hardware import keys
from tests.gateway.doctor.building import (
    AXIS,
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
)

HOUR_MS = 3_600_000
JOURNAL = "[journal]\n"
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
    for number in reversed(range(count)):
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


@contextlib.contextmanager
def read_for_long(post):
    """Another program reads one moment of the journal while it is written, on a disk too small."""
    path = post.state / FILE_NAME
    question = (
        "import apsw, sys\n"
        "c = apsw.Connection(sys.argv[1], flags=apsw.SQLITE_OPEN_READONLY)\n"
        "c.set_busy_timeout(30_000)\n"
        "c.execute('BEGIN'); c.execute('SELECT count(*) FROM records').fetchall()\n"
        "print('reading', flush=True); sys.stdin.read()\n"
    )
    with (
        contextlib.closing(connect(path)) as writing,
        subprocess.Popen(
            [sys.executable, "-c", question, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as program,
    ):
        assert program.stdout.readline() == "reading\n"
        writing.execute("CREATE TABLE large AS SELECT zeroblob(9000000) AS bytes")
        with_settings(tables=JOURNAL + "reserve_bytes = 1000000000000\n")(post)
        yield
        program.stdin.close()


def damage(post):
    path = post.state / FILE_NAME
    content = bytearray(path.read_bytes())
    content[:4_096] = os.urandom(4_096)
    path.write_bytes(content)


def spoil_page(table, *, last=False):
    """Put noise where the first or the last page of a table, or of an index, was."""

    def breaks(post):
        path = post.state / FILE_NAME
        connection = connect_immutable(path)  # it leaves no file beside it
        query = "SELECT min(pageno), max(pageno) FROM dbstat WHERE name = ?"
        ((first, at_last),) = connection.execute(query, (table,)).fetchall()
        connection.close()
        content = bytearray(path.read_bytes())
        page = at_last if last else first
        content[(page - 1) * 4_096 : page * 4_096] = os.urandom(4_096)
        path.write_bytes(content)

    return breaks


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


def issue_node(post, days, *, carried):
    """Make the certificate of a node anew: as it is kept here, or as it is carried to the node."""
    issue(post, "other", days=days)
    found = x509.load_pem_x509_certificate((post.keys / "other.pem").read_bytes())
    if carried:
        shutil.rmtree(post.keys / "issued", ignore_errors=True)
        place = post.keys / "nodes/lane-2/node.der"
        place.write_bytes(found.public_bytes(serialization.Encoding.DER))
    else:
        (post.keys / "issued").mkdir(exist_ok=True)
        (post.keys / "issued/lane-2.ffff.pem").write_bytes((post.keys / "other.pem").read_bytes())


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


def bind_nameless(post):
    """The certificate is for the address only."""
    issue(post, "gateway", hosts=("127.0.0.1",))


def back_up(post, ago_ms):
    note = {"file": "/media/stick/copy.sqlite", "made_ms": post.at_ms - ago_ms}
    note |= {"bytes": 4_096, "records": 2, "schema": 6}
    (post.state / NOTE).write_text(json.dumps(note))


def revoke_node(post):
    with nodes_file.changing(post.state) as entries:
        entries["lane-2"] = nodes_file.Entry(revoked=dt.datetime.now(dt.UTC))


def set_machine(post, **changes):
    post.machine = replace(post.machine, **changes)


def lay_folder(path):
    path.unlink()
    path.mkdir()


def lay_link(path):
    path.rename(path.with_name("other"))
    path.symlink_to("/disk/that/is/away")


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
        yield child
    finally:
        child.terminate()
        child.wait(10)


@contextlib.contextmanager
def hanging(post):
    """The gateway's broker hangs; its listener for nodes takes connections as the other does."""
    with leftover(post) as child, other_program(post.ports[1]):
        child.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            child.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def left_by_gateway(post):
    """The gateway is not connected to a broker that is well."""
    post.write_state(unlinked_ms=post.at_ms - HOUR_MS)
    with leftover(post):
        yield


@contextlib.contextmanager
def full_disk(_):
    """No byte more can be written; what is there can be read."""
    write = os.write

    def fail(descriptor, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    os.write = fail
    try:
        yield
    finally:
        os.write = write


def list_for_a_folder(post):
    """The settings name a list where they should name the folder that it is in."""
    (post.folder / "national.toml").write_text("")
    post.write_settings(tables='[screening]\nlists_directory = "national.toml"\n')


def without_listener(post):
    """As `harmattan init` without --listen makes it."""
    text = post.path.read_text()
    post.path.write_text(text.replace('[broker.nodes]\nhost = "127.0.0.1"', "[broker.nodes]"))


def listen_elsewhere(post):
    """The broker listens on an address that its certificate is not for; it is for a name, too."""
    for name in ("gateway.pem", "gateway-key.pem"):
        (post.keys / name).unlink()
    hosts = ("127.0.0.1", "gateway.post-1")
    keys.make_post(post.keys, "post-1", hosts, [], dt.datetime.now(dt.UTC))
    text = post.path.read_text()
    post.path.write_text(
        text.replace('[broker.nodes]\nhost = "127.0.0.1"', '[broker.nodes]\nhost = "127.0.0.77"')
    )


def take_key_away(post):
    """The gateway's user may not read the broker's key, as when root made it."""
    if os.geteuid() == 0:
        os.chown(post.state, 65_534, 65_534)
    else:
        (post.keys / "gateway-key.pem").chmod(0)


def swap_keys(post):
    (post.keys / "gateway-key.pem").write_bytes((post.keys / "ca-key.pem").read_bytes())


def lose_instrument(post):
    post.change(
        lambda c: say_birth(c, "lane-1", post.at_ms, instrument_model="", instrument_serial="")
    )


def have_no_spectrometer(post):
    """It has readers only."""
    post.change(
        lambda c: say_birth(
            c, "lane-1", post.at_ms, instrument_model="", instrument_serial="", excitation_pm=0
        )
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
