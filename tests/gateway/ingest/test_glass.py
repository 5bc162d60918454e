"""Goal: a node's intensities are corrected by a certified glass, and every verdict says so.

Method: the whole gateway in this process; a scripted node measures standard, glass and goods when
the real command asks for it. The glass is seen through an instrument whose answer falls to the red;
certificates of other lasers, changed ones and old corrections are not used.
"""

import asyncio
import io
import json
import time

import msgspec
import numpy as np
import pytest
from rich.console import Console

from gateway import settings
from gateway.ingest.glass import FOLDER, GlassError, evaluate_glass, is_glass, keep_certificate
from gateway.journal.store import FILE_NAME
from gateway.node_calibration import run_glass
from gateway.observe import status
from gateway.observe.screen import show
from gateway.screening.account import account
from gateway.screening.frame import Frame
from gateway.screening.standing import assume
from gateway.screening.verdict import Verdict
from gateway.spectra.axis import AxisRecord
from gateway.spectra.library import load_library
from protocol import messages
from tests.gateway.ingest.test_judging import DARK, UREA
from tests.gateway.running import rows, running, write_settings
from tests.gateway.scripted import FIRST_NM, LAST_NM, PIXEL_COUNT, connected, polystyrene

AXIS_CM1 = 1e7 / 785.0 - 1e7 / np.linspace(FIRST_NM, LAST_NM, PIXEL_COUNT)
ANSWER = np.exp(-(AXIS_CM1 - 250.0) / 1_200.0)
GLASS = (20_000.0 * ANSWER).astype("<u2").tobytes()
CERTIFICATE = """
srm = "2241"
batch = "12"
excitation_nm = 785.0
low_cm1 = 200.0
high_cm1 = 2000.0
kind = "power"
unit = "cm-1"
coefficients = [1.0]
"""


def ask(path, certificate, wait_s=30.0):
    """Do what `harmattan calibrate --node --certificate` does; return status and what it says."""
    output = io.StringIO()
    code = run_glass(
        settings.load(path),
        "lane-1",
        certificate,
        as_json=True,
        wait_s=wait_s,
        console=Console(file=output, width=200, color_system=None),
    )
    return code, json.loads(output.getvalue())


def is_order(message):
    return isinstance(message, messages.Command) and message.argument.startswith(b"\2glass:")


async def answer(path, node, certificate, seq, count=1, **changes):
    """Have the command ask and the node measure; return what the command says."""
    asking = asyncio.create_task(asyncio.to_thread(ask, path, certificate))
    command = await node.heard.wait(is_order, count)
    reading = {"pixels": GLASS, "dark_seq": 1, **changes}
    await node.say(
        node.reading(seq, role=messages.ROLE_STANDARD, inspection_id=command.command_id, **reading)
    )
    return await asking


def told_status(folder, path, now_ms):
    """What `harmattan status` says of the node, and on the screen."""
    found = status.read(
        settings.load(path), folder / "state" / FILE_NAME, running=True, now_ms=now_ms
    )
    output = io.StringIO()
    show(found, Console(file=output, width=200, color_system=None), now_ms)
    return found.nodes[0], output.getvalue()


def kept_verdicts(folder):
    found = rows(
        folder,
        "SELECT explanation FROM verdicts v JOIN records r ON r.id = v.record_id ORDER BY r.seq",
    )
    return [msgspec.json.decode(explanation, type=Verdict) for (explanation,) in found]


def test_a_glass_corrects_the_readings_after_it_and_they_say_so(tmp_path, free_port):
    certificate = tmp_path / "certificate.toml"
    certificate.write_text(CERTIFICATE)

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=9)
            await node.measure_standard()
            await log.event("calibration_made")
            await node.say(node.dark(1, pixels=DARK))
            await node.say(node.reading(2, pixels=UREA, dark_seq=1))
            await log.event("verdict", seq=2)
            code, said = await answer(path, node, certificate, 3)
            assert (code, said["state"], said["response_id"]) == (0, "valid", "SRM 2241 12")
            assert said["factor_max"] == pytest.approx(1.0 / ANSWER[-1], rel=0.05)
            assert (await log.event("response_made"))["seq"] == 3
            await node.say(node.reading(4, pixels=UREA, dark_seq=1))
            assert (await log.event("verdict", seq=4))["verdict"] == "alarm"

    asyncio.run(story())
    plain, corrected = kept_verdicts(tmp_path)
    assert plain.calibration.response_id == ""
    assert corrected.calibration.response_id == "SRM 2241 12"
    assert 0.0 <= corrected.calibration.response_age_s < 120.0
    lines = account(corrected, "en", load_library())
    assert any("Intensities corrected by SRM 2241 12, 0 days old." in line for line in lines)
    # The heights are others now: they rise towards the red end.
    assert [band.snr for band in plain.hits[0].bands] != [
        band.snr for band in corrected.hits[0].bands
    ]
    assert rows(tmp_path, "SELECT count(*) FROM pending") == [(0,)]
    assert rows(tmp_path, "SELECT count(*) FROM calibrations") == [(1,)]  # a glass is none


@pytest.mark.parametrize(
    "old,new,changes,fault,words",
    [
        ("785.0", "1064.0", {}, "glass_refused", "is for 1064 nm, the glass was measured with 785"),
        ("785.0", "785.0", {"dark_seq": None}, "dark_missing", "without a dark frame"),
        ("785.0", "785.0", {"pixels": DARK}, "glass_refused", "not above zero everywhere"),
        ("785.0", "785.0", {"axis_id": b"axis-two"}, "no_axis", "measure it again"),
    ],
)
def test_what_gives_no_correction_is_said_and_changes_nothing(
    tmp_path, free_port, old, new, changes, fault, words
):
    certificate = tmp_path / "certificate.toml"
    certificate.write_text(CERTIFICATE.replace(old, new))

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=9)
            await node.measure_standard()
            await node.say(node.dark(1, pixels=DARK))
            code, said = await answer(path, node, certificate, 2, **changes)
            assert (code, said["fault"]) == (1, fault)
            assert words in said["error"]
            assert (await log.event("response_failed"))["fault"] == fault
            await node.say(node.reading(3, pixels=UREA, dark_seq=1))
            assert (await log.event("verdict", seq=3))["verdict"] == "alarm"

    asyncio.run(story())
    (verdict,) = kept_verdicts(tmp_path)
    assert (verdict.calibration.state, verdict.calibration.response_id) == ("valid", "")


def test_an_old_correction_is_left_out_and_said(tmp_path, free_port, monkeypatch):
    """The gateway's clock goes on by 366 days between the glass and the goods."""
    real, later_ns = time.time_ns, []
    monkeypatch.setattr(time, "time_ns", lambda: real() + sum(later_ns))
    certificate = tmp_path / "certificate.toml"
    certificate.write_text(CERTIFICATE)

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=9)
            await node.say(node.dark(1, pixels=DARK))
            assert (await answer(path, node, certificate, 2))[0] == 0  # not calibrated: still good
            later_ns.append(366 * 86_400 * 10**9)
            node.boot_id = b"boot-two"  # within a boot its uptime would tell a clock that was set
            await node.be_born(next_seq=9)
            await node.measure_standard()
            await log.event("calibration_made")
            await node.say(node.reading(3, pixels=UREA, dark_seq=1))
            assert (await log.event("verdict", seq=3))["verdict"] == "alarm"

    asyncio.run(story())
    (verdict,) = kept_verdicts(tmp_path)
    assert verdict.calibration.response_id == ""
    assert verdict.calibration.notes == ("response_expired",)
    lines = account(verdict, "en", load_library())
    assert "The intensity correction is too old and was left out." in lines
    path = tmp_path / "post.toml"
    told, shown = told_status(tmp_path, path, time.time_ns() // 1_000_000)
    assert (told.response, "366 days old and left out" in shown) == ("expired", True)
    told, shown = told_status(tmp_path, path, real() // 1_000_000)
    assert (told.response, "left out" in shown) == ("valid", False)


def test_a_certificate_that_cannot_be_read_asks_for_nothing(tmp_path, free_port):
    path = write_settings(tmp_path, free_port)
    certificate = tmp_path / "certificate.toml"
    for text, words in ((None, "No such file"), ("", "missing required field"), ("=", "TOML")):
        if text is not None:
            certificate.write_text(text)
        code, said = ask(path, certificate)
        assert (code, said["fault"]) == (2, "unreadable")
        assert f"--certificate {certificate}: " in said["error"]
        assert words in said["error"]
    assert not (tmp_path / "state" / FOLDER).exists()


def frame(pixels=GLASS, dark=DARK):
    axis = AxisRecord(
        coefficients_nm=(FIRST_NM, (LAST_NM - FIRST_NM) / (PIXEL_COUNT - 1)),
        pixel_count=PIXEL_COUNT,
        excitation_nm=785.0,
        resolution_cm1=8.0,
        full_scale_counts=65_535,
        instrument="VEN 1",
    )
    counts = (np.frombuffer(block, dtype="<u2") for block in (pixels, dark))
    return Frame(next(counts), axis, next(counts), 0)


def test_a_certificate_is_known_by_its_own_bytes(tmp_path):
    name = keep_certificate(tmp_path, CERTIFICATE.encode())
    assert is_glass(name)
    assert not is_glass("polystyrene")
    assert len(name) <= 32
    assert evaluate_glass(name, tmp_path, frame(), assume(2.0)).response_id == "SRM 2241 12"
    (path,) = (tmp_path / FOLDER).iterdir()
    path.write_text(CERTIFICATE.replace("[1.0]", "[1.0, 0.1]"))
    with pytest.raises(GlassError, match="was changed after the command"):
        evaluate_glass(name, tmp_path, frame(), assume(2.0))
    path.unlink()
    with pytest.raises(GlassError, match="give the command again"):
        evaluate_glass(name, tmp_path, frame(), assume(2.0))
    with pytest.raises(GlassError, match="is none"):
        evaluate_glass("glass:../../etc/passwd", tmp_path, frame(), assume(2.0))


def test_a_glass_that_fills_the_detector_is_refused(tmp_path):
    name = keep_certificate(tmp_path, CERTIFICATE.encode())
    full = np.full(PIXEL_COUNT, 65_535, dtype="<u2").tobytes()
    with pytest.raises(GlassError, match="shorter exposure"):
        evaluate_glass(name, tmp_path, frame(full), assume(2.0))
    bands = polystyrene()
    with pytest.raises(GlassError):
        evaluate_glass(name, tmp_path, frame(bands, bands), assume(2.0))
