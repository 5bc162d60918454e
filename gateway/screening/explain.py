"""One sentence per reason, in the officer's language: what was found and what to do next."""

from __future__ import annotations

from gateway.catalogue import translate
from gateway.screening.verdict import Parameter, Verdict
from gateway.spectra.library import Library, load_library

REASONS: dict[str, str] = {
    "listed_found": (
        "ALARM: {substances} found. Listed: {lists}. Keep the goods here, do not open or move "
        "them, and call your supervisor."
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
    "drug_found": (
        "INCONCLUSIVE: this looks like {substances}, a controlled drug. Do not handle the goods "
        "further and call your supervisor."
    ),
    "related_found": (
        "INCONCLUSIVE: {substances} found. It is on no list but is a close relative of listed "
        "substances. Check the documents and ask your supervisor."
    ),
    "no_signal": (
        "INCONCLUSIVE: no Raman signal. Check that the sample is in front of the probe. Metal "
        "powders and simple salts give none: then check weight and documents."
    ),
    "packaging_only": (
        "INCONCLUSIVE: only packaging was seen ({substances}). Measure the goods themselves, "
        "through a thinner place or opened if that is safe. Metal powders in it would give no "
        "signal."
    ),
    "weak_signal": (
        "INCONCLUSIVE: the signal is too weak ({snr} times the noise, {snr_min} needed). Measure "
        "again, closer or with a longer exposure."
    ),
    "few_bands": (
        "INCONCLUSIVE: only {band_count} bands were seen, too few to recognise or exclude "
        "anything. Measure again with a longer exposure."
    ),
    "saturated": (
        "INCONCLUSIVE: the detector was full over {share_percent} % of the range. Measure again "
        "with a shorter exposure."
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
    "no_axis": (
        "INCONCLUSIVE: the axis of this instrument is not known. Restart the node; if it stays so, "
        "have the instrument calibrated."
    ),
    "bad_axis": (
        "INCONCLUSIVE: the calibration of this instrument cannot be used. Have the instrument "
        "calibrated."
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
    "harmless_found": (
        "CLEAR: {substances}. No listed substance is needed to explain the measurement."
    ),
    "unknown_clear": (
        "CLEAR of listed substances: none of their band patterns is present. What it is, the "
        "library does not know; compare with the documents."
    ),
}
"""Reason id -> msgid. Placeholders are filled from the verdict's parameters."""


def explain(verdict: Verdict, language: str = "en") -> str:
    """The sentence for the officer.

    Args:
        verdict: the decision.
        language: en, fr, ar or es.

    Raises:
        CatalogueError: the language is unknown.
    """
    template = translate(REASONS[verdict.reason_id], language)
    return template.format(**_words(verdict.parameters, language, load_library()))


def name_of(substance_id: str, language: str, library: Library) -> str:
    """Name of a substance in a language; its id when the library does not know it."""
    known = library.substances.get(substance_id)
    return known.names[language] if known else substance_id


def _words(
    parameters: dict[str, Parameter], language: str, library: Library
) -> dict[str, str | int | float]:
    """Parameters as the templates name them: `x_ids` becomes `xs`, lists become text."""
    comma = "، " if language == "ar" else ", "
    words: dict[str, str | int | float] = {}
    for key, value in parameters.items():
        if key.endswith("_ids"):
            names = value if isinstance(value, tuple) else (str(value),)
            words[f"{key[:-4]}s"] = comma.join(name_of(name, language, library) for name in names)
        else:
            words[key] = comma.join(value) if isinstance(value, tuple) else value
    return words
