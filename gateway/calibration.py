"""`harmattan calibrate`: set an axis by a measured standard, from a file or from a node.

From a file the calibration is computed here and may be saved, for `harmattan identify
--calibration`. From a node the running post does it: this program publishes the command that asks
the node for a reading of the standard, and waits until the post's journal says what came of it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import secrets
import time
import tomllib
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import numpy as np
from rich.console import Console
from rich.text import Text

from gateway import wire
from gateway.errors import BrokerError, GatewayError, SettingsError
from gateway.identify import FILE_BYTES_MAX, read_spectrum
from gateway.ingest.link import tls_context
from gateway.journal import calibrations
from gateway.journal.records import read_frame
from gateway.journal.store import FILE_NAME, connect
from gateway.settings import Settings
from gateway.spectra.calibrate import Calibration, calibrate
from gateway.spectra.columns import parse_columns
from gateway.spectra.errors import AxisError, CalibrationError, FormatError, SpectraError
from gateway.spectra.lamp import fit_lamp
from gateway.spectra.response import measure_response, read_certificate
from gateway.spectra.standards import find_standard
from protocol import messages, topics

STATUS_VALID = 0
STATUS_FAILED = 1  # the standard was measured, and does not set the axis
STATUS_UNREADABLE = 2  # nothing could be measured or read

WAIT_S = 120.0  # a dark frame and a minute's exposure each, a bad link, and the evaluation
LOOK_S = 0.2  # between looks into the journal, which another process writes
CONNECT_S_MAX = 10.0
NUMBERS = (
    *("offset_cm1", "stretch", "pivot_cm1", "uncertainty_cm1", "resolution_cm1"),
    "residual_cm1_rms",
)
LIFE_MS = 60_000  # a node that gets the command later than this does not measure any more


def run_files(
    file: Path,
    standard: str,
    *,
    as_json: bool,
    save: Path | None,
    response: tuple[Path, Path] | None,
    console: Console,
) -> int:
    """Calibrate by a standard in a file and say what came of it.

    Args:
        file: spectrum of the standard.
        standard: its name.
        as_json: one JSON object instead of text.
        save: where to keep the calibration; None = nowhere.
        response: certificate and spectrum of its glass, for the intensity correction; None = none.
        console: where to print.

    Returns:
        0 valid, 1 the calibration failed, 2 a file cannot be read or the standard is unknown.
    """
    try:
        found = calibrate_file(file, standard)
        if response is not None:
            found = add_response(found, *response)
        if save is not None:
            save_calibration(found, save)
    except CalibrationError as error:
        _show_fault(standard, error.fault, f"{file}: {error}", console, as_json=as_json)
        return STATUS_FAILED
    except (SpectraError, OSError) as error:
        name, reason = str(file), str(error)
        if isinstance(error, OSError):
            name = str(error.filename or file)
            reason = f"{error.strerror or error}; check the file and its permissions"
        _show_fault(standard, "unreadable", f"{name}: {reason}", console, as_json=as_json)
        return STATUS_UNREADABLE
    _show(found, console, as_json=as_json)
    return STATUS_VALID


def calibrate_file(file: Path, standard: str) -> Calibration:
    """Return the calibration by a standard's spectrum in a file.

    Raises:
        OSError: the file cannot be opened.
        CalibrationError: it does not set the axis.
        SpectraError: it is no spectrum, or there is no such standard.
    """
    return calibrate(read_spectrum(file), find_standard(standard))


def add_response(found: Calibration, certificate: Path, glass: Path) -> Calibration:
    """Return the calibration with the intensity correction by a certified glass.

    Raises:
        OSError: a file cannot be opened.
        SpectraError: one of them cannot be used.
    """
    with certificate.open("rb") as source:
        text = source.read(FILE_BYTES_MAX + 1).decode("utf-8", errors="replace")
    curve = measure_response(read_certificate(text), found.correct(read_spectrum(glass)))
    return msgspec.structs.replace(found, response=curve, response_id=curve.response_id)


def save_calibration(found: Calibration, path: Path) -> None:
    """Write a calibration as TOML, through a temporary file.

    Raises:
        OSError: it cannot be written.
    """
    lines = [
        "# Calibration of an instrument, written by `harmattan calibrate`; docs/calibration.md.",
        f"standard_id = {_quoted(found.standard_id)}",
        f"instrument = {_quoted(found.instrument)}",
    ]
    if found.measured_ms is not None:
        lines.append(f"measured_ms = {found.measured_ms}")
    lines += [f"{key} = {getattr(found, key)!r}" for key in NUMBERS]
    lines.append(f"bands = {[list(pair) for pair in found.bands]!r}")
    if found.response is not None and found.response_id is not None:
        curve = found.response
        lines += [
            f"response_id = {_quoted(found.response_id)}",
            "[response]",
            f"response_id = {_quoted(curve.response_id)}",
            f"excitation_nm = {curve.excitation_nm!r}",
            f"low_cm1 = {curve.low_cm1!r}",
            f"factors = {list(curve.factors)!r}",
        ]
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
    temporary = path.with_name(path.name + ".new")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(path)


def load_calibration(path: Path) -> Calibration:
    """Read a saved calibration.

    Raises:
        OSError: the file cannot be opened.
        FormatError: it is none; names the key and what is wrong with it.
    """
    with path.open("rb") as source:
        text = source.read(FILE_BYTES_MAX + 1)
    try:
        found = msgspec.convert(tomllib.loads(text.decode()), Calibration)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{path}: not valid TOML: {error}; save the calibration again") from error
    except msgspec.ValidationError as error:
        raise FormatError(f"{path}: {error}; save the calibration again") from error
    found.check()
    return found


def run_lamp(file: Path, stored: str, *, as_json: bool, console: Console) -> int:
    """Fit an instrument's wavelength axis to the spectrum of a neon lamp and print it.

    Args:
        file: two columns, pixel number and dark-subtracted counts.
        stored: the instrument's own coefficients, comma-separated, constant first.
        as_json: one JSON object instead of text.
        console: where to print.

    Returns:
        0 fitted, 1 the lamp gives no axis, 2 the file cannot be read.
    """
    try:
        with file.open("rb") as source:
            content = source.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise FormatError(
                f"larger than {FILE_BYTES_MAX} bytes; export the lamp's spectrum alone"
            )
        pixel, counts = parse_columns(content.decode("utf-8", errors="replace"))
        first = pixel[0]
        if not (pixel == first + np.arange(pixel.size)).all() or first not in {0.0, 1.0}:
            raise FormatError("the first column must count pixels, 0, 1, 2, ...; export it so")
        coefficients = [float(word) for word in stored.split(",")]
        found = fit_lamp(counts, coefficients)
    except AxisError as error:
        _show_fault("neon", "lamp_refused", f"{file}: {error}", console, as_json=as_json)
        return STATUS_FAILED
    except (SpectraError, OSError, ValueError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        _show_fault("neon", "unreadable", f"{file}: {reason}", console, as_json=as_json)
        return STATUS_UNREADABLE
    if as_json:
        record = {"state": "valid", **dataclasses.asdict(found)}
        console.out(msgspec.json.encode(record).decode(), highlight=False)
        return STATUS_VALID
    console.print(Text("neon: valid", style="bold green"))
    console.print(
        Text(
            f"{len(found.lines)} lines, {found.residual_nm_rms:.4f} nm r.m.s. from the polynomial; "
            "coefficients, nm in air, constant first:"
        )
    )
    for value in found.coefficients_nm:
        console.print(Text(f"  {value!r}"))
    return STATUS_VALID


def for_files(calibrate_with: str, calibration: Path | None) -> Calibration | None:
    """Return the calibration that files are to be identified with; None when none is asked for.

    Args:
        calibrate_with: `STANDARD=FILE`, or empty.
        calibration: a saved calibration, or None.

    Raises:
        GatewayError: both are given, or one cannot be used.
    """
    if calibrate_with and calibration is not None:
        raise GatewayError("--calibrate-with and --calibration are two; give one of them")
    try:
        if calibration is not None:
            return load_calibration(calibration)
        if not calibrate_with:
            return None
        standard, mark, file = calibrate_with.partition("=")
        if not mark or not file:
            raise GatewayError(
                f"--calibrate-with {calibrate_with[:80]!r}: write STANDARD=FILE, for example "
                "cyclohexane=standard.csv"
            )
        return calibrate_file(Path(file), standard)
    except SpectraError as error:
        raise GatewayError(f"calibration: {error}") from error
    except OSError as error:
        raise GatewayError(
            f"calibration: {error.filename}: {error.strerror}; check the file and its permissions"
        ) from error


def run_node(
    settings: Settings, node: str, standard: str, *, as_json: bool, wait_s: float, console: Console
) -> int:
    """Have a node of the running post measure a standard and say what came of it.

    Returns:
        0 valid, 1 the calibration failed or the node refused, 2 nothing came in time.

    Raises:
        SettingsError: the node is not in the settings.
        BrokerError: the broker cannot be reached.
        JournalError: there is no journal.
    """
    if node not in {entry.id for entry in settings.nodes}:
        known = ", ".join(entry.id for entry in settings.nodes) or "none"
        raise SettingsError(f"node {node[:40]!r} is not in the settings; known are: {known}")
    try:
        chosen = find_standard(standard)
    except SpectraError as error:
        raise SettingsError(str(error)) from error
    outcome = asyncio.run(_ask(settings, node, chosen.standard_id, wait_s))
    if isinstance(outcome, str):
        _show_fault(standard, "not_measured", outcome, console, as_json=as_json)
        return STATUS_UNREADABLE
    if outcome.fault:
        text = f"node {node!r}: {outcome.text}"
        _show_fault(outcome.standard_id, outcome.fault, text, console, as_json=as_json)
        return STATUS_FAILED
    _show(msgspec.json.decode(outcome.body, type=Calibration), console, as_json=as_json)
    return STATUS_VALID


async def _ask(
    settings: Settings, node: str, standard_id: str, wait_s: float
) -> calibrations.Kept | str:
    """Send the command and wait; a string says why nothing came of it."""
    journal = connect(Path(settings.directory) / FILE_NAME, read_only=True)
    command_id = secrets.token_bytes(8)
    broker = settings.broker
    prefix = f"{topics.PREFIX}{settings.post}/{node}/"
    command = wire.Command(
        command_id,
        messages.ACTION_CAPTURE,
        time.time_ns() // 1_000_000 + LIFE_MS,
        bytes([messages.ROLE_STANDARD]) + standard_id.encode("ascii"),
    )
    refusal = asyncio.get_running_loop().create_future()
    try:
        async with aiomqtt.Client(
            broker.host,
            broker.port,
            identifier=f"calibrate-{command_id.hex()}",
            timeout=CONNECT_S_MAX,
            tls_context=tls_context(settings),
        ) as client:
            await client.subscribe(prefix + "result", qos=1)
            await client.publish(prefix + "command", wire.encode(command), qos=1)
            listening = asyncio.create_task(_hear(client, command_id, refusal), name="results")
            try:
                async with asyncio.timeout(wait_s):
                    while not refusal.done():
                        kept = calibrations.read_ordered(journal, node, command_id)
                        # Without an axis it is evaluated again when the node has announced it.
                        if kept is not None and kept.fault != "no_axis":
                            return kept
                        await asyncio.sleep(LOOK_S)
                return str(refusal.result())
            finally:
                listening.cancel()
                await asyncio.wait([listening])
    except aiomqtt.MqttError as error:
        raise BrokerError(
            f"broker {broker.host}:{broker.port}: {error}; start the post with `harmattan run`"
        ) from error
    except TimeoutError:
        return (
            f"nothing came from node {node!r} within {wait_s:g} s; look at it with `harmattan "
            "status`: is it online, does its instrument answer?"
        )
    finally:
        journal.close()


async def _hear(client: aiomqtt.Client, command_id: bytes, refusal: asyncio.Future[str]) -> None:
    """Wait for the node's answer; only one that is not *done* ends the waiting."""
    async for message in client.messages:
        answer = read_frame(message.payload)
        if not isinstance(answer, wire.Result) or answer.command_id != command_id:
            continue
        if answer.outcome != messages.OUTCOME_DONE and not refusal.done():
            refusal.set_result(f"the node did not measure: {answer.detail}")


def _show(found: Calibration, console: Console, *, as_json: bool) -> None:
    if as_json:
        line = msgspec.json.encode({"state": "valid", **as_record(found)}).decode()
        console.out(line, highlight=False)
        return
    console.print(Text(f"{found.standard_id}: valid", style="bold green"))
    stretch = f", stretch {100 * found.stretch:+.3f} %" if found.stretch else ""
    way = "high" if found.offset_cm1 >= 0.0 else "low"
    console.print(
        Text(
            f"the axis reads {abs(found.offset_cm1):.2f} cm-1 too {way} at {found.pivot_cm1:.0f}"
            f" cm-1{stretch}; corrected, it is right to within {found.uncertainty_cm1:.1f} cm-1"
        )
    )
    console.print(
        Text(
            f"{len(found.bands)} bands, {found.residual_cm1_rms:.2f} cm-1 r.m.s. from their places;"
            f" resolution {found.resolution_cm1:.1f} cm-1"
            + (f"; intensity by {found.response_id}" if found.response_id else "")
        )
    )


def _show_fault(standard: str, fault: str, text: str, console: Console, *, as_json: bool) -> None:
    if as_json:
        record = {"state": "failed", "standard_id": standard, "fault": fault, "error": text}
        console.out(msgspec.json.encode(record).decode(), highlight=False)
        return
    console.print(Text(f"{standard}: {fault}", style="bold red"))
    console.print(Text(text))


def as_record(found: Calibration) -> dict[str, Any]:
    """Return a calibration for JSON, the curve of the response left out."""
    record: dict[str, Any] = msgspec.to_builtins(found)
    record.pop("response")
    return record


def _quoted(text: str) -> str:
    """Return text as a basic string of TOML."""
    return msgspec.json.encode(text).decode()
