"""Goal: goods that share their strongest band with a precursor are called by their own name.

Method: goods of the tables are simulated with the errors that the tables admit, several draws each
(`simulators.forward`, which shares no code with the identification), and judged with the shipped
library and lists: no draw may be an alarm, and most must name the goods.
"""

import numpy as np
import pytest

from gateway.screening.rules import screen
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.library import load_library
from gateway.spectra.match import identify
from simulators.forward import World, measure

LIBRARY, LISTS = load_library(), load_watchlists()
WORLD = World(axis_error_cm1=2.0, resolution_cm1=6.0)
SNR = 100.0
DRAWS = 6


def verdicts(substance_id):
    for seed in range(DRAWS):
        rng = np.random.default_rng([seed, *substance_id.encode()])
        spectrum = measure(LIBRARY, {substance_id: 1.0}, SNR, rng, WORLD, "none")
        yield screen(identify(spectrum, LIBRARY), LISTS, LIBRARY)


@pytest.mark.parametrize(
    "substance_id",
    [
        "cerussite", "sodium_sulfite", "potassium_bromate", "tryptophan", "creatine",
        "nicotinamide", "garnet", "colemanite", "dioxane", "ammonium_molybdate", "taurine",
        "triple_superphosphate", "zircon", "sodium_formate", "pom", "guanidine_hydrochloride",
    ],
)  # fmt: skip
def test_a_look_alike_is_no_alarm_and_has_its_name(substance_id):
    assert LIBRARY[substance_id].category not in ("precursor", "precursor_eu", "related")
    found = list(verdicts(substance_id))
    assert [verdict.reason for verdict in found if verdict.verdict == "alarm"] == []
    named = [verdict for verdict in found if substance_id in {h.substance_id for h in verdict.hits}]
    assert len(named) > DRAWS / 2


@pytest.mark.parametrize(
    "substance_id", ["potassium_nitrite", "phosphoric_acid", "potassium_permanganate"]
)
def test_what_a_national_list_names_is_never_waved_through(substance_id):
    found = list(verdicts(substance_id))
    assert {verdict.verdict for verdict in found} == {"inconclusive"}
    assert "related_found" in {verdict.reason_id for verdict in found}
