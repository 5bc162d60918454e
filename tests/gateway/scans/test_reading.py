"""Goal: a scanned code is told for what it is, what is wrong with it is named, and nothing raises.

Method: every vector of the reference data, labels spoilt one rule at a time, and hypothesis for any
bytes behind any identifier.
"""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.scans import gs1, links, numbers, symbology
from gateway.scans.reading import read_scan, shown
from protocol.limits import CONTENT_BYTES_MAX
from simulators.scanner.codes import draw

PATH = Path(__file__).parents[2] / "protocol/scanner_vectors.json"
VECTORS = json.loads(PATH.read_text())
YEAR = 2026
GTIN = "98412345678908"


@pytest.mark.parametrize("vector", VECTORS["gtin"], ids=lambda vector: vector["value"])
def test_vectors_of_goods(vector):
    assert numbers.is_gtin(vector["value"]) is vector["valid"]
    scan = read_scan("]E4" if vector["kind"] == "GTIN-8" else "]E0", vector["value"].encode())
    assert (not scan.faults) is vector["valid"]


@pytest.mark.parametrize("vector", VECTORS["sscc"], ids=lambda vector: vector["value"])
def test_vectors_of_pallets(vector):
    assert numbers.has_gs1_digit(vector["value"]) is vector["valid"]
    scan = read_scan("]C1", b"00" + vector["value"].encode())
    assert scan.faults == (() if vector["valid"] else ("bad check digit in AI 00",))


@pytest.mark.parametrize("vector", VECTORS["gs1_element_strings"], ids=lambda v: v["raw"])
def test_vectors_of_element_strings(vector):
    raw = vector["raw"]
    scan = read_scan(raw[:3], raw[3:].encode(), year=YEAR)
    if "error" in vector:
        assert scan.faults == (vector["error"],)
        return
    parsed = vector["parsed"]
    assert scan.faults == ()
    expected = {"gtin": parsed["gtin"].zfill(14)} if "gtin" in parsed else parsed
    assert scan.values == expected
    assert vector.get("decoded", {}).items() <= scan.decoded.items()


@pytest.mark.parametrize("vector", VECTORS["iso6346"], ids=lambda vector: vector["value"])
def test_vectors_of_containers(vector):
    scan = read_scan("]A0", vector["value"].encode())
    assert scan.form == "container"
    assert (not scan.faults) is vector["valid"]
    assert scan.values == {"container": vector["value"]}
    if "weighted_sum" in vector:
        assert numbers.weighted_sum(vector["value"][:10]) == vector["weighted_sum"]
    assert bool(scan.notes) is ("remainder 10" in vector.get("note", ""))


@pytest.mark.parametrize("vector", VECTORS["awb"], ids=lambda vector: vector["value"])
def test_vectors_of_waybills(vector):
    scan = read_scan("]C0", vector["value"].encode())
    assert (scan.form, not scan.faults) == ("waybill", vector["valid"])
    assert scan.values == {"waybill": vector["value"]}


@pytest.mark.parametrize(
    "text, fault",
    [
        ("", "nothing in it"),
        ("0112", "AI 01 has not the form N2+N14"),
        (f"01{GTIN}\x1d\x1d10A", "no AI at character 18"),
        ("10\x1d21A", "AI 10 has not the form N2+X..20"),
        ("10a\x1d10b", "AI 10 twice, with different values"),
        ("10a#", "AI 10 has a character that GS1 does not allow"),
        ("17260230", "AI 17 is no date"),
        ("17261300", "AI 17 is no date"),
        (f"02{GTIN}", "AI 02 without AI 37: how many are contained is not stated"),
        ("8200https:x", "AI 8200 without AI 01"),
        ("4100000000000001", "bad check digit in AI 410"),
        ("402123456789012345678", "AI 402 has not the form N3+N17"),
        ("43212", "AI 4321 has not the form N4+N1"),
        ("31061234", "no AI at character 1"),
        ("xx", "no AI at character 1"),
        ("01٣٣٣٣٣٣٣٣٣٣٣٣٣٣", "no AI at character 1"),
        ("17٢٦٠١٠١", "no AI at character 1"),
        ("\x1d".join(f"9{n}a" for n in range(10)) * 3, "AI 99 twice, with different values"),
    ],
)
def test_a_fault_of_an_element_string_is_named(text, fault):
    assert fault in read_scan("]C1", text.encode(), year=YEAR).faults


def test_what_is_too_long_is_not_read_as_the_next_element():
    scan = read_scan("]C1", b"10" + b"L" * 20 + b"01" + GTIN.encode())
    assert scan.values == {}
    assert scan.faults == ("AI 10 longer than 20",)


def test_separators_are_tolerated_where_they_are_not_needed_and_at_the_beginning():
    scan = read_scan("]d2", f"\x1d01{GTIN}\x1d17261100\x1d10A\x1d".encode(), year=YEAR)
    assert scan.faults == ()
    assert scan.values == {"01": GTIN, "17": "261100", "10": "A"}
    assert scan.decoded["expires"] == "2026-11-30"


def test_the_same_value_twice_is_no_fault_and_what_follows_a_bad_one_is_read():
    scan = read_scan("]d2", f"01{GTIN}10{'x' * 21}\x1d21S\x1d01{GTIN}".encode())
    assert scan.values == {"01": GTIN, "21": "S"}
    assert scan.faults == ("AI 10 longer than 20",)


@pytest.mark.parametrize(
    "year, text, expected",
    [
        (2026, "760101", "2076-01-01"),
        (2026, "770101", "1977-01-01"),
        (2026, "990228", "1999-02-28"),
        (2080, "300101", "2130-01-01"),
        (2080, "310101", "2031-01-01"),
        (2026, "000229", "2000-02-29"),
        (2026, "240200", "2024-02-29"),
        (None, "240200", "24-02-29"),
    ],
)
def test_the_century_slides_with_the_year(year, text, expected):
    scan = read_scan("]C1", b"17" + text.encode(), year=year)
    assert scan.decoded == {"expires": expected}


def test_weights_and_flags_mean_something():
    text = f"01{GTIN}310300125033020012003205001000432113712\x1d4220560"
    scan = read_scan("]C1", text.replace("3712", "\x1d3712").encode())
    assert scan.faults == ("AI 422 has not the form N3+N3",)
    assert scan.decoded == {
        "gtin": GTIN,
        "net_weight_kg": 1.25,
        "gross_weight_kg": 12.0,
        "net_weight_lb": 0.01,
        "dangerous_goods": True,
        "count": 12,
    }


@pytest.mark.parametrize("identifier", ["]C0", "]C2", "]d1", "]Q1", "]z1", "]L0", "", "]A0"])
def test_identifiers_are_read_of_gs1_symbologies_only(identifier):
    assert read_scan(identifier, f"01{GTIN}10LOT".encode()).form == "text"


@pytest.mark.parametrize(
    "identifier, content, form, values",
    [
        ("]E3", b"400638133393112", "gtin", {"gtin": "04006381333931", "add_on": "12"}),
        ("]E3", b"40063813339311", "gtin", {"gtin": "04006381333931"}),
        ("]E3", b"4006381333931\x1b[31m", "gtin", {"gtin": "04006381333931"}),
        ("]E3", "4006381333931٣٣".encode(), "gtin", {"gtin": "04006381333931"}),
        ("]I1", GTIN.encode(), "gtin", {"gtin": GTIN}),
        ("]I1", b"98412345678907", "gtin", {}),
        ("]I0", b"123456", "text", {}),
        ("", b"4006381333931", "gtin", {"gtin": "04006381333931"}),
        ("", b"4006381333932", "text", {}),
        ("]A0", b"MWCU 605978 4 22G1", "container", None),
        ("]C0", b"CSQU3054383", "container", {"container": "CSQU3054383"}),
        ("]C0", b"02012345675", "waybill", {"waybill": "020-12345675"}),
        ("]C0", b"02012345674", "text", {}),
        ("]C0", b"0201234567500012", "waybill", {"waybill": "020-12345675"}),
        ("]C0", b"csqu3054383", "text", {}),
        ("]Q1", "Ärger".encode(), "text", {}),
        ("]Q1", b"\xff\xfe", "bytes", {}),
    ],
)
def test_other_codes_are_told_by_their_form(identifier, content, form, values):
    scan = read_scan(identifier, content)
    assert scan.form == form
    if values is not None:
        assert scan.values == values
    if values == {} and form not in ("text", "bytes"):
        assert scan.faults


def test_a_container_tells_its_size_and_type():
    assert read_scan("]A0", b"MWCU 605978 4 22G1").values == {
        "container": "MWCU6059784",
        "size_type": "22G1",
    }


@pytest.mark.parametrize(
    "behind", ["22G1", "45R1", "L5G1", "LEG1", "2EP3", "22GP", "22GB", "42K7", "M9A0", "10B6"]
)
def test_sizes_and_types_are_those_of_the_standard(behind):
    scan = read_scan("]A0", f"CSQU3054383 {behind}".encode())
    assert (scan.values["size_type"], scan.faults) == (behind, ())


@pytest.mark.parametrize(
    "behind",
    ["JOHN", "GERT", "LEGP", "1974", "2210", "2JG1", "52G1", "21G1", "22Z1", "2G1A", "AG12"],
)
def test_what_else_stands_behind_a_container_is_no_size_and_type(behind):
    scan = read_scan("]A0", f"CSQU3054383{behind}".encode())
    assert scan.values == {"container": "CSQU3054383"}
    assert scan.faults == ("what stands behind the container's number is no size and type",)
    assert scan.faulty == ()


@pytest.mark.parametrize(
    "link, values",
    [
        (
            f"https://id.gs1.org/01/{GTIN}/10/LOT%2F1?17=261100&x=y",
            {"01": GTIN, "10": "LOT/1", "17": "261100"},
        ),
        ("HTTP://shop.example/a/01/4006381333931", {"01": "04006381333931"}),
        ("https://shop.example/x?01=1", {}),
        ("https://[", {}),
        ("https://id.gs1.org/01/", {}),
        ("https://id.gs1.org/01/4006381333930", {}),
        (f"https://id.gs1.org/01/{GTIN}?" + "&".join(["a=b"] * 100), {"01": GTIN}),
    ],
)
def test_a_link_is_a_claim_that_nobody_opens(link, values):
    scan = read_scan("]Q1", link.encode(), year=YEAR)
    assert (scan.form, scan.is_claim, scan.values) == ("link", True, values)
    assert scan.notes == ("a web address: do not open it",)
    assert scan.text == shown(link)


def test_a_wrong_digit_in_a_link_is_told():
    found = links.parse("https://id.gs1.org/01/98412345678907/10/" + "x" * 21)
    assert found.faults == ["bad check digit in AI 01", "AI 10 longer than 20"]
    assert links.parse("https://id.gs1.org/01/400638133393").faults == [
        "AI 01 has not the form N2+N14"
    ]


@pytest.mark.parametrize(
    "element",
    ["11999999", "37x\x1d", "10A\x1d10B\x1d", f"01{GTIN}", "37\x1d"],
    ids=["no date", "no form", "differs", "again", "empty"],
)
def test_a_code_is_read_up_to_so_many_elements_right_or_wrong(element):
    scan = read_scan("]d2", (element * 800)[:CONTENT_BYTES_MAX].encode(), year=YEAR)
    assert f"more than {gs1.ELEMENTS_MAX} elements" in scan.faults
    assert len(scan.faults) <= gs1.ELEMENTS_MAX + 1
    assert read_scan("]d2", f"01{GTIN}".encode() * gs1.ELEMENTS_MAX).faults == ()


@pytest.mark.parametrize(
    "path, query",
    [
        ("/17/999999" * 65, ""),
        ("/17/999999" * 40, "17=999999&" * 40),
        ("", "17=999999&" * 65),
        ("", "17=&" * 65),
        ("", "a&" * 1_000),
    ],
)
def test_a_link_is_read_up_to_so_many_elements_right_or_wrong(path, query):
    found = links.parse(f"https://id.gs1.org/01/{GTIN}{path}?{query}", YEAR)
    assert found.values == {"01": GTIN}
    assert found.faults[-1] == f"more than {gs1.ELEMENTS_MAX} elements"
    assert len(found.faults) <= gs1.ELEMENTS_MAX + 1
    few = links.parse(f"https://id.gs1.org/01/{GTIN}?" + "&".join(["a=b"] * 63), YEAR)
    assert few.faults == []


def test_a_text_is_shown_on_one_line_and_as_it_is():
    assert shown("a\x1db\x1ec\x04\r\nd") == "a<GS>b<RS>c<EOT>\\r\\nd"
    assert shown("\x1b[31m\u202ered\u200b") == "\\x1b[31m\\u202ered\\u200b"
    assert shown("x" * 7_000) == "x" * 7_000


def test_two_codes_in_one_are_noticed():
    assert read_scan("]Q1", b"a]C101").notes == (
        "it may be two codes: an AIM identifier stands in it",
    )


def test_a_label_that_begins_like_an_identifier_is_no_gs1():
    scan = read_scan("", b"]C10198412345678908")
    assert (scan.form, scan.values) == ("text", {})
    assert scan.notes == (
        "it begins like an AIM identifier: if the scanner sends them, set aim true",
    )


@pytest.mark.parametrize(
    "identifier, name",
    [("]C1", "GS1-128"), ("]A4", "Code 39"), ("]?1", "]?1"), ("", "not told"), ("TD3", "TD3")],
)
def test_symbologies_have_names(identifier, name):
    assert symbology.name(identifier) == name


@given(st.sampled_from(["]C1", "]d2", "]E0", "]E3", "]I1", "]Q1", "]A0", "", "]"]), st.binary())
def test_any_bytes_give_a_scan(identifier, content):
    msgspec.json.encode(read_scan(identifier, content, year=YEAR))


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["01", "10", "17", "3103", "37", "00", "8008", "\x1d", "/", "٣"]),
            st.text("0123456789", max_size=14),
            st.text(max_size=4),
        )
    ).map("".join),
    st.sampled_from(["", "https://id.gs1.org/01/"]),
)
def test_any_text_gives_a_scan(text, before):
    content = (before + text).encode("utf-8", "surrogatepass")
    for identifier in ("]C1", "]Q1"):
        msgspec.json.encode(read_scan(identifier, content, year=YEAR))
    assert gs1.parse("").faults


def test_what_the_simulator_draws_is_read_good_or_bad():
    rng = np.random.default_rng(6)
    for _ in range(500):
        code = draw(rng)
        assert read_scan(code.symbology, code.content, year=YEAR).faults == (), code
        code = draw(rng, is_good=False)
        assert read_scan(code.symbology, code.content, year=YEAR).faults, code
