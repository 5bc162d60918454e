"""Goal: every board offers what the node asks for, and every file compiles where it must run.

Method: the boards that cannot run here are compared with the one that can, by their source; every
file is compiled by the real MicroPython; budgets are held against the protocol's bounds.
"""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from protocol import limits
from protocol.fields import frame_bytes_max
from protocol.messages import Reading

REPOSITORY = Path(__file__).parents[3]

BARE = ("esp32_s3", "pico2_w")
PIXELS_DEFAULT = 2_068  # of pixels_max in node.json


@pytest.fixture(scope="session")
def firmware(repository_path):
    return repository_path / "firmware"


def read_class(path):
    """Return {method: argument names, and whether it is a coroutine} and {name: value} of Board."""
    tree = ast.parse(path.read_text())
    board = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Board")
    methods, constants = {}, {}
    for node in board.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [argument.arg.lstrip("_") for argument in node.args.args]
            methods[node.name] = (names, isinstance(node, ast.AsyncFunctionDef))
        elif isinstance(node, ast.Assign):
            constants[node.targets[0].id] = node.value
    return methods, constants


@pytest.mark.parametrize("name", BARE)
def test_a_bare_board_offers_what_the_unix_board_offers(firmware, name):
    wanted, _ = read_class(firmware / "boards/unix.py")
    shared, _ = read_class(firmware / "boards/bare.py")
    own, _ = read_class(firmware / f"boards/{name}.py")
    offered = shared | own
    assert {method: offered.get(method) for method in wanted} == wanted


@pytest.mark.parametrize("name", BARE)
def test_budgets_hold_what_they_promise(firmware, name):
    _, constants = read_class(firmware / f"boards/{name}.py")
    budget = ast.literal_eval(constants["BUDGET"])
    _, constants_unix = read_class(firmware / "boards/unix.py")
    assert isinstance(constants_unix["BUDGET"], ast.Name)
    head_bytes = frame_bytes_max(Reading) - limits.PIXELS_BYTES_MAX
    assert budget["record_bytes_max"] >= budget["pixels_bytes_max"] + head_bytes
    assert budget["pixels_bytes_max"] == limits.PIXELS_BYTES_MAX
    assert budget["journal_bytes_max"] >= 8 * budget["segment_bytes"]
    assert budget["segment_bytes"] >= 4 * budget["record_bytes_max"]
    assert ast.literal_eval(constants["NAME"]) == name
    assert len(name) <= limits.NAME_CHARS_MAX


def read_models(folder):
    """Return {model: pixels of its spectrum} of a driver's models.py."""
    for statement in ast.parse((folder / "models.py").read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "MODELS":
            rows = zip(statement.value.keys, statement.value.values, strict=True)
            return {key.value: row.elts[0].value for key, row in rows}
    raise AssertionError(f"{folder.name} has no MODELS")


@pytest.mark.parametrize("name", BARE)
def test_every_spectrometer_that_is_listed_fits_every_board(firmware, name):
    """And where the default of `pixels_max` does not do, about.toml says what does."""
    budget = ast.literal_eval(read_class(firmware / f"boards/{name}.py")[1]["BUDGET"])
    spectrometers = {}
    for path in firmware.glob("drivers/*/about.toml"):
        about = tomllib.loads(path.read_text())
        if about["kind"] == "spectrometer":
            spectrometers[path.parent] = about["settings"]["pixels_max"]
    assert len(spectrometers) > 2
    for folder, told in spectrometers.items():
        for model, pixel_count in read_models(folder).items():
            assert 2 * pixel_count <= budget["pixels_bytes_max"], model
            if pixel_count > PIXELS_DEFAULT:
                assert model in told, model
                assert str(pixel_count) in told, model
                assert "every board" in told, model


@pytest.mark.parametrize("name", BARE)
def test_no_pin_is_used_twice(firmware, name):
    _, constants = read_class(firmware / f"boards/{name}.py")
    pins = [ast.literal_eval(constants[pin]) for pin in ("BUTTON_PIN", "FOOT_PIN")]
    for _, tx, rx in ast.literal_eval(constants["UARTS"]).values():
        pins += [tx, rx]
    pins += ast.literal_eval(constants["LAMP_PINS"]).values()
    pins += [
        ast.literal_eval(constants["BUZZER_PIN"]),
        *ast.literal_eval(constants["DISPLAY"])[1:3],
    ]
    pins += {"pico2_w": (23, 24, 25, 29)}.get(name, ())  # of its radio
    pins += suggested(name)
    assert len(pins) == len(set(pins))


def suggested(name):
    """The pins of the laser's chain as hardware/laser_safety.md gives them to whoever wires it."""
    text = " ".join((REPOSITORY / "hardware/laser_safety.md").read_text().split())
    chip = {"esp32_s3": "ESP32-S3 GPIO", "pico2_w": "Pico 2 W GP"}[name]
    found = re.search(rf"{chip} (\d+), (\d+), (\d+)", text)
    return [int(pin) for pin in found.groups()]


def test_every_file_compiles_on_micropython(firmware, micropython_path):
    paths = sorted(firmware.rglob("*.py"))
    assert len(paths) > 30
    for path in paths:
        done = subprocess.run(
            [micropython_path, "-X", "compile-only", path],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{path}: {done.stdout}{done.stderr}"


def test_modules_are_small_and_one_place_catches_everything(firmware):
    broad = []
    for path in firmware.rglob("*.py"):
        source = path.read_text()
        assert len(source.splitlines()) <= 250, path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ExceptHandler):
                name = "" if node.type is None else ast.unparse(node.type)
                if name in ("", "Exception", "BaseException"):
                    broad.append(path.name)
    assert broad == ["supervisor.py"] * 2  # around each task, and around everything


def test_starting_without_sense_is_answered_in_one_sentence(firmware, micropython_path, tmp_path):
    def start(*arguments):
        done = subprocess.run(
            [micropython_path, firmware / "main.py", *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 2
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        return line

    assert start() == "usage: micropython main.py DIR"
    assert "node.json cannot be read" in start(tmp_path)
    settings = '{"post":"p","node":"n","broker":{"host":"h"},"instrument":{"port":"x"%s}%s}'
    (tmp_path / "node.json").write_text(settings % ("", ',"board":"toaster"'))
    assert "board is 'toaster'" in start(tmp_path)
    (tmp_path / "node.json").write_text(settings % (',"driver":"quartz"', ""))
    assert "driver is 'quartz'" in start(tmp_path)
