"""A post to be examined: real keys, a real database, real settings, everything well.

Nothing runs in it; `scene(running=True)` looks at it as if a gateway did. What a test breaks is a
file, a row or a port.
"""

import datetime as dt
import os
import struct
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from gateway import settings, wire
from gateway.doctor.examine import every_check, examine
from gateway.doctor.machine import Machine
from gateway.doctor.scene import look_at
from gateway.journal.calibrations import Kept, keep_outcome
from gateway.journal.healths import insert_health
from gateway.journal.records import (
    Judgement,
    insert_judgement,
    insert_record,
    save_birth,
    save_config,
    save_health,
    save_status,
)
from gateway.journal.starts import digest, save_start
from gateway.journal.store import FILE_NAME, connect
from gateway.observe.state import State, StateFile
from hardware import keys
from protocol import messages

DAY_MS = 86_400_000
AXIS = b"axis-one"
NODES = ("lane-1", "lane-2")
CHECKS = {each.id: each for each in every_check()}
KEPT = Machine(Path("/nowhere"), synchronised=lambda: True, load=lambda: (0.1, 0.1, 0.1))


def now_ms():
    return time.time_ns() // 1_000_000


@dataclass
class Built:
    """A post in a folder.

    Attributes:
        tables: of its settings file, as text after what every post has.
    """

    folder: Path
    ports: tuple[int, int, int]  # broker, nodes, authority
    tables: str = ""
    at_ms: int = field(default_factory=now_ms)
    machine: Machine = KEPT

    @property
    def path(self):
        return self.folder / "post.toml"

    @property
    def state(self):
        return self.folder / "state"

    @property
    def keys(self):
        return self.folder / "keys"

    def write_settings(self, *, url=None, nodes=NODES, tables=""):
        """Write the settings; `url` of the authority, else one on loopback."""
        broker, listener, authority = self.ports
        url = f"http://127.0.0.1:{authority}/alerts" if url is None else url
        named = "".join(f'[[nodes]]\nid = "{node}"\n' for node in nodes)
        self.path.write_text(
            f'post = "post-1"\ndirectory = "state"\n[broker]\nport = {broker}\n'
            f'[broker.nodes]\nhost = "127.0.0.1"\nport = {listener}\nca_file = "keys/ca.pem"\n'
            'certificate_file = "keys/gateway.pem"\nkey_file = "keys/gateway-key.pem"\n'
            f"{named}[authority]\nurl = {url!r}\n{tables}"
        )
        return self

    def make_keys(self, *, days_ago=0):
        """Make the keys of the post."""
        made = dt.datetime.now(dt.UTC) - dt.timedelta(days=days_ago)
        keys.make_post(self.keys, "post-1", ("127.0.0.1",), list(NODES), made)
        return self

    def make_journal(self):
        """Make a journal in which both nodes are well."""
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.change(partial(save_start, now_ms=self.at_ms - 60_000, settings_digest=self.digest()))
        for node in NODES:
            self.change(partial(say_well, node=node, at_ms=self.at_ms))
        return self

    def digest(self):
        return digest(settings.load(self.path))

    def write_state(self, **changes):
        """Write what a running gateway says of itself outside of the journal."""
        state = State(str(self.state), os.getpid(), self.at_ms - 60_000)
        StateFile(self.state, {}).write(msgspec.structs.replace(state, **changes))

    def change(self, operation):
        """Run an operation on the journal, as the gateway would."""
        connection = connect(self.state / FILE_NAME)
        connection.pragma("synchronous", "off")  # no power is cut here
        try:
            with connection:
                return operation(connection)
        finally:
            connection.close()

    def say(self, query, *parameters):
        """Run a statement on the journal."""
        return self.change(lambda connection: connection.execute(query, parameters).fetchall())

    def ask(self, name, *, running=True, at_ms=None, machine=None):
        """Return what one check finds."""
        scene = look_at(
            settings.load(self.path),
            self.path,
            now_ms=self.at_ms if at_ms is None else at_ms,
            running=running,
            machine=machine or self.machine,
        )
        try:
            return examine(scene, [CHECKS[name]])
        finally:
            scene.journal.close()


def say_well(connection, node, at_ms):
    """Have a node say that all is well with it."""
    config = save_config(connection, node, CONFIG, at_ms // 1_000)
    say_birth(connection, node, at_ms, config_version=config.version)
    say_health(connection, node, at_ms - DAY_MS // 2, supply_mv=4_800)
    say_health(connection, node, at_ms, supply_mv=4_800)
    save_status(connection, node, wire.Status(b"boot-one", online=True, uptime_ms=2_000), at_ms)
    record_id = say_reading(connection, node, 1, at_ms - DAY_MS)
    kept = Kept(record_id, at_ms - DAY_MS, "polystyrene", "", "", b"{}")
    keep_outcome(connection, "calibrations", node, AXIS, kept)


CONFIG = wire.Config(1, 400_000, 1, 0, 300, 8, 5_000)


def say_birth(connection, node, at_ms, **changes):
    """Keep a node's birth."""
    said = {
        "boot_id": b"boot-one", "uptime_ms": 1_000, "time_ms": None, "time_quality": 0,
        "journal_id": b"journal1", "oldest_seq": 1, "next_seq": 2, "firmware": "scripted 1",
        "board": "unix", "config_version": 1, "instrument_model": "instrument",
        "instrument_serial": "1", "axis_id": AXIS, "pixel_count": 256, "excitation_pm": 785_000,
        "resolution_mcm1": 8_000, "coefficients_f32le": struct.pack("<2f", 800.7, 0.12),
        "full_scale_counts": 65_535,
    } | changes  # fmt: skip
    birth = wire.Birth(**said)
    save_birth(connection, node, birth, wire.encode(birth), at_ms)


def say_health(connection, node, at_ms, **changes):
    """Keep a node's health, as its newest and in its history."""
    said = {
        "boot_id": b"boot-one", "uptime_ms": 2_000, "time_ms": None, "time_quality": 0,
        "supply_mv": None, "temperature_mc": 30_000, "heap_free_bytes": 100_000,
        "journal_id": b"journal1", "oldest_seq": 1, "next_seq": 2, "journal_bytes": 4_096,
        "evicted_count": 0, "damaged_count": 0, "reconnect_count": 0, "failure_count": 0,
        "laser_on_s": 0, "reset_cause": 1, "fault": "",
    } | changes  # fmt: skip
    frame = wire.encode(wire.Health(**said))
    save_health(connection, node, frame, at_ms)
    insert_health(connection, node, frame, at_ms)


def say_reading(connection, node, seq, at_ms, role=messages.ROLE_STANDARD):
    """Commit a reading; return its id."""
    reading = wire.Reading(
        b"journal1", seq, b"boot-one", 5_000, None, 0, b"inspect1", role, AXIS, 400_000, 1, 100,
        None, 65_535, 0, None, bytes(512),
    )  # fmt: skip
    insert_record(connection, node, reading, wire.encode(reading), at_ms)
    ((record_id,),) = connection.execute(
        "SELECT id FROM records WHERE node = ? AND seq = ?", (node, seq)
    ).fetchall()
    return record_id


def say_alert(connection, at_ms, *, attempts=0, fault="", seq=9):
    """Put an alert into the outbox."""
    record_id = say_reading(connection, "lane-1", seq, at_ms, messages.ROLE_SAMPLE)
    judgement = Judgement(
        record_id, "alarm", "listed_found", b"{}", at_ms, f"post-1.lane-1.x.{seq}", b"{}"
    )
    insert_judgement(connection, judgement)
    connection.execute("UPDATE alerts SET attempts = ?, fault = ?", (attempts, fault))
