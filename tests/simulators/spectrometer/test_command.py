"""Goal: the instrument can be used alone from the command line, also by a real MicroPython.

Method: `python -m simulators.spectrometer` runs as its own process; its first line is opened as a
port, by this process and by a script in MicroPython; commands go in by standard input.
"""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from simulators.spectrometer.__main__ import build_parser, choose_sample, main

DEADLINE_S = 60.0
COMMAND = [sys.executable, "-m", "simulators.spectrometer"]

# What the firmware needs of a serial port: open, raw, write, read by asyncio without blocking.
MICROPYTHON_CLIENT = """
import asyncio, binascii, struct, sys, termios

async def main(path, request):
    port = open(path, "r+b", 0)
    termios.setraw(port.fileno())
    reader, writer = asyncio.StreamReader(port), asyncio.StreamWriter(port, {})
    writer.write(request)
    await writer.drain()
    head = await asyncio.wait_for(reader.readexactly(44), 20)
    (rest,) = struct.unpack_from("<I", head, 40)
    print(binascii.hexlify(head + await asyncio.wait_for(reader.readexactly(rest), 20)).decode())

asyncio.run(main(sys.argv[1], binascii.unhexlify(sys.argv[2])))
"""


class Simulator:
    """The command as a child process."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # A child that says nothing is killed, so that no read waits for ever.
        self._watch = threading.Timer(DEADLINE_S, self.process.kill)
        self._watch.start()
        self.path = self.process.stdout.readline().strip()
        self.hint = self.process.stderr.readline().strip()

    def command(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def status(self):
        self.command("status")
        return json.loads(self.process.stdout.readline())

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=DEADLINE_S)
        self._watch.cancel()
        return self.process.returncode, out, err

    def close(self):
        self._watch.cancel()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def start():
    started = []

    def start(*arguments):
        started.append(Simulator(*arguments))
        return started[-1]

    yield start
    for simulator in started:
        simulator.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_line_is_the_port_and_signals_end_it(start, open_port, number):
    simulator = start("--sample", "ammonium_nitrate", "--seed", "7")
    assert os.path.exists(simulator.path)  # noqa: PTH110 - a path as the person gets it
    serial_number = open_port(simulator.path).ask(0x100).data.decode()
    assert serial_number in simulator.hint
    assert "ammonium_nitrate" in simulator.hint
    code, out, err = simulator.end(number)
    assert (code, out, err) == (0, "", "")


def test_the_link_stays_while_it_runs(start, open_port, tmp_path):
    link = tmp_path / "spectrometer"
    simulator = start("--link", str(link))
    assert simulator.path == str(link)
    assert open_port(link).ask(0x100).error == 0
    simulator.end()
    assert not link.is_symlink()


def test_standard_input_changes_the_world(start, open_port):
    simulator = start("--sample", "urea")
    assert simulator.status()["sample"] == "urea"
    simulator.command("present potassium_chlorate + sucrose in ldpe")
    status = simulator.status()
    assert status["sample"] == "potassium_chlorate=0.5 + sucrose=0.5 in ldpe"
    simulator.command("present chlorat")
    simulator.command("dance")
    simulator.command("unplug soon")
    assert simulator.status()["sample"] == status["sample"]
    simulator.command("unplug 0")
    while (status := simulator.status())["unplugs"] == 0:
        pass
    assert open_port(status["path"]).ask(0x100).error == 0
    simulator.command("reset")
    assert simulator.status()["resets"] == 1
    _, _, err = simulator.end()
    lines = err.splitlines()
    assert lines[0].startswith("presented: potassium_chlorate=0.5")
    assert "unknown substance 'chlorat': did you mean" in lines[1]
    assert "unknown command 'dance'" in lines[2]
    assert "unplug 'soon'" in lines[3]


def test_an_endless_command_line_is_dropped(start):
    simulator = start()
    simulator.process.stdin.write("x" * 20_000)
    simulator.command("")
    assert simulator.status()["sample"] == "empty"
    _, _, err = simulator.end()
    assert "longer than 4096 bytes is ignored" in err
    assert "xxxxx" * 820 not in err


def test_the_seed_chooses_the_sample_too(substances):
    def choose(*arguments):
        return choose_sample(build_parser().parse_args(arguments), substances)

    assert choose("--sample", "urea", "--seed", "5").seed == 5
    assert choose("--sample", "urea seed=3", "--seed", "5").seed == 3
    assert choose("--sample", "urea", "--mix", "sucrose=0.2", "--seed", "5").seed == 5


def test_it_runs_on_without_standard_input(open_port):
    process = subprocess.Popen(
        COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    watch = threading.Timer(DEADLINE_S, process.kill)
    watch.start()
    try:
        port = open_port(process.stdout.readline().strip())
        assert port.ask(0x100).error == 0
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
    finally:
        watch.cancel()
        process.kill()
        process.communicate()


def test_mixture_container_replay_and_faults_from_options(start, open_port, pack, tmp_path):
    mixed = start(
        "--sample", "potassium_chlorate", "--mix", "sucrose=0.4", "--container", "pp",
        "--fault", "garbage,bytes=3", "--model", "sts_785", "--baud", "57600",
    )  # fmt: skip
    status = mixed.status()
    assert status["sample"] == "potassium_chlorate=0.6 + sucrose=0.4 in pp"
    assert (status["model"], status["baud"]) == ("sts_785", 57_600)
    port = open_port(mixed.path)
    port.send(pack(0x100))
    assert port.read(67)[3:5] == b"\xc1\xc0"
    path = tmp_path / "measured.csv"
    path.write_text(
        "raman_shift_cm1,intensity\n" + "".join(f"{x},{x % 7}\n" for x in range(400, 900))
    )
    replay = start("--replay", str(path), "--fluorescence", "0.5")
    assert replay.status()["sample"] == "measured measured.csv"
    assert "measured.csv covers 400..899 cm-1" in replay.process.stderr.readline()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--sample", "ammonium_nitrit"], "unknown substance 'ammonium_nitrit': did you mean"),
        (["--sample", "urea", "--mix", "sucrose"], "write SUBSTANCE=FRACTION"),
        (["--sample", "urea", "--mix", "sucrose=1.5"], "no fraction is left for urea"),
        (["--replay", "/nowhere.csv"], "cannot read the spectrum /nowhere.csv"),
        (["--replay", "/nowhere.csv", "--sample", "urea"], "--replay stands alone"),
        (["--fault", "fire"], "unknown fault 'fire'"),
        (["--link", "/nowhere/link"], "cannot provide the port /nowhere/link"),
    ],
)
def test_bad_arguments_are_one_sentence_and_status_2(capsys, arguments, words):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_lists_what_there_is(capsys, substances):
    assert main(["--list-samples"]) == 0
    out = capsys.readouterr().out
    for substance_id in substances:
        assert f"\n{substance_id} " in "\n" + out
    assert "containers: none, ldpe" in out


def test_micropython_reads_the_port(start, micropython_path, tmp_path, pack, unpack):
    script = tmp_path / "client.py"
    script.write_text(MICROPYTHON_CLIENT)
    simulator = start("--sample", "sucrose")

    def ask(message_type, **options):
        done = subprocess.run(
            [
                str(micropython_path),
                str(script),
                simulator.path,
                pack(message_type, md5=True, **options).hex(),
            ],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        (answer,) = unpack(bytes.fromhex(done.stdout.strip()))
        return answer

    assert ask(0x100).data.decode() in simulator.hint
    spectrum = ask(0x101100, regarding=12)
    assert (len(spectrum.data), spectrum.regarding, spectrum.checksum_type) == (2048, 12, 1)


def test_a_laser_is_switched_where_the_instrument_switches_none(start):
    simulator = start("--model", "sr6")
    assert simulator.status()["laser_mw"] == 0
    simulator.command("laser dim")
    simulator.command("laser on")
    while simulator.status()["laser_mw"] == 0:
        pass
    simulator.command("laser off")
    while simulator.status()["laser_mw"] > 0:
        pass
    _, _, err = simulator.end()
    assert err == "laser 'dim': say on or off\n"
