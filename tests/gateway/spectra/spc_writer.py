"""Write Galactic SPC files of every kind, from the format's description, apart from the reader."""

import struct

import numpy as np

EVEN, ONE_X, OWN_X = "even", "one_x", "own_x"


def date_of(year, month, day, hour=12, minute=30):
    return year << 20 | month << 16 | day << 11 | hour << 6 | minute


DATE = date_of(2026, 11, 3)


def whole_numbers(y, bits, exponent):
    """The integers that stand for y: fractions of 2**exponent, in so many bits."""
    return np.rint(np.asarray(y) * 2.0 ** (bits - exponent)).astype(np.int64)


def exponent_for(y):
    """The smallest exponent whose range holds y."""
    top = max(float(np.abs(y).max()), 1e-6) * 1.001
    return int(np.clip(np.ceil(np.log2(top)) + 1, -100, 100))


def write_spc(
    axes,
    lights,
    *,
    x_form=EVEN,
    y_form="float",
    order="<",
    technique=11,
    x_unit=13,
    y_unit=4,
    date=DATE,
    comment=b"made for a test",
    source=b"bench 1",
    log=None,
    trace_count=None,
    point_count=None,
    flags=0,
    directory=False,
):
    """A file of the new format.

    With a `directory` the traces lie in the file in reversed order, and only it says where.
    """
    many = len(lights) > 1 or x_form == OWN_X
    flags |= (0x04 if many else 0) | (0x01 if y_form == "i16" else 0)
    flags |= {EVEN: 0, ONE_X: 0x80, OWN_X: 0xC0}[x_form]
    exponent = -128 if y_form == "float" else exponent_for(np.concatenate(lights))
    points = len(axes[0]) if point_count is None else point_count
    body = b""
    if x_form == ONE_X:
        body += np.asarray(axes[0], dtype=f"{order}f4").tobytes()
    numbered = list(enumerate(zip(axes, lights, strict=True)))
    places = {}
    for number, (axis, light) in numbered[::-1] if directory else numbered:
        places[number] = 512 + len(body)
        sub = exponent_for(light) if many and y_form != "float" else exponent
        own = len(axis) if x_form == OWN_X else 0
        body += struct.pack(order + "BbHfffIIf4s", 0, sub, number, 0.0, 0.0, 0.0, own, 1, 0.0, b"")
        if x_form == OWN_X:
            body += np.asarray(axis, dtype=f"{order}f4").tobytes()
        if y_form == "float":
            body += np.asarray(light, dtype=f"{order}f4").tobytes()
        else:
            bits = int(y_form[1:])
            body += whole_numbers(light, bits, sub).astype(f"{order}i{bits // 8}").tobytes()
    if x_form == OWN_X and point_count is None:
        points = 512 + len(body) if directory else 0
        for number in range(len(lights) if directory else 0):
            body += struct.pack(order + "2If", places[number], 0, 0.0)
    log_at = 0
    if log is not None:
        log_at = 512 + len(body)
        text = log.encode("latin-1") + b"\0"
        body += struct.pack(order + "IIIII44s", 64 + len(text), 4096, 64, 0, 0, b"") + text
    header = struct.pack(
        order + "BBBbIddIBBBBI9s9sH32s130s30sIIBBHf48sfIfB187s",
        *(flags, 0x4B if order == "<" else 0x4C, technique, exponent, points),
        *(float(axes[0][0]), float(axes[0][-1])),
        len(lights) if trace_count is None else trace_count,
        *(x_unit, y_unit, 0, 0, date, b"", source, 0, b"", comment, b"", log_at),
        *(0, 0, 0, 0, 0.0, b"", 0.0, 0, 0.0, 0, b""),
    )
    assert len(header) == 512
    return header + body


def write_old_spc(axis, lights, *, y_form="i32", x_unit=13, y_unit=4):
    """A file of the old format: its 32-bit integers stand high word first."""
    many = len(lights) > 1
    bits = int(y_form[1:])
    exponent = exponent_for(np.concatenate(lights))
    flags = (0x04 if many else 0) | (0x01 if bits == 16 else 0)
    content = struct.pack(
        "<BBhfffBBHBBBB8sHH28s130s30s",
        *(flags, 0x4D, exponent, float(len(axis)), float(axis[0]), float(axis[-1])),
        *(x_unit, y_unit, 1996, 5, 17, 9, 0, b"", 0, 1, b"", b"old memo", b""),
    )
    for number, light in enumerate(lights):
        sub = exponent_for(light) if many else 0
        content += struct.pack("<BbHfffIIf4s", 0, sub, number, 0.0, 0.0, 0.0, 0, 1, 0.0, b"")
        whole = whole_numbers(light, bits, sub if many else exponent)
        if bits == 16:
            content += whole.astype("<i2").tobytes()
        else:
            unsigned = whole.astype(np.int32).view(np.uint32)
            words = np.stack([unsigned >> 16, unsigned & 0xFFFF], axis=1).astype("<u2")
            content += words.tobytes()
    return content
