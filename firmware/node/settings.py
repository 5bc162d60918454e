"""node.json: who this node is and what hangs on it. Checked once, at the start.

What can also be set from afar stands in `config.py`; this file is written by the person who
installs the node, so every error names the key, its value and what would do.
"""

import json

from node.config import check_exposure
from node.errors import SettingsError
from node.words import LANGUAGES
from protocol.errors import ProtocolError
from protocol.limits import (
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
    from node.typed import Any, Budget, Given

_FILE_BYTES_MAX = 4_096
_TLS_PORT = 8883  # registered for MQTT over TLS

# Section, key, type, lowest, highest, default (None: required). Text: bounds are characters.
_KEYS: "tuple[tuple[str, str, Any, int, int, Any], ...]" = (
    ("", "integration_us", int, 1, U32_MAX, 400_000),
    ("", "scans", int, 1, U16_MAX, 1),
    ("", "window", int, 1, WINDOW_RECORDS_MAX, WINDOW_RECORDS),
    ("", "resend_ms", int, RESEND_MS_MIN, U32_MAX, RESEND_MS),
    ("", "watchdog_s", int, 0, 600, 0),
    ("", "board", str, 1, 16, "unix"),
    ("", "language", str, 2, 2, "en"),
    ("wifi", "ssid", str, 0, 32, ""),
    ("wifi", "password", str, 0, 63, ""),
    ("broker", "host", str, 1, 253, None),
    ("broker", "port", int, 1, U16_MAX, 1883),
    ("broker", "tls", bool, 0, 1, False),
    ("broker", "name", str, 0, 253, ""),
    ("broker", "user", str, 0, 64, ""),
    ("broker", "password", str, 0, 64, ""),
    ("instrument", "driver", str, 1, 16, "obp"),
    ("instrument", "port", str, 1, 128, None),
    ("instrument", "baud", int, 300, 3_000_000, 9600),
    ("instrument", "model", str, 0, 16, ""),
    ("instrument", "pixels_max", int, 1, PIXELS_BYTES_MAX // 2, 2_068),
    ("instrument", "excitation_pm", int, 1, U32_MAX, 785_000),
    ("instrument", "resolution_mcm1", int, 0, U32_MAX, 0),
    ("instrument", "laser_mw", int, 0, U16_MAX, 0),
)


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
    if not _is_whole(text):
        raise SettingsError("%s ends too early; copy it to the node again" % path)
    if not isinstance(settings, dict):
        raise SettingsError("%s must hold one object { ... }" % path)
    return check(settings)


def fit(budget: "Budget", pixels_max: int) -> "Budget":
    """Return a board's budget with buffers for spectra of `pixels_max`, if it allows so many."""
    pixels_bytes = min(2 * pixels_max, budget["pixels_bytes_max"])
    head_bytes = budget["record_bytes_max"] - budget["pixels_bytes_max"]
    fitted = budget.copy()
    fitted["pixels_bytes_max"] = pixels_bytes
    fitted["record_bytes_max"] = pixels_bytes + head_bytes
    return fitted


def check(settings: "dict[str, Any]") -> "Given":
    """Return `settings` with every default filled in.

    Raises:
        SettingsError: a key is missing, of the wrong type or out of range.
    """
    settings.setdefault("wifi", {})
    for section in ("broker", "instrument", "wifi"):
        if not isinstance(settings.get(section), dict):
            raise SettingsError('node.json: "%s" must be an object { ... }' % section)
    _check_keys(settings)
    if settings["broker"].get("tls") is True:
        settings["broker"].setdefault("port", _TLS_PORT)
    for section, key, form, low, high, default in _KEYS:
        part = settings[section] if section else settings
        name = "%s.%s" % (section, key) if section else key
        value: Any = part.setdefault(key, default)
        if value is None:
            raise SettingsError("node.json: %s is missing" % name)
        if not isinstance(value, form) or isinstance(value, bool) != (form is bool):
            raise SettingsError("node.json: %s is %r; %s is needed" % (name, value, _kind(form)))
        size = len(value) if form is str else value
        if not low <= size <= high:
            raise SettingsError("node.json: %s is %r; use %d to %d" % (name, value, low, high))
    _check_names(settings)
    if settings["language"] not in LANGUAGES:
        raise SettingsError(
            "node.json: language is %r; use one of %s"
            % (settings["language"], ", ".join(LANGUAGES))
        )
    check_exposure(settings["integration_us"], settings["scans"])
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


def _is_whole(text: bytes) -> bool:
    """Say whether every brace is closed: MicroPython's json takes a file that was cut off."""
    depth, quoted, escaped = 0, False, False
    for code in text:
        if quoted:
            quoted = escaped or code != 0x22
            escaped = not escaped and code == 0x5C
        elif code == 0x22:
            quoted = True
        elif code == 0x7B:
            depth += 1
        elif code == 0x7D:
            depth -= 1
    return not depth and not quoted


def _check_keys(settings: "dict[str, Any]") -> None:
    """Refuse keys that mean nothing: a mistyped one would be its default without a word.

    Raises:
        SettingsError: names the key.
    """
    known = ["post", "node", "broker", "instrument", "wifi"]
    known += [key for section, key, _, _, _, _ in _KEYS if not section]
    for key in settings:
        if key not in known:
            raise SettingsError("node.json: %s is not a setting; see docs/node.md" % key)
    for section in ("broker", "instrument", "wifi"):
        known = [key for part, key, _, _, _, _ in _KEYS if part == section]
        for key in settings[section]:
            if key not in known:
                raise SettingsError(
                    "node.json: %s.%s is not a setting; see docs/node.md" % (section, key)
                )


def _kind(form: "type[object]") -> str:
    if form is bool:
        return "true or false"
    return "a whole number" if form is int else "text"
