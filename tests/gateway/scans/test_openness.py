"""Goal: anybody is told what is verified and about goods; nothing of a person, whole or in parts.

Method: licences, boarding passes, contact cards, zones and numbers of persons in the forms in which
they are printed, whole, in lines, and behind every identifier; labels that carry goods and more;
and hypothesis: of what is withheld no piece comes out.
"""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.scans.openness import read_openly
from gateway.scans.reading import read_scan
from simulators.scanner.codes import check_digit, container_digit

GTIN = "98412345678908"
SSCC = "106141412345678908"
LICENCE = (
    "@\n\x1e\rANSI 636014040002DL00410278ZC03190008DL"
    "DAQD1234562\nDCSERIKSSON\nDACANNA\nDBB08121974\r"
)
CARD = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Eriksson;Anna\r\nTEL:+46701234567\r\nEND:VCARD"
ZONE = (
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
)
PERSONS = (
    LICENCE,
    *LICENCE.split("\n"),
    CARD,
    *CARD.split("\r\n"),
    "\ufeff" + CARD,
    "MECARD:N:Eriksson,Anna;TEL:+46701234567;;",
    "BIZCARD:N:Anna;X:Eriksson;T:Inspector;;",
    "M1ERIKSSON/ANNA       EABC1234 ARNFRASK 0123 326Y025C0027 100",
    "M1ERIKSSON/ANNA       EABC12 ARNFRASK 0123 326Y025C0027 100",
    *ZONE,
    "".join(ZONE),
    "\n".join(ZONE),
    "ERIKSSON, ANNA",
    "mailto:anna@eriksson.example",
    "https://eriksson.example/anna",
    "anna.eriksson",
    "\x1b[31mAnna Eriksson\x9b0m\u202e",
)
NUMBERS = (
    "12345678903",  # eleven digits of which the last agrees as a waybill's does
    "4111111111111111",  # a card's, sixteen digits
    "1850412345674",
    "4006381333931",  # digits of a good check digit, of a code that does not say that it is a GTIN
)
IDENTIFIERS = (
    "",
    "]C1",
    "]C0",
    "]A0",
    "]d1",
    "]d2",
    "]L0",
    "]Q1",
    "]Q3",
    "]z0",
    "]e0",
    "]E0",
    "]I1",
)


def pieces(content):
    """Return what of a content must not come out: runs of four characters that mean something."""
    text = content.decode(errors="replace")
    return {text[at : at + 4] for at in range(len(text) - 3) if text[at : at + 4].isalnum()}


@pytest.mark.parametrize("identifier", IDENTIFIERS)
@pytest.mark.parametrize("content", PERSONS)
def test_nothing_of_a_person_is_told_whole_or_in_parts(identifier, content):
    for encoding in ("utf-8", "latin-1"):
        data = (content + "\u00e9").encode(encoding, "replace")
        scan = read_openly(identifier, data)
        assert scan.withheld == ("content",)
        assert scan.length_bytes == len(data)
        told = msgspec.json.encode(scan).decode()
        assert not [piece for piece in pieces(data) if piece in told]
        assert read_scan(identifier, data).text


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("identifier", ["", "]C0", "]A0", "]L0", "]Q1"])
def test_a_number_that_may_be_anybodys_is_not_told(identifier, number):
    scan = read_openly(identifier, number.encode())
    assert scan.withheld
    assert scan.values == scan.decoded == {}
    assert number not in msgspec.json.encode(scan).decode()


@pytest.mark.parametrize(
    "identifier, content, values",
    [
        ("]C1", f"01{GTIN}10LOT-A1", {"01": GTIN, "10": "LOT-A1"}),
        ("]C1", f"02{GTIN}3712", {"02": GTIN, "37": "12"}),
        (
            "]d2",
            f"01{GTIN}10LOT\x1d21S\x1d7110A",
            {"01": GTIN, "10": "LOT", "21": "S", "711": "0A"},
        ),
        ("]Q3", f"00{SSCC}", {"00": SSCC}),
        ("]C1", f"01{GTIN}3103001250", {"01": GTIN, "3103": "001250"}),
        ("]C1", "4104000001000005", {"410": "4000001000005"}),
        ("]C1", f"01{GTIN}43211", {"01": GTIN, "4321": "1"}),
        ("]E0", "4006381333931", {"gtin": "04006381333931"}),
        ("]E3", "400638133393112", {"gtin": "04006381333931", "add_on": "12"}),
        ("]E4", "73513537", {"gtin": "00000073513537"}),
        ("]I1", GTIN, {"gtin": GTIN}),
        ("]A0", "MWCU 605978 4 22G1", {"container": "MWCU6059784", "size_type": "22G1"}),
        ("", "CSQU3054383", {"container": "CSQU3054383"}),
        ("]C0", "020-12345675", {"waybill": "020-12345675"}),
    ],
)
def test_goods_are_told_whole(identifier, content, values):
    scan = read_openly(identifier, content.encode(), year=2026)
    assert (scan.values, scan.withheld) == (values, ())
    assert scan == read_scan(identifier, content.encode(), year=2026)


@pytest.mark.parametrize(
    "content, open_ais, withheld",
    [
        (f"01{GTIN}4300ERIKSSON\x1d43015+STREET", ("01",), ("4300", "4301")),
        (f"00{SSCC}420SE11122\x1d421752SE11122", ("00",), ("420", "421")),
        (f"00{SSCC}43184711\x1d4319+46701", ("00",), ("4318", "4319")),
        (f"01{GTIN}725019740812\x1d72521\x1d7256ERIKSSON", ("01",), ("7250", "7252", "7256")),
        (f"01{GTIN}8018{SSCC}", ("01",), ("8018",)),
        (f"01{GTIN}8017{SSCC}", ("01",), ("8017",)),
        (f"01{GTIN}8002SE4670\x1d8007SE35500\x1d8020A1", ("01",), ("8002", "8007", "8020")),
        (f"01{GTIN}8040352099001761481", ("01",), ("8040",)),
        (f"01{GTIN}2534000001000005ID-77", ("01",), ("253",)),
        (f"01{GTIN}90A\x1d91B\x1d99C", ("01",), ("90", "91", "99")),
        (f"01{GTIN}400ORDER\x1d403ROUTE\x1d8200https:A", ("01",), ("400", "403", "8200")),
        (f"01{GTIN}10LOT\x1dERIKSSON", ("01", "10"), ("content",)),
        (f"01{GTIN}10A\x1d10ERIKSSON", ("01", "10"), ("content",)),
        (f"01{GTIN}17740899", ("01",), ("content",)),
        (f"01{GTIN}17740231", ("01",), ("17",)),
        ("10ERIKSSON/ANNA", (), ("10",)),
        ("0198412345678907" + "10ERIKSSON", (), ("01", "10")),
        ("012000000000" + "0013" + "10ERIKSSON", (), None),
        ("8004ERIKSSON", (), ("8004",)),
        ("ERIKSSON", (), ("content",)),
    ],
)
def test_of_a_label_with_more_than_goods_the_goods_are_told(content, open_ais, withheld):
    scan = read_openly("]C1", content.encode(), year=2026)
    assert tuple(scan.values) == open_ais
    if withheld is not None:
        assert scan.withheld == withheld
    assert scan.text is None
    told = msgspec.json.encode(scan).decode()
    assert "ERIKSSON" not in told
    assert "1974" not in told


@pytest.mark.parametrize("begin", ["02", "04", "20", "29", "050", "980", "990"])
def test_a_shops_own_number_is_on_cards_too(begin):
    body = begin.ljust(12, "7").encode()
    number = body + check_digit(body)
    for identifier, content in (("]E0", number), ("]I1", b"0" + number), ("]C1", b"010" + number)):
        scan = read_openly(identifier, content)
        assert scan.values == {}
        assert scan.withheld


def test_of_a_link_the_goods_are_told_and_nothing_of_the_address():
    link = f"https://eriksson.example/anna/01/{GTIN}/10/LOT?17=261100&91=ANNA&name=Eriksson#anna"
    scan = read_openly("]Q1", link.encode(), year=2026)
    assert scan.values == {"01": GTIN, "10": "LOT", "17": "261100"}
    assert scan.decoded == {"gtin": GTIN, "lot": "LOT", "expires": "2026-11-30"}
    assert (scan.withheld, scan.text, scan.is_claim) == (("91", "content"), None, True)
    assert "anna" not in msgspec.json.encode(scan).decode().lower()


def test_wrong_numbers_and_add_ons_are_not_told():
    for identifier, content in (
        ("]A0", b"CSQU3054384"),
        ("]C0", b"020-12345674"),
        ("]E0", b"4006381333932"),
        ("]I1", b"98412345678907"),
    ):
        scan = read_openly(identifier, content)
        assert scan.faults
        assert (scan.values, scan.text) == ({}, None)
        assert content.decode()[-8:] not in msgspec.json.encode(scan).decode()
    scan = read_openly("]E3", b"4006381333931ANNA")
    assert (scan.values, scan.withheld) == ({"gtin": "04006381333931"}, ("content",))
    assert "ANNA" not in msgspec.json.encode(scan).decode()


@pytest.mark.parametrize("identifier", IDENTIFIERS[:1] + IDENTIFIERS[2:4])
@pytest.mark.parametrize("behind", ["JOHN", " GERT", "1974"])
def test_what_is_no_size_and_type_behind_a_container_is_not_told(identifier, behind):
    scan = read_openly(identifier, b"CSQU3054383" + behind.encode())
    assert (scan.values, scan.withheld) == ({"container": "CSQU3054383"}, ("content",))
    assert behind.strip() not in msgspec.json.encode(scan).decode()
    assert scan.text is None


@pytest.mark.parametrize(
    "content",
    [
        f"8018{SSCC}\x1d10ERIKSSON\x1d21ANNA",
        f"8017{SSCC}\x1d10ERIKSSON\x1d21ANNA",
        "2534000001000005ID-77\x1d21ERIKSSON\x1d10ANNA",
        "2554000001000005\x1d21ERIKSSON\x1d10ANNA",
        *[f"41{number}400000100000510ERIKSSON\x1d21ANNA" for number in range(8)],
    ],
)
def test_beside_persons_places_and_documents_there_is_no_free_text(content):
    """Only a number of goods makes the lot beside it one of goods."""
    scan = read_openly("]C1", content.encode())
    assert scan.faults == ()
    assert {"10", "21"} <= set(scan.withheld)
    told = msgspec.json.encode(scan).decode()
    assert "ERIKSSON" not in told
    assert "ANNA" not in told


def test_an_empty_code_has_nothing_to_withhold():
    assert read_openly("]C1", b"").withheld == ()


@given(st.sampled_from(IDENTIFIERS), st.binary() | st.text().map(lambda text: text.encode()))
def test_whatever_it_is_only_open_values_come_out_and_all_is_printable(identifier, content):
    scan = read_openly(identifier, content, year=2026)
    told = msgspec.json.decode(msgspec.json.encode(scan))
    for text in (scan.text or "", *scan.values.values(), *scan.faults, *scan.notes):
        assert text.isprintable()
    if scan.withheld:
        assert told["text"] is None
        assert base64.b64encode(content).decode() not in str(told) or len(content) < 6
    assert (read_scan(identifier, content, year=2026).text or "").isprintable()


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=8, max_size=20), st.booleans())
def test_free_text_comes_out_beside_goods_only(text, is_beside):
    head = f"01{GTIN}" if is_beside else ""
    told = str(msgspec.to_builtins(read_openly("]C1", f"{head}10{text}".encode())))
    assert (text in told) is is_beside


def test_a_right_container_is_told_whoever_owns_it():
    serial = b"ANNU123456"
    scan = read_openly("", serial + container_digit(serial))
    assert scan.withheld == ()
