"""What a scenario file can say, for `--help`: table by table, key by key."""

from collections.abc import Mapping
from typing import Final

from simulators import papers
from simulators.helping import set_rows
from simulators.scenario import TRIGGERS, VERDICTS
from simulators.scenario_tables import MASS_KG_MAX

_NAME: Final = "small letters, digits, - and _, by which others refer to it"
KEYS: Final[Mapping[str, Mapping[str, str]]] = {
    "top": {"title": "of the whole", "teaches": "for the person who trains"},
    "[[sample]]": {
        "name": f"{_NAME}; default: made of the title",
        "title": "what it is, in words",
        "sample": "as --sample of the spectrometer: 'urea in pp'",
        "measured": "file of the collection of measured spectra, replayed instead where that is",
        "verdict": f"what is right to say of it: {', '.join(VERDICTS)}",
        "names": "the listed substance that has to be named",
    },
    "[[container]]": {
        "name": _NAME,
        "number": "by ISO 6346, such as CSQU3054383",
        "wrong": "true: its check digit is wrong, on purpose",
        "tare_kg": f"its own mass, 0 to {MASS_KG_MAX}",
    },
    "[[document]]": {
        "name": _NAME,
        "type": ", ".join(papers.DOCUMENT_TYPES),
        "code": "P, I and the like; default: P for TD3, else I",
        "issuer": "the state, UTO (Utopia)",
        "surname": "capital letters",
        "given": "the other names",
        "number": "of the document",
        "nationality": "default: the issuer",
        "birth": "a date such as 1974-08-12, without quotes",
        "sex": "F, M or <",
        "expiry": "a date",
        "optional": "what the issuer adds",
        "wrong": f"whose check digit is wrong, on purpose: {', '.join(filter(None, papers.WRONG))}",
    },
    "[[consignment]]": {
        "name": _NAME,
        "declared": "what the papers say it is",
        "truth": "what it is",
        "container": "name of a [[container]]",
        "documents": "list of names of [[document]]",
        "sample": "name of a [[sample]]",
        "goods": "below",
    },
    "[[consignment.goods]]": {
        "title": "what it is, in words",
        "gtin": "8, 12, 13 or 14 digits",
        "lot": "as its code says",
        "serial": "as its code says",
        "net_kg": f"as its code says, below {papers.NET_KG_MAX}, to the gram",
        "symbology": f"of its code: {', '.join(papers.SYMBOLOGIES)}; default ]d2",
        "mass_kg": f"what a scale shows, 0 to {MASS_KG_MAX}, to the milligram; default: net_kg",
    },
    "[[act]]": {
        "name": _NAME,
        "title": "in words; default: its name",
        "consignment": "name of a [[consignment]]",
        "steps": 'list of such as { read = "driver", fault = "mute" }, in order',
    },
    "a step, one of the first four": {
        "scan": "container or goods; goods.2 where there are several",
        "read": "name of a document of the consignment",
        "weigh": "goods",
        "measure": f"{', '.join(TRIGGERS)}: what the measurement begins with; present needs a "
        "measurement by hand in an act before it",
        "fault": "what goes wrong at the step's instrument, or a list: 'unplug,seconds=0.5'",
    },
}


def explain() -> str:
    """Return how a scenario file is written, for `--help`."""
    parts = [f"{name}:\n{set_rows(keys)}" for name, keys in KEYS.items()]
    return "a scenario file is TOML; what cannot be right is refused with its place:\n" + "\n".join(
        parts
    )
