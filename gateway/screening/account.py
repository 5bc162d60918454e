"""The longer explanation of a verdict, for people who want to check it: a list of lines.

The one sentence says what to do; these lines say why, in the officer's language: which bands agree,
which are missing or unexplained, how far away the next explanation is, how good measurement and
calibration are, and which edition of the library and lists was asked.
"""

from __future__ import annotations

import math

from gateway.catalogue import translate
from gateway.screening.explain import comma, explain, isolated, name_of, standard_name
from gateway.screening.verdict import HitRecord, Verdict
from gateway.spectra.library import Library

LINES = {
    "hit": (
        "{substance}: score {score} (of hits scored 0.9, nine in ten are right); {found} of "
        "{visible} visible bands at their place."
    ),
    "agreeing": "Bands at their place, in cm-1: {bands}.",
    "missing": "Missing bands, in cm-1: {bands}.",
    "hidden": "Bands covered by a stronger one, in cm-1: {bands}.",
    "faint": "Bands too weak to be seen here, in cm-1: {bands}.",
    "rivals": "Fits as well: {substances}.",
    "next": (
        "Next: {substance}, {factor} times less likely. Bands that tell them apart, in cm-1: "
        "{bands}; seen of these: {seen}."
    ),
    "next_plain": "Next: {substance}, {factor} times less likely.",
    "none": "No substance of the library was recognised.",
    "unexplained": "Bands that nothing explains, in cm-1: {bands}.",
    "explained": "No clear band is left unexplained.",
    "quality": (
        "Measurement: strongest band {snr} times the noise, {low_cm1} to {high_cm1} cm-1, line "
        "width {resolution_cm1} cm-1, background {background_percent} % of the light, "
        "{spike_count} cosmic rays removed."
    ),
    "unmeasured": "Measurement: not evaluated.",
    "calibration": (
        "Calibration: {standard}, {age_days} days old, axis right to within {uncertainty_cm1} cm-1."
    ),
    "calibration_undated": (
        "Calibration: {standard}, of unknown age, axis right to within {uncertainty_cm1} cm-1."
    ),
    "calibration_invalid": "Calibration: none that is valid; the verdict says why.",
    "instrument": "Calibrated instrument: {instrument}.",
    "response": "Intensities corrected by {response}, {age_days} days old.",
    "response_undated": "Intensities corrected by {response}, of unknown age.",
    "uncalibrated": "Calibration: none on record; the axis is taken as right within its tolerance.",
    "library": "Library {version}. Lists: {lists}.",
    "no_weight": "A spectrum tells what is there, not how much.",
}
"""Line -> msgid."""

NOTES = {
    "instrument_unstated": (
        "Calibration and file do not both name an instrument; that it is the same was not checked."
    ),
    "laser_unstated": (
        "Calibration and file do not both name a laser; that it is the same was not checked."
    ),
    "response_expired": "The intensity correction is too old and was left out.",
    "response_foreign": "The intensity correction is for another laser and was left out.",
    "file_time": (
        "The age of the calibration rests on a file's time of change, which copying may alter."
    ),
    "date_unread": (
        "The date in a file cannot be read (write the year first), so the age of the calibration "
        "is unknown."
    ),
}
"""What is not known of a calibration, or was not applied -> msgid."""

FACTOR_MAX = 1_000_000
"""Odds beyond this rest on the tables' errors, not on the measurement."""

BANDS_SHOWN_MAX = 30


def account(verdict: Verdict, language: str, library: Library) -> tuple[str, ...]:
    """Explain a verdict at length.

    Args:
        verdict: the decision.
        language: en, fr, ar or es.
        library: for names.

    Returns:
        Lines, the officer's sentence first.
    """
    lines = [explain(verdict, language, library)]
    for hit in verdict.hits:
        lines += _hit_lines(hit, language, library)
    if verdict.quality is not None:
        if not verdict.hits:
            lines.append(_line("none", language))
        if verdict.unexplained_cm1:
            places = listed(verdict.unexplained_cm1, language)
            lines.append(_line("unexplained", language, bands=places))
        else:
            lines.append(_line("explained", language))
    lines += [quality_line(verdict, language), calibration_line(verdict, language, library)]
    lines += _calibration_details(verdict, language)
    lines.append(library_line(verdict, language))
    if verdict.hits:
        lines.append(_line("no_weight", language))
    return tuple(lines)


def _hit_lines(hit: HitRecord, language: str, library: Library) -> list[str]:
    places = {
        state: [
            band.shift_cm1 if band.measured_cm1 is None else band.measured_cm1
            for band in hit.bands
            if band.state == state
        ]
        for state in ("found", "missing", "hidden", "faint")
    }
    found, missing = places["found"], places["missing"]
    lines = [
        _line(
            "hit",
            language,
            substance=name_of(hit.substance_id, language, library),
            score=f"{hit.score:.2f}",
            found=len(found),
            visible=len(found) + len(missing),
        )
    ]
    for line, state in (
        ("agreeing", "found"),
        ("missing", "missing"),
        ("hidden", "hidden"),
        ("faint", "faint"),
    ):
        if places[state]:
            lines.append(_line(line, language, bands=listed(places[state], language)))
    if hit.rivals:
        names = [name_of(name, language, library) for name in hit.rivals]
        lines.append(_line("rivals", language, substances=comma(language).join(names)))
    apart = [entry for entry in hit.look_alikes if entry.substance_id not in hit.rivals]
    if apart:
        nearest = min(apart, key=lambda entry: entry.deficit_nats)
        facts = {
            "substance": name_of(nearest.substance_id, language, library),
            "factor": _factor(nearest.deficit_nats),
        }
        if nearest.separating_cm1:
            facts["bands"] = listed(nearest.separating_cm1, language)
            facts["seen"] = listed(nearest.separating_found_cm1, language) or "0"
            lines.append(_line("next", language, **facts))
        else:
            lines.append(_line("next_plain", language, **facts))
    return lines


def quality_line(verdict: Verdict, language: str) -> str:
    """How good the measurement was, in one line."""
    quality = verdict.quality
    if quality is None:
        return _line("unmeasured", language)
    return _line(
        "quality",
        language,
        snr=f"{quality.snr:.0f}",
        low_cm1=f"{quality.low_cm1:.0f}",
        high_cm1=f"{quality.high_cm1:.0f}",
        resolution_cm1=f"{quality.resolution_cm1:.0f}",
        background_percent=f"{100.0 * quality.fluorescence_share:.0f}",
        spike_count=quality.spike_count,
    )


def _calibration_details(verdict: Verdict, language: str) -> list[str]:
    """Of which instrument the calibration is, what it does to intensities, and what is unknown."""
    record = verdict.calibration
    if record is None or record.state != "valid":
        return []
    lines = []
    if record.instrument:
        named = isolated(record.instrument, language)
        lines.append(_line("instrument", language, instrument=named))
    if record.response_id:
        named = isolated(record.response_id, language)
        if record.response_age_s is None:
            lines.append(_line("response_undated", language, response=named))
        else:
            days = f"{record.response_age_s / 86_400.0:.0f}"
            lines.append(_line("response", language, response=named, age_days=days))
    return lines + [translate(NOTES[note], language) for note in record.notes]


def calibration_line(verdict: Verdict, language: str, library: Library) -> str:
    """What is known of the axis, in one line."""
    record = verdict.calibration
    if record is None or record.state == "assumed":
        return _line("uncalibrated", language)
    if record.state != "valid":
        return _line("calibration_invalid", language)
    facts = {
        "standard": standard_name(record.standard_id, language, library),
        "uncertainty_cm1": f"{record.uncertainty_cm1:.1f}",
    }
    if record.age_s is None:
        return _line("calibration_undated", language, **facts)
    return _line("calibration", language, age_days=f"{record.age_s / 86_400.0:.0f}", **facts)


def library_line(verdict: Verdict, language: str) -> str:
    """Which edition of library and lists was asked, in one line."""
    lists = [isolated(f"{entry.list_id} {entry.date}", language) for entry in verdict.lists]
    version = isolated(verdict.library_version, language)
    return _line("library", language, version=version, lists=comma(language).join(lists) or "-")


def listed(places_cm1: list[float] | tuple[float, ...], language: str) -> str:
    """Band places as text, rounded, the first BANDS_SHOWN_MAX."""
    shown = [f"{place:.0f}" for place in places_cm1[:BANDS_SHOWN_MAX]]
    if len(places_cm1) > BANDS_SHOWN_MAX:
        shown.append("…")
    return comma(language).join(shown)


def _factor(deficit_nats: float) -> str:
    """Odds against the next explanation, to one figure: more would be more than is known."""
    if deficit_nats > math.log(FACTOR_MAX):
        return f">{FACTOR_MAX}"
    odds = math.exp(max(deficit_nats, 0.0))
    if odds < 10.0:
        return f"{odds:.0f}"
    size = 10.0 ** math.floor(math.log10(odds) + 1e-9)
    return f"{size * math.floor(odds / size + 1e-9):.0f}"


def _line(name: str, language: str, **facts: str | int) -> str:
    return translate(LINES[name], language).format(**facts)
