"""What is wrong with a settings file, in words: line, key, value and what would do."""

import contextlib
import difflib
import os
import pwd
import re
from pathlib import Path

from msgspec import inspect

from gateway import settings_lines
from gateway.errors import SettingsError
from gateway.masking import mask_any

VALUE_CHARS_MAX = 80  # of a wrong value that is repeated


class SettingError(SettingsError):
    """The fault of one setting.

    Args:
        key: where it stands, as `nodes[3].window`.
        text: key, value and what would do.
    """

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


class UnreadError(SettingsError):
    """The settings file is not there, or may not be read: nothing is known of the post."""


def unread(path: Path, error: OSError) -> UnreadError:
    """Return why a settings file cannot be read, and what to do, which depends on why.

    Args:
        path: of the settings file.
        error: of the system.
    """
    remedy = "`harmattan init DIR` makes a post with its settings, --settings FILE names others"
    if isinstance(error, IsADirectoryError):
        remedy = f"name the file in this folder: --settings {path / 'post.toml'}"
    elif isinstance(error, PermissionError):
        remedy = _right(path)
    elif not isinstance(error, FileNotFoundError):
        remedy = "see that its disk is well, or name another file by --settings FILE"
    return UnreadError(f"settings {path}: {error.strerror}; {remedy}")


def _right(path: Path) -> str:
    """Return what to do about a settings file that this user may not read.

    The gateway's user is the owner of the post's folder.
    """
    for folder in path.absolute().parents:
        try:
            owner = folder.stat().st_uid
        except OSError:
            continue
        if owner == os.geteuid():
            return f"give it to this user: as root `chown --reference={folder} {path}`"
        name = f"user {owner}"
        with contextlib.suppress(KeyError):
            name = pwd.getpwuid(owner).pw_name
        return f"run this as the user of the gateway, {name}"
    return "run this as the user of the gateway"


def placed(path: Path, text: str, error: SettingError) -> SettingsError:
    """Return the fault of a setting with its file and the line where it stands.

    Args:
        path: of the settings file.
        text: its content.
        error: the fault.
    """
    line = settings_lines.line_of(text, _parts(error.key))
    return SettingsError(f"settings {path}, line {line}: {error}")


def syntax(message: str, text: str) -> str:
    """Return tomllib's complaint, beginning with its line."""
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    line = str(text.rstrip().count("\n") + 1) if found is None or found[1] is None else found[1]
    column = f", column {found[2]}" if found is not None and found[2] else ""
    complaint = message[: found.start()] if found else message
    return f"line {line}{column}: not valid TOML: {complaint}; mend that place"


def explain(message: str, table: dict[str, object], kind: type) -> SettingError:
    """Return msgspec's complaint with the key, its value and what would do.

    Args:
        message: of msgspec.
        table: that it read.
        kind: the class that the table should have been.
    """
    where = re.search(r"`\$\.?([^`]*)`$", message)
    key = where[1] if where else ""
    form, found = _look_up(key, table, kind)
    missing = re.search(r"missing required field `([^`]*)`", message)
    if missing and isinstance(form, inspect.StructType):
        name = _join(key, missing[1])
        wanted = next(field.type for field in form.fields if field.name == missing[1])
        return SettingError(name, f"{name} is missing; add it: {_describe(wanted, name)}")
    unknown = re.search(r"unknown field `([^`]*)`", message)
    if unknown and isinstance(form, inspect.StructType) and isinstance(found, dict):
        name = _join(key, unknown[1])
        known = [field.name for field in form.fields]
        near = difflib.get_close_matches(unknown[1], known, n=1)
        advice = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
        # Its value may be anything: a password, or an address with one under a misspelt name.
        return SettingError(name, f"{name} is not a setting; {advice}")
    shown = _shown(key, found)
    return SettingError(key, f"{key or 'the file'} = {shown}: use {_describe(form, key)}")


def _shown(key: str, value: object) -> str:
    """Return a wrong value as it can be repeated: the fault ends in logs and on screens."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() if abs(value) >= 1 << 64:
            return f"a number of {value.bit_length()} bits"
        case int() | float():
            return repr(value)
        case str() if _parts(key)[:1] == ("authority",):
            return "text"  # an address, or a part of one
        case str():
            text = mask_any(value) if "://" in value or "@" in value else value
            return repr(text[:VALUE_CHARS_MAX]) + "..." * (len(text) > VALUE_CHARS_MAX)
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or a time"


def _look_up(key: str, table: dict[str, object], kind: type) -> tuple[inspect.Type, object]:
    """Return the type that stands at `key`, and the value found there."""
    form: inspect.Type = inspect.type_info(kind)
    found: object = table
    for part in _parts(key):
        if isinstance(form, inspect.VarTupleType) and isinstance(found, list):
            form, found = form.item_type, found[int(part)]
        elif isinstance(form, inspect.StructType) and isinstance(found, dict):
            form = next(field.type for field in form.fields if field.name == part)
            found = found[part]
    return form, found


def _describe(form: inspect.Type, key: str) -> str:
    """Return in words what may stand at `key`."""
    match form:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number from {form.ge} to {form.le}"
        case inspect.FloatType():
            return f"a number from {form.ge:g} to {form.le:g}"
        case inspect.StrType():
            bound = f" of {form.min_length or 0} to {form.max_length} characters"
            return 'text in quotes ("...")' + (bound if form.max_length else "")
        case inspect.VarTupleType():
            return f"at most {form.max_length} tables, each headed [[{key}]]"
        case _:
            return f"a table headed [{key}]"


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _parts(key: str) -> tuple[str | int, ...]:
    """Return the names and indices of a key."""
    return tuple(
        int(index) if index else name for index, name in re.findall(r"\[(\d+)\]|([^.\[\]]+)", key)
    )
