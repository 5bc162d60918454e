"""node.json: who this node is and what hangs on it. Checked once, at the start.

What can also be set from afar stands in `config.py`; this file is written by the person who
installs the node, so every error names the key, its value and what would do.
"""

import json

from node.config import EXPOSURES, check_exposure
from node.errors import SettingsError
from node.limits import EVENT_HEAD_BYTES, EXPOSURE_MS_MAX, MEASURE_S_MAX
from node.whole import is_whole
from node.words import LANGUAGES
from protocol.errors import ProtocolError
from protocol.limits import (
    CONTENT_BYTES_MAX,
    PIXELS_BYTES_MAX,
    RESEND_MS,
    RESEND_MS_MIN,
    U16_MAX,
    U32_MAX,
    WINDOW_RECORDS,
    WINDOW_RECORDS_MAX,
)
from protocol.topics import check_name

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Any, Board, Budget, Given, Sequence

_FILE_BYTES_MAX = 4_096
_TLS_PORT = 8883  # registered for MQTT over TLS

# By section: key, type, lowest, highest, default (None: required). Text: bounds are characters.
_KEYS: "dict[str, tuple[tuple[str, Any, int, int, Any], ...]]" = {
    "": (
        ("integration_us", int, 1, U32_MAX, 400_000),
        ("scans", int, 1, U16_MAX, 1),
        ("exposure", str, 1, 16, EXPOSURES[0]),
        ("measure_s_max", int, 1, EXPOSURE_MS_MAX // 1000, MEASURE_S_MAX),
        ("laser_s_max", int, 1, EXPOSURE_MS_MAX // 1000, EXPOSURE_MS_MAX // 1000),
        ("window", int, 1, WINDOW_RECORDS_MAX, WINDOW_RECORDS),
        ("resend_ms", int, RESEND_MS_MIN, U32_MAX, RESEND_MS),
        ("watchdog_s", int, 0, 600, 0),
        ("board", str, 1, 16, "unix"),
        ("language", str, 2, 2, "en"),
        ("papers_first", bool, 0, 1, True),
    ),
    "wifi": (("ssid", str, 0, 32, ""), ("password", str, 0, 63, "")),
    "broker": (
        ("host", str, 1, 253, None),
        ("port", int, 1, U16_MAX, 1883),
        ("tls", bool, 0, 1, False),
        ("name", str, 0, 253, ""),
        ("user", str, 0, 64, ""),
        ("password", str, 0, 64, ""),
    ),
    "instrument": (
        ("driver", str, 1, 16, "obp"),
        ("port", str, 1, 128, None),
        ("baud", int, 300, 3_000_000, 9600),
        ("model", str, 0, 16, ""),
        ("pixels_max", int, 1, PIXELS_BYTES_MAX // 2, 2_068),
        ("excitation_pm", int, 1, U32_MAX, 785_000),
        ("resolution_mcm1", int, 0, U32_MAX, 0),
        ("laser_mw", int, 0, U16_MAX, 0),
        ("laser_percent", int, 0, 100, 0),
        ("corrected", bool, 0, 1, False),
        ("cooler", bool, 0, 1, False),
        ("cooler_c", int, -100, 100, -10),
        ("baud_save", bool, 0, 1, False),
    ),
    "readers": (  # of each
        ("driver", str, 1, 16, None),
        ("port", str, 1, 128, None),
        ("baud", int, 300, 3_000_000, 9600),
        ("prefix", str, 0, 8, ""),
        ("suffix", str, 0, 8, ""),
        ("aim", bool, 0, 1, True),
        ("content_max", int, 1, CONTENT_BYTES_MAX, 2_048),
        ("repeat_ms", int, 0, 60_000, 1_000),
    ),
    "triggers": (
        ("sample", str, 1, 8, "off"),
        ("look_s", int, 1, 3_600, 5),
        ("rise_counts", int, 0, U16_MAX, 0),
    ),
}
_SECTIONS = ("wifi", "broker", "instrument", "triggers")
_LOOKS = ("off", "ambient", "laser")  # of triggers.sample
_READERS_MAX = 3  # scanner, document reader, scale
_NO_INSTRUMENT = {"driver": "", "port": "", "pixels_max": 1, "excitation_pm": 0}


def load(path: str) -> "Given":
    """Read and check node.json.

    Returns:
        The settings with every default filled in.
    Raises:
        SettingsError: it cannot be used.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_FILE_BYTES_MAX + 1)
        settings = json.loads(text)
    except OSError as error:
        raise SettingsError("%s cannot be read (%s); write one, see docs/node.md" % (path, error))
    except ValueError:
        raise SettingsError("%s is not JSON; see docs/node.md" % path)
    if len(text) > _FILE_BYTES_MAX:
        raise SettingsError("%s has more than %d bytes" % (path, _FILE_BYTES_MAX))
    if not is_whole(text):
        raise SettingsError("%s ends too early; copy it to the node again" % path)
    if not isinstance(settings, dict):
        raise SettingsError("%s must hold one object { ... }" % path)
    return check(settings)


def fit(board: "Board", given: "Given") -> "Budget":
    """Return a board's budget with buffers for what the instruments of node.json give.

    Spectra are limited by the board, codes only by `content_max`: who asks for long ones has them.

    Raises:
        SettingsError: an instrument is on a port that the board does not have.
    """
    uarts = sorted(getattr(board, "UARTS", ()))  # none: ports are device files, and many
    for port in [part["port"] for part in [given["instrument"]] + given["readers"]]:
        if uarts and port and port not in uarts:
            raise SettingsError(
                "node.json: port %r is none of %s, which carries %d instruments, on %s; put "
                "further ones on another node" % (port, board.NAME, len(uarts), " and ".join(uarts))
            )
    fitted = board.BUDGET.copy()
    head_bytes = fitted["record_bytes_max"] - fitted["pixels_bytes_max"]
    pixels_bytes = min(2 * given["instrument"]["pixels_max"], fitted["pixels_bytes_max"])
    fitted["pixels_bytes_max"] = pixels_bytes
    contents = [reader["content_max"] + EVENT_HEAD_BYTES for reader in given["readers"]]
    fitted["record_bytes_max"] = max(contents + [pixels_bytes + head_bytes])
    return fitted


def check(settings: "dict[str, Any]") -> "Given":
    """Return `settings` with every default filled in.

    Raises:
        SettingsError: a key is missing, of the wrong type or out of range.
    """
    settings.setdefault("wifi", {})
    settings.setdefault("triggers", {})
    readers = settings.setdefault("readers", [])
    if not isinstance(readers, list) or len(readers) > _READERS_MAX:
        raise SettingsError("node.json: readers must be a list of at most %d" % _READERS_MAX)
    has_instrument = "instrument" in settings or not readers
    if not has_instrument:
        settings["instrument"] = {"port": "none"}
    _check_known("", settings, ("post", "node", "readers") + _SECTIONS)
    _complete("", settings, "")
    for section in _SECTIONS:
        part = settings.get(section)
        if section == "broker" and isinstance(part, dict) and part.get("tls") is True:
            part.setdefault("port", _TLS_PORT)
        _complete(section, part, section)
    for index, reader in enumerate(readers):
        _complete("readers", reader, "readers[%d]" % index)
    if not has_instrument:
        settings["instrument"].update(_NO_INSTRUMENT)
    _check_ports([settings["instrument"]] + readers)
    _check_names(settings)
    check_exposure(settings["integration_us"], settings["scans"])
    for shown, value, known in (
        ("language", settings["language"], LANGUAGES),
        ("exposure", settings["exposure"], EXPOSURES),
        ("triggers.sample", settings["triggers"]["sample"], _LOOKS),
    ):
        if value not in known:
            raise SettingsError(
                "node.json: %s is %r; use one of %s" % (shown, value, ", ".join(known))
            )
    return settings  # type: ignore[return-value]  # each key was checked


def _check_names(settings: "dict[str, Any]") -> None:
    for key in ("post", "node"):
        name = settings.get(key, "")
        if not isinstance(name, str):
            raise SettingsError("node.json: %s is %r; text is needed" % (key, name))
        try:
            check_name(name)
        except ProtocolError as error:
            raise SettingsError("node.json: %s: %s" % (key, error))


def _complete(section: str, part: "Any", name: str) -> None:
    """Fill in the defaults of one part and check it.

    Args:
        section: of _KEYS.
        part: as it was given.
        name: what to call it; empty for the outermost.
    Raises:
        SettingsError: names the key, its value and what would do.
    """
    if not isinstance(part, dict):
        raise SettingsError('node.json: "%s" must be an object { ... }' % name)
    keys = _KEYS[section]
    if name:
        _check_known(name, part, [key for key, _, _, _, _ in keys])
    for key, form, low, high, default in keys:
        shown = "%s.%s" % (name, key) if name else key
        value: Any = part.setdefault(key, default)
        if value is None:
            raise SettingsError("node.json: %s is missing" % shown)
        if not isinstance(value, form) or isinstance(value, bool) != (form is bool):
            raise SettingsError("node.json: %s is %r; %s is needed" % (shown, value, _kind(form)))
        size = len(value) if form is str else value
        if not low <= size <= high:
            raise SettingsError("node.json: %s is %r; use %d to %d" % (shown, value, low, high))


def _check_known(name: str, part: "dict[str, Any]", known: "Sequence[str]") -> None:
    """Refuse keys that mean nothing: a mistyped one would be its default without a word.

    Raises:
        SettingsError: names the key.
    """
    own = () if name else [key for key, _, _, _, _ in _KEYS[""]]
    for key in part:
        if key not in known and key not in own:
            shown = "%s.%s" % (name, key) if name else key
            raise SettingsError("node.json: %s is not a setting; see docs/node.md" % shown)


def _check_ports(parts: "list[dict[str, Any]]") -> None:
    """Refuse two instruments on one port: each would take the other's answers.

    Raises:
        SettingsError: names the port.
    """
    ports = [part["port"] for part in parts if part["port"]]
    for port in ports:
        if ports.count(port) > 1:
            text = "node.json: two instruments have the port %r; give each its own"
            raise SettingsError(text % port)


def _kind(form: "type[object]") -> str:
    if form is bool:
        return "true or false"
    return "a whole number" if form is int else "text"
