"""One sentence per reason, in the officer's language: what was found and what to do next."""

from __future__ import annotations

from gateway.catalogue import translate
from gateway.screening.verdict import Parameter, Verdict
from gateway.spectra.library import Library

REASONS: dict[str, str] = {
    "listed_found": (
        "ALARM: {substances} found; nothing harmless explains the measurement. Listed: {lists}. "
        "Keep the goods here, do not open or move them, and call your supervisor."
    ),
    "listed_family": (
        "ALARM: one of these found, the measurement cannot tell which: {substances}. Listed: "
        "{lists}. Keep the goods here, do not open or move them, and call your supervisor."
    ),
    "not_separable": (
        "INCONCLUSIVE: the measurement fits {substances} as well as {lookalikes}. Measure again at "
        "another spot; if it stays so, check the documents and send a sample to the laboratory."
    ),
    "listed_possible": (
        "INCONCLUSIVE: signs of {substances}, too few for an alarm. Measure again with a longer "
        "exposure; if it stays so, send a sample to the laboratory."
    ),
    "exposure_listed": (
        "INCONCLUSIVE: exposure {exposure_number} alone gives signs of {substances}, the average "
        "of all does not. Listed: {lists}. Hold the goods, measure that spot again, and identify "
        "the exposures one by one."
    ),
    "exposures_differ": (
        "INCONCLUSIVE: the exposures differ by more than cosmic rays can, so they are not of one "
        "sample. Identify them one by one, and measure each spot of the goods on its own."
    ),
    "drug_found": (
        "INCONCLUSIVE: this looks like {substances}, a controlled drug. Do not handle the goods "
        "further and call your supervisor."
    ),
    "related_found": (
        "INCONCLUSIVE: {substances} found. It is on no list but is a close relative of listed "
        "substances. Check the documents and ask your supervisor."
    ),
    "no_signal": (
        "INCONCLUSIVE: no Raman signal. Check that the sample is in front of the probe and the "
        "window is clean, and measure longer. Metal powders and simple salts give no signal: then "
        "check weight and documents."
    ),
    "packaging_only": (
        "INCONCLUSIVE: only packaging was seen ({substances}). Measure the goods themselves, "
        "through a thinner place or opened if that is safe. Metal powder in it would give no "
        "signal: check weight and documents too."
    ),
    "weak_signal": (
        "INCONCLUSIVE: the signal is too weak ({snr} times the noise, {snr_min} needed). Clean the "
        "window and measure again, closer or with a longer exposure."
    ),
    "fringes": (
        "INCONCLUSIVE: a regular ripple of {share_percent} % of the light (interference in a "
        "window or the detector) may hide bands. Clean the window and measure again at another "
        "distance or angle, out of the bag if that is safe, or with 1064 nm; if it stays so, have "
        "the instrument's response measured."
    ),
    "few_bands": (
        "INCONCLUSIVE: only {band_count} bands were seen, too few to recognise or exclude "
        "anything. Measure again with a longer exposure or out of the bag, if that is safe."
    ),
    "saturated": (
        "INCONCLUSIVE: the detector was full over {share_percent} % of the range and may hide the "
        "strongest bands. Measure again with a shorter exposure."
    ),
    "range_short": (
        "INCONCLUSIVE: only {low_cm1} to {high_cm1} cm-1 were measured, where these can be missed: "
        "{substances}. Use an instrument with a wider range."
    ),
    "saturated_scans": (
        "INCONCLUSIVE: the detector was full during part of the exposure. Measure again with a "
        "shorter exposure."
    ),
    "could_hide": (
        "INCONCLUSIVE: at this noise these could be hidden beneath the goods' own bands: "
        "{substances}. Measure again with a longer exposure."
    ),
    "interrupted": "INCONCLUSIVE: the measurement was cut short or damaged. Measure again.",
    "empty": (
        "INCONCLUSIVE: nothing before the probe gave a signal at this exposure. Hold the sample to "
        "the probe and measure again, for longer where the exposure is set by hand. Metal powders "
        "and some salts give no signal: then check weight and documents."
    ),
    "no_axis": (
        "INCONCLUSIVE: the axis of this instrument is not known. Restart the node; if it stays so, "
        "have the instrument calibrated."
    ),
    "bad_axis": (
        "INCONCLUSIVE: the calibration of this instrument cannot be used. Have the instrument "
        "calibrated."
    ),
    "covered": (
        "INCONCLUSIVE: {substances} could lie wholly beneath what was found; no longer exposure "
        "will tell. Measure other parts of the goods; if nothing changes, check the documents and "
        "send a sample to the laboratory."
    ),
    "axis_off": (
        "INCONCLUSIVE: the goods fit only when the whole axis is moved by {offset_cm1} cm-1: the "
        "instrument is out of calibration. Calibrate it with a standard (polystyrene or "
        "cyclohexane) and measure again."
    ),
    "wrong_pixel_count": (
        "INCONCLUSIVE: the reading has {pixel_count} pixels, the instrument {expected_count}. "
        "Restart the node and measure again."
    ),
    "bad_reading": (
        "INCONCLUSIVE: the reading cannot be evaluated. Measure again; if it stays so, have the "
        "instrument checked."
    ),
    "judgement_failed": (
        "INCONCLUSIVE: the evaluation of this reading failed. Measure again and report the fault."
    ),
    "not_calibrated": (
        "INCONCLUSIVE: instrument {instrument} is not calibrated, so the places of bands are not "
        "certain. Measure the standard ({standard}), then the goods again."
    ),
    "calibration_expired": (
        "INCONCLUSIVE: the calibration is {age_days} days old, {age_days_max} are allowed. Measure "
        "the standard ({standard}), then the goods again."
    ),
    "calibration_failed": (
        "INCONCLUSIVE: the last calibration failed: {fault}. Measure the standard again; if it "
        "fails again, have the instrument checked."
    ),
    "calibration_foreign": (
        "INCONCLUSIVE: the calibration belongs to {calibrated}, the measurement to {measured}. "
        "Measure the standard ({standard}) with the instrument of the measurement and use that "
        "calibration."
    ),
    "uncalibrated_listed": (
        "INCONCLUSIVE: signs of {substances}. Listed: {lists}. It would be an alarm, but {why}. "
        "Hold the goods, calibrate the instrument, and measure again."
    ),
    "not_raman": (
        "INCONCLUSIVE: this is no Raman spectrum: {why}. Nothing was identified. Measure or export "
        "a Raman spectrum and try again."
    ),
    "constant": (
        "INCONCLUSIVE: the signal is the same everywhere, so nothing was measured. Check that the "
        "laser is on and the probe connected, then measure again."
    ),
    "negative": (
        "INCONCLUSIVE: {share_percent} % of the signal lies below zero, so the dark measurement "
        "does not belong to it. Take a new one with the same exposure and measure again."
    ),
    "dark_missing": (
        "INCONCLUSIVE: there is no dark measurement, so weak bands cannot be told from the "
        "detector's own pattern. Take one with the laser off and measure again."
    ),
    "dark_high": (
        "INCONCLUSIVE: the detector's dark level fills {share_percent} % of its range. Let the "
        "instrument cool down and measure again with a shorter exposure, repeated more often."
    ),
    "fluorescence": (
        "INCONCLUSIVE: {share_percent} % of the light is background glow (fluorescence), which "
        "covers weak bands. Measure at another spot or angle, out of the bag if that is safe, or "
        "with a 1064 nm instrument."
    ),
    "resolution_poor": (
        "INCONCLUSIVE: bands are blurred to a width of {resolution_cm1} cm-1; with more than "
        "{resolution_max_cm1} salts cannot be told apart. Hold the probe steady at its distance; "
        "if it stays so, have the instrument checked."
    ),
    "cosmic_rays": (
        "INCONCLUSIVE: {spike_count} cosmic rays or electrical spikes may cover bands. Measure "
        "again with several shorter exposures."
    ),
    "dead_pixels": (
        "INCONCLUSIVE: {pixel_count} pixels of the detector gave no true value. Measure again; if "
        "it stays so, have the instrument checked."
    ),
    "step": (
        "INCONCLUSIVE: the signal jumps at {shift_cm1} cm-1, as no substance does. Measure again "
        "without moving the probe; if it stays so, have the instrument checked."
    ),
    "harmless_found": (
        "CLEAR: {substances} found; no listed substance is needed to explain the measurement. "
        "Compare with the documents. Metal powders give no signal and are not excluded."
    ),
    "unknown_clear": (
        "CLEAR of listed substances that give a signal: none of their band patterns is present. "
        "What it is, the library does not know; compare with the documents. Metal powders give no "
        "signal and are not excluded."
    ),
}
"""Reason id -> msgid. Placeholders are filled from the verdict's parameters."""

WORDS: dict[str, dict[str, str]] = {
    "why": {
        "transmittance": "the bands are dips, as in an infrared transmittance spectrum",
        "absorbance": "range, spacing and values are those of an infrared absorbance spectrum",
        "inverted": "the bands point down; sample and dark measurement may be exchanged",
        "wavelength": (
            "the axis can be read as wavelengths in nm beside a laser, or as shifts in cm-1; say "
            "which with --axis-unit nm --laser-nm, or --axis-unit cm-1"
        ),
        "wavenumber": "the axis holds absolute wavenumbers, not shifts from the laser",
        "pixels": "the axis counts pixels",
        "not_calibrated": "the instrument is not calibrated",
        "calibration_expired": "the instrument's calibration is too old",
        "calibration_failed": "the instrument's last calibration failed",
        "calibration_foreign": "the calibration belongs to another instrument",
    },
    "fault": {
        "no_signal": "the standard gave no signal",
        "saturated": "the detector was full",
        "too_few_bands": "too few bands of the standard were seen",
        "wrong_material": "the bands are not those of the standard",
        "offset_large": "the axis is shifted too far",
        "stretch_large": "the axis is stretched too far",
        "residual_large": "the bands cannot be brought to their places",
        "no_axis": "the axis of the instrument is not known",
        "bad_axis": "the axis that the instrument states cannot be used",
        "wrong_pixel_count": "the standard's reading has the wrong number of pixels",
        "bad_reading": "the standard's reading cannot be evaluated",
        "unknown_standard": "the material named is no known standard",
        "evaluation_failed": "the evaluation of the standard failed",
        "unreadable": "the stored calibration cannot be read",
    },
    "standard": {
        "toluene_acetonitrile": "toluene with acetonitrile",
        "naphthalene": "naphthalene",
        "diamond": "diamond",
    },
}
"""Parameter -> its value -> msgid of the words for it. Other values are shown as they are, those of
`standard` by the library's name."""


def explain(verdict: Verdict, language: str, library: Library) -> str:
    """The sentence for the officer.

    Args:
        verdict: the decision.
        language: en, fr, ar or es.
        library: the one the verdict was made with, for names: packages and posts have substances
            that the shipped tables do not know.

    Raises:
        CatalogueError: the language is unknown.
    """
    template = translate(REASONS[verdict.reason_id], language)
    return template.format(**_words(verdict.parameters, language, library))


def standard_name(standard_id: str, language: str, library: Library) -> str:
    """Name of a calibration standard in a language; not every one is in the library."""
    own = WORDS["standard"].get(standard_id)
    return translate(own, language) if own else name_of(standard_id, language, library)


def name_of(substance_id: str, language: str, library: Library) -> str:
    """Name of a substance in a language, else in English, else its id."""
    known = library.substances.get(substance_id)
    if known is None:
        return isolated(substance_id, language)
    return known.names[language] or isolated(known.name_in(language), language)


def _words(
    parameters: dict[str, Parameter], language: str, library: Library
) -> dict[str, str | int | float]:
    """Parameters as the templates name them: `x_ids` becomes `xs`, lists become text."""
    between = comma(language)
    words: dict[str, str | int | float] = {}
    for key, fact in parameters.items():
        # Titles of lists come in every language.
        value = parameters.get(f"{key}_{language}", fact) if key == "lists" else fact
        known = WORDS.get(key, {})
        if isinstance(value, str) and value in known:
            words[key] = translate(known[value], language)
        elif key == "standard" and isinstance(value, str):
            words[key] = standard_name(value, language, library)
        elif key.endswith("_ids"):
            names = value if isinstance(value, tuple) else (str(value),)
            words[f"{key[:-4]}s"] = between.join(name_of(name, language, library) for name in names)
        elif isinstance(value, tuple):
            words[key] = between.join(isolated(entry, language) for entry in value)
        else:
            words[key] = isolated(value, language) if isinstance(value, str) else value
    return words


def comma(language: str) -> str:
    """The list separator of a language."""
    return "، " if language == "ar" else ", "


def isolated(words: str, language: str) -> str:
    """Foreign words, such as a version or a list's title, kept together within Arabic text.

    Without the marks `2026.11-4ab7` would be shown as `4ab7-2026.11`.
    """
    return f"\u2068{words}\u2069" if language == "ar" else words
