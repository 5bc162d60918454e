"""Goal: answers and spectra are read as the manuals lay them out, and any bytes are survived.

Method: spectra packed here with a few lines of `struct`, the checksum example of the maker's note,
hypothesis for noise and cuts; 10,000 seeded streams on both interpreters.
"""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.ocean_ascii import frames
from drivers.ocean_ascii.models import MODELS, round_integration
from node.limits import INTEGRATION_US_MAX

CHUNK_BYTES = 64
# SAD500 manual, technical note 3: ten pixels and their checksum.
NOTE_PIXELS = (15, 23, 46, 98, 231, 509, 1023, 2432, 3245, 1984)
NOTE_CHECKSUM = 0x2586


def build(sums, *, scans=1, checksum=None, end=0xFFFD, mode=0):
    """Pack a spectrum independently of the code under test."""
    size = int(scans > 1)
    head = b"\x02" + struct.pack(">7H", 0xFFFF, size, scans, 22, 0, 0, mode)
    pixels = struct.pack(f">{len(sums)}{'I' if size else 'H'}", *sums)
    checksum = sum(sums) & 0xFFFF if checksum is None else checksum
    return head + pixels + struct.pack(">HH", end, checksum)


def read(stream, pixel_count, *, scans=1, step=CHUNK_BYTES):
    spectrum = frames.Spectrum(16, CHUNK_BYTES)
    spectrum.expect(pixel_count, scans)
    for at in range(0, len(stream), step):
        piece = stream[at : at + step]
        spectrum.feed(piece, len(piece))
    return spectrum


def counts(spectrum):
    return struct.unpack(f"<{len(spectrum.pixels) // 2}H", spectrum.pixels)


def ask(stream, size):
    answer = frames.Answer()
    answer.expect(size)
    answer.feed(stream, len(stream))
    return answer


def test_pixels_and_checksum_of_the_makers_note():
    spectrum = read(build(NOTE_PIXELS, checksum=NOTE_CHECKSUM), 10)
    assert spectrum.is_sound
    assert counts(spectrum) == NOTE_PIXELS


def test_double_words_are_averaged_and_rounded():
    sums = (3 * 65_535, 4, 5, 0, 3 * 1_500 + 1)
    spectrum = read(build(sums, scans=3), 5, scans=3)
    assert spectrum.is_sound
    assert counts(spectrum) == (65_535, 1, 2, 0, 1_500)


def test_double_words_may_be_summed_as_words():
    sums = (200_000, 65_536, 7)
    words = sum(value >> 16 for value in sums) + sum(value & 0xFFFF for value in sums)
    assert words & 0xFFFF != sum(sums) & 0xFFFF
    assert read(build(sums, scans=4, checksum=words & 0xFFFF), 3, scans=4).is_sound


@pytest.mark.parametrize(
    "changed",
    [{"checksum": NOTE_CHECKSUM ^ 1}, {"end": 0xFFFC}],
)
def test_a_wrong_checksum_or_end_is_told(changed):
    spectrum = read(build(NOTE_PIXELS, **changed), 10)
    assert (spectrum.is_whole, spectrum.is_sound) == (True, False)


@pytest.mark.parametrize(
    "stream",
    [
        build(NOTE_PIXELS, mode=3),
        build(NOTE_PIXELS, scans=2),
        build(NOTE_PIXELS)[:-1],
        build(NOTE_PIXELS)[:-2],  # an instrument that was restarted: no checksum
        build(NOTE_PIXELS)[1:],
        b"\x06",
    ],
)
def test_what_is_not_the_spectrum_that_was_asked_for_is_never_whole(stream):
    assert not read(stream, 10).is_whole


def test_a_refusal_is_a_refusal_only_in_front():
    assert read(b"\x03", 10).is_refused
    assert not read(b"\x06\x03", 10).is_refused


def test_a_longer_piece_is_a_fault_of_the_caller():
    spectrum = frames.Spectrum(4, 16)
    with pytest.raises(ValueError, match="17 bytes do not fit"):
        spectrum.feed(bytes(17), 17)


@given(
    st.binary(max_size=80).filter(lambda noise: b"\x02\xff\xff" not in noise),
    st.lists(st.integers(0, 65_535), min_size=1, max_size=16),
    st.integers(1, CHUNK_BYTES),
    st.integers(1, 5_000),
)
def test_noise_before_a_spectrum_and_any_cut_change_nothing(noise, pixels, step, scans):
    sums = [pixel * scans for pixel in pixels]
    stream = noise.rstrip(b"\x02\xff") + build(sums, scans=scans)
    spectrum = read(stream, len(pixels), scans=scans, step=step)
    assert spectrum.is_sound
    assert list(counts(spectrum)) == pixels


@pytest.mark.parametrize(
    "stream, size, word, data",
    [
        (b"\x06", 0, frames.ACK, b""),
        (b"\x15", 2, frames.NAK, b""),
        (b"\x06\x00\x0a", 2, frames.ACK, b"\x00\x0a"),
        (b"bB\x06\n\r> ", 0, frames.ACK, b""),
        (b"\x06FLMS04727\r", frames.TEXT, frames.ACK, b"FLMS04727"),
        (b"\x06\r\n-1.2e-05\0", frames.TEXT, frames.ACK, b"-1.2e-05"),
        (b"\x061.\xff\x061.5\n", frames.TEXT, frames.ACK, b"1.5"),
    ],
)
def test_short_answers(stream, size, word, data):
    answer = ask(stream, size)
    assert (answer.is_whole, answer.word, answer.data) == (True, word, data)


@pytest.mark.parametrize(
    "stream, size",
    [
        (b"", 0),
        (b"\x06\x00", 2),
        (b"\x061.42", frames.TEXT),  # cut short: not 1.42
        (b"\x06\r\r", frames.TEXT),
        (b"\x061234567890123456\r", frames.TEXT),
    ],
)
def test_answers_that_are_not_whole(stream, size):
    assert not ask(stream, size).is_whole


@given(st.integers(1, INTEGRATION_US_MAX))
def test_an_integration_is_rounded_to_what_the_instrument_counts(integration_us):
    rounded_us = round_integration(integration_us)
    step_us = 10 if rounded_us < 655_000 else 1_000
    assert rounded_us % step_us == 0
    assert abs(rounded_us - integration_us) < max(step_us, 10)


def test_the_limits_of_the_models_are_not_rounded():
    for _, least_us, most_us, _ in MODELS.values():
        assert [round_integration(limit) for limit in (least_us, most_us)] == [least_us, most_us]


def test_ten_thousand_streams(run_story, interpreter):
    told = run_story("ocean_ascii_streams.py", "10000", interpreter=interpreter, heap="256k")
    assert told == ["streams 10000"]
