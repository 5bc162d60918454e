"""`harmattan calibrate --node NODE`: have a node of the running post measure a standard or a glass.

The post evaluates it: this program publishes the command that asks the node for the reading, and
waits until the post's journal says what came of it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from gateway.calibration import (
    STATUS_FAILED,
    STATUS_UNREADABLE,
    STATUS_VALID,
    read_certificate_text,
    show,
    show_fault,
)
from gateway.errors import SettingsError
from gateway.fleet.ordering import Order, check_node
from gateway.ingest.glass import is_glass, keep_certificate
from gateway.journal import calibrations, responses
from gateway.journal.store import FILE_NAME, connect
from gateway.sample import reason_of
from gateway.settings import Settings
from gateway.spectra.calibration import Calibration
from gateway.spectra.errors import SpectraError
from gateway.spectra.response import ResponseCurve, read_certificate
from gateway.spectra.standards import find_standard
from protocol import messages

LOOK_S = 0.2  # between looks into the journal, which another process writes


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
    entry = check_node(settings, node)
    try:
        chosen = find_standard(standard or entry.standard)
    except SpectraError as error:
        raise SettingsError(f"--standard: {error}") from error
    outcome = asyncio.run(_ask(settings, node, chosen.standard_id, wait_s))
    if isinstance(outcome, str) or outcome.fault:
        return _refused(node, chosen.standard_id, outcome, console, as_json=as_json)
    show(msgspec.json.decode(outcome.body, type=Calibration), console, as_json=as_json)
    return STATUS_VALID


def run_glass(
    settings: Settings,
    node: str,
    certificate: Path,
    *,
    as_json: bool,
    wait_s: float,
    console: Console,
) -> int:
    """Have a node measure a certified glass; the post corrects its intensities from then on.

    Returns:
        0 kept, 1 the glass gives no correction or the node refused, 2 nothing came in time, or the
        certificate cannot be read.

    Raises:
        GatewayError: as `run_node`; or the certificate cannot be laid into the post's folder.
    """
    check_node(settings, node)
    try:
        text = read_certificate_text(certificate)
        stated = read_certificate(text)
    except (SpectraError, OSError) as error:
        told = f"--certificate {certificate}: {reason_of(error)}"
        show_fault("glass", "unreadable", told, console, as_json=as_json)
        return STATUS_UNREADABLE
    directory = Path(settings.directory)
    connect(directory / FILE_NAME, read_only=True).close()  # a post that never ran has no folder
    name = keep_certificate(directory, text.encode())
    outcome = asyncio.run(_ask(settings, node, name, wait_s))
    if isinstance(outcome, str) or outcome.fault:
        return _refused(node, stated.response_id, outcome, console, as_json=as_json)
    _show_curve(msgspec.json.decode(outcome.body, type=ResponseCurve), console, as_json=as_json)
    return STATUS_VALID


def _refused(
    node: str, material: str, outcome: calibrations.Kept | str, console: Console, *, as_json: bool
) -> int:
    """Say why nothing was kept of a measured material, and return the exit status."""
    if isinstance(outcome, str):
        show_fault(material, "not_measured", outcome, console, as_json=as_json)
        return STATUS_UNREADABLE
    text = f"node {node!r}: {outcome.text}"
    show_fault(material, outcome.fault, text, console, as_json=as_json)
    return STATUS_FAILED


def _show_curve(curve: ResponseCurve, console: Console, *, as_json: bool) -> None:
    """Say what correction was kept."""
    if as_json:
        record = {
            "state": "valid",
            "response_id": curve.response_id,
            "excitation_nm": curve.excitation_nm,
            "low_cm1": curve.low_cm1,
            "high_cm1": curve.high_cm1,
            "factor_max": max(curve.factors),
        }
        console.out(msgspec.json.encode(record).decode(), highlight=False)
        return
    console.print(Text(f"{curve.response_id}: valid", style="bold green"))
    console.print(
        Text(
            f"intensities are corrected from {curve.low_cm1:.0f} to {curve.high_cm1:.0f} cm-1, by "
            f"factors of 1 to {max(curve.factors):.1f}"
        )
    )


async def _ask(
    settings: Settings, node: str, standard_id: str, wait_s: float
) -> calibrations.Kept | str:
    """Send the command and wait; a string says why nothing came of it."""
    read_answer = responses.read_answer if is_glass(standard_id) else calibrations.read_ordered
    journal = connect(Path(settings.directory) / FILE_NAME, read_only=True)
    order = Order(
        settings,
        node,
        messages.ACTION_CAPTURE,
        bytes([messages.ROLE_STANDARD]) + standard_id.encode("ascii"),
    )
    try:
        async with order.sent(), asyncio.timeout(wait_s):
            while True:
                if order.answer.done():
                    answer = order.answer.result()
                    if answer.outcome != messages.OUTCOME_DONE:
                        return f"the node did not measure: {answer.detail}"
                kept = read_answer(journal, node, order.command_id)
                # Without an axis it is evaluated again when the node has announced it.
                if kept is not None and (kept.fault != "no_axis" or is_glass(standard_id)):
                    return kept
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        return (
            f"nothing came from node {node!r} within {wait_s:g} s; look at it with `harmattan "
            "status`: is it online, does its instrument answer?"
        )
    finally:
        journal.close()
