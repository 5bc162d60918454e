"""What the protocol refuses: clause of SPEC.md, error class, reason, and the frame or the change.

Stated by hand, byte by byte, for `make_vectors`.
"""

_BOOT = bytes.fromhex("c4080badc0de5eed1e55")  # a whole identity, header included
_STATUS = b"\x94\x02" + _BOOT + b"\xc3\x05"
_LAST = b"\x94\x02" + _BOOT + b"\xc3"  # a status, its last field, an integer, still to come
_MORE = b"\x95\x02" + _BOOT + b"\xc3\x00"  # a status, one appended field still to come
_DETAIL = b"\x94\x09" + _BOOT + b"\x00"  # a result, its detail still to come
_BEYOND = b"\x94\x07" + _BOOT + b"\x00"  # a receipt, its ranges still to come
_TOO_LONG = b"\x95" + _STATUS[1:] + b"\xc5\x2f\xf0" + bytes(0x2FF0)


def _each(clause, error, where, front, *pairs):
    return tuple((clause, error, f"{what}, {where}", front + tail) for what, tail in pairs)


BYTES_REFUSED = (
    ("1.2", "MalformedError", "no bytes at all", b""),
    *_each(
        *("2.1", "MalformedError", "where an integer must stand", _LAST),
        ("a map", b"\x80"),
        ("a float of 32 bits", b"\xca\x3f\x80\x00\x00"),
        ("a float of 64 bits", b"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"),
        ("an extension", b"\xd4\x01\x00"),
        ("a timestamp", b"\xd6\xff\x00\x00\x00\x01"),
        ("the byte C1", b"\xc1"),
        ("nil", b"\xc0"),
        ("a truth value", b"\xc3"),
        ("text", b"\xa11"),
        ("an array", b"\x90"),
    ),
    *_each(
        *("2.1", "MalformedError", "in an appended field", _MORE),
        ("a map", b"\x80"),
        ("a map of 2**32-1 pairs", b"\xdf\xff\xff\xff\xff"),
        ("a float", b"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"),
        ("an extension", b"\xc7\x00\x01"),
        ("the byte C1", b"\xc1"),
        ("a map inside an array", b"\x91\x80"),
    ),
    *_each(
        *("2.2", "MalformedError", "as uptime_ms", _LAST),
        ("0 in 2 bytes", b"\xcc\x00"),
        ("127 in 2 bytes", b"\xcc\x7f"),
        ("255 in 3 bytes", b"\xcd\x00\xff"),
        ("65535 in 5 bytes", b"\xce\x00\x00\xff\xff"),
        ("2**32-1 in 9 bytes", b"\xcf\x00\x00\x00\x00\xff\xff\xff\xff"),
        ("1 in the signed form of 2 bytes", b"\xd0\x01"),
        ("128 in the signed form of 3 bytes", b"\xd1\x00\x80"),
    ),
    *_each(
        *("2.2", "MalformedError", "in an appended field", _MORE),
        ("-1 in 2 bytes", b"\xd0\xff"),
        ("-32 in 2 bytes", b"\xd0\xe0"),
        ("-128 in 3 bytes", b"\xd1\xff\x80"),
        ("-32768 in 5 bytes", b"\xd2\xff\xff\x80\x00"),
        ("-2**31 in 9 bytes", b"\xd3\xff\xff\xff\xff\x80\x00\x00\x00"),
        ("text of 31 with a length byte", b"\xd9\x1f" + b"x" * 31),
        ("text with two length bytes", b"\xda\x00\x20" + b"x" * 32),
        ("a byte string of 255 with two length bytes", b"\xc5\x00\xff" + bytes(255)),
        ("a byte string with four length bytes", b"\xc6\x00\x00\x01\x00" + bytes(256)),
        ("an array of 15 with two count bytes", b"\xdc\x00\x0f" + bytes(15)),
        ("an array with four count bytes", b"\xdd\x00\x00\x00\x10" + bytes(16)),
    ),
    ("2.2", "MalformedError", "the message's count in 3 bytes", b"\xdc\x00\x04" + _STATUS[1:]),
    ("2.2", "MalformedError", "the kind in 2 bytes", b"\x94\xcc\x02" + _STATUS[2:]),
    *_each(
        *("2.3", "LimitError", "as uptime_ms", _LAST),
        ("2**53", b"\xcf\x00\x20\x00\x00\x00\x00\x00\x00"),
        ("2**64-1", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("-2**53", b"\xd3\xff\xe0\x00\x00\x00\x00\x00\x00"),
        ("-2**63", b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
    ),
    *_each(
        *("2.3", "LimitError", "in an appended field", _MORE),
        ("2**53", b"\xcf\x00\x20\x00\x00\x00\x00\x00\x00"),
        ("2**64-1", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("-2**53", b"\xd3\xff\xe0\x00\x00\x00\x00\x00\x00"),
        ("-2**63", b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
    ),
    *_each(
        *("2.4", "MalformedError", "in the detail of a result", _DETAIL),
        ("a control character", b"\xa2a\x1f"),
        ("a line end", b"\xa1\n"),
        ("the character 7F", b"\xa1\x7f"),
        ("UTF-8 that is not ASCII", b"\xa2\xc3\xa4"),
        ("bytes that are not even UTF-8", b"\xa1\xff"),
    ),
    *_each(
        *("2.4", "MalformedError", "in an appended field", _MORE),
        ("a control character", b"\xa2a\x1f"),
        ("the character 7F", b"\xa1\x7f"),
        ("UTF-8 that is not ASCII", b"\xa2\xc3\xa4"),
        ("bytes that are not even UTF-8", b"\xa1\xff"),
    ),
    ("2.6", "LimitError", "65 elements", b"\xdc\x00\x41" + _STATUS[1:] + bytes(61)),
    ("2.6", "LimitError", "65 elements, appended", _MORE + b"\xdc\x00\x41" + bytes(65)),
    ("2.6", "LimitError", "arrays nested in four levels", _MORE + b"\x91\x91\x91\x00"),
    ("2.6", "LimitError", "arrays nested in 200 levels", _MORE + b"\x91" * 200),
    ("2.7", "MalformedError", "one byte behind the message", _STATUS + b"\x00"),
    ("2.7", "MalformedError", "a second message behind it", _STATUS * 2),
    ("2.7", "LimitError", "12289 bytes", b"\x96" + _TOO_LONG[1:] + bytes(12_289 - len(_TOO_LONG))),
    *_each(
        *("2.8", "MalformedError", "in an appended field", _MORE),
        ("text that claims 4 GB", b"\xdb\xff\xff\xff\xff"),
        ("a byte string that claims 4 GB", b"\xc6\xff\xff\xff\xff"),
        ("an array that claims 2**32-1 elements", b"\xdd\xff\xff\xff\xff"),
        ("a byte string that claims 65535 bytes", b"\xc5\xff\xff"),
    ),
    ("2.8", "LimitError", "an identity that claims 65535 bytes", b"\x94\x02\xc5\xff\xff"),
    ("2.8", "MalformedError", "2**32-1 ranges", _BEYOND + b"\xdd\xff\xff\xff\xff"),
    ("2.8", "LimitError", "65535 ranges", _BEYOND + b"\xdc\xff\xff"),
    *(
        ("2.8", "MalformedError", f"a status cut off after {size} bytes", _STATUS[:size])
        for size in range(1, len(_STATUS))
    ),
    ("3.1", "MalformedError", "an array without a kind", b"\x90"),
    ("3.1", "MalformedError", "an integer instead of an array", b"\x02"),
    ("3.1", "MalformedError", "the kind as text", b"\x94\xa12" + _STATUS[2:]),
    ("3.1", "LimitError", "a negative kind", b"\x94\xff" + _STATUS[2:]),
    ("4.4", "MalformedError", "a kind alone", b"\x91\x02"),
    ("4.5", "KindError", "kind 0", b"\x94\x00" + _STATUS[2:]),
    ("4.5", "KindError", "kind 11", b"\x94\x0b" + _STATUS[2:]),
    ("4.5", "KindError", "kind 2**53-1", b"\x91\xcf\x00\x1f\xff\xff\xff\xff\xff\xff"),
)

VALUES_REFUSED = (
    ("3.2", "MalformedError", "nil where it is not allowed", "Result", {"outcome": None}),
    ("3.2", "MalformedError", "an integer for a truth value", "Status", {"online": 1}),
    ("3.2", "MalformedError", "text for a byte string", "Result", {"command_id": "c0ffee00"}),
    ("3.2", "MalformedError", "a byte string for text", "Result", {"detail": b"done"}),
    ("3.3", "LimitError", "an identity of 7 bytes", "Status", {"boot_id": bytes(7)}),
    ("3.3", "LimitError", "an identity of 9 bytes", "Status", {"boot_id": bytes(9)}),
    ("3.4", "LimitError", "half a coefficient", "Birth", {"coefficients_f32le": bytes(14)}),
    ("3.4", "LimitError", "9 coefficients", "Birth", {"coefficients_f32le": bytes(36)}),
    ("3.4", "LimitError", "next_seq below oldest_seq", "Birth", {"oldest_seq": 24}),
    ("3.4", "LimitError", "oldest_seq 0", "Birth", {"oldest_seq": 0}),
    ("3.4", "LimitError", "a name of 33 characters", "Birth", {"firmware": "x" * 33}),
    ("3.4", "LimitError", "time_quality 4", "Birth", {"time_quality": 4}),
    ("3.4", "LimitError", "65536 pixels", "Birth", {"pixel_count": 65_536}),
    ("3.4", "LimitError", "a wavelength of 33 bits", "Birth", {"excitation_pm": 2**32}),
    ("3.6", "LimitError", "no pixels", "Reading", {"pixels_u16le": b""}),
    ("3.6", "LimitError", "half a pixel", "Reading", {"pixels_u16le": bytes(3)}),
    ("3.6", "LimitError", "4097 pixels", "Reading", {"pixels_u16le": bytes(8_194)}),
    ("3.6", "LimitError", "seq 0", "Reading", {"seq": 0}),
    ("3.6", "LimitError", "role 3", "Reading", {"role": 3}),
    ("3.6", "LimitError", "no scans", "Reading", {"scans": 0}),
    ("3.6", "LimitError", "dark_seq 0", "Reading", {"dark_seq": 0}),
    ("3.6", "LimitError", "a negative uptime", "Reading", {"uptime_ms": -1}),
    ("3.7", "LimitError", "event_type 0", "Event", {"event_type": 0}),
    ("3.7", "LimitError", "event_type 4", "Event", {"event_type": 4}),
    ("3.7", "LimitError", "content of 7169 bytes", "Event", {"content": bytes(7_169)}),
    ("3.7", "LimitError", "a symbology of 9 characters", "Event", {"symbology": "]d2]d2]d2"}),
    ("3.8", "LimitError", "a fault of 49 characters", "Health", {"fault": "x" * 49}),
    ("3.8", "LimitError", "reset_cause 256", "Health", {"reset_cause": 256}),
    ("3.9", "MalformedError", "a time without time", "Time", {"time_ms": None}),
    ("3.10", "LimitError", "half a range", "Receipt", {"beyond": [19]}),
    ("3.10", "LimitError", "a range that touches seq", "Receipt", {"beyond": [18, 20]}),
    ("3.10", "LimitError", "a range below seq", "Receipt", {"beyond": [3, 4]}),
    ("3.10", "LimitError", "a range that ends before it begins", "Receipt", {"beyond": [20, 19]}),
    ("3.10", "LimitError", "ranges that touch", "Receipt", {"beyond": [19, 20, 21, 22]}),
    ("3.10", "LimitError", "ranges that descend", "Receipt", {"beyond": [30, 31, 19, 20]}),
    ("3.10", "LimitError", "17 ranges", "Receipt", {"beyond": list(range(20, 88, 2))}),
    ("3.10", "MalformedError", "nil among the ranges", "Receipt", {"beyond": [19, None]}),
    ("3.10", "LimitError", "a negative number in the ranges", "Receipt", {"beyond": [-1, 19]}),
    ("3.11", "LimitError", "action 0", "Command", {"action": 0}),
    ("3.11", "LimitError", "an argument of 257 bytes", "Command", {"argument": bytes(257)}),
    ("3.12", "LimitError", "outcome 4", "Result", {"outcome": 4}),
    ("3.12", "LimitError", "a detail of 129 characters", "Result", {"detail": "x" * 129}),
    ("3.13", "LimitError", "version 0", "Config", {"version": 0}),
    ("3.13", "LimitError", "a window of 0", "Config", {"window": 0}),
    ("3.13", "LimitError", "a window of 33", "Config", {"window": 33}),
    ("3.13", "LimitError", "resend after 99 ms", "Config", {"resend_ms": 99}),
    ("3.13", "LimitError", "health every 0 s", "Config", {"health_s": 0}),
)
