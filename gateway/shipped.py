"""Files that come with the gateway beside its code: for systemd, documentation, the node's drivers.

In a wheel they lie in `gateway/shipped/`; in a working tree where people look for them.
"""

from pathlib import Path
from typing import Final

from gateway.errors import SettingsError

_HERE: Final = Path(__file__).resolve().parent
# name -> its place in a working tree; pyproject.toml puts each into the wheel.
FILES: Final = {
    "harmattan.service": "packaging/harmattan.service",
    "harmattan.sysusers": "packaging/harmattan.sysusers",
    "harmattan.tmpfiles": "packaging/harmattan.tmpfiles",
    "harmattan.nft": "packaging/harmattan.nft",
}


def read_shipped(name: str) -> str:
    """Return the text of a shipped file, one of FILES.

    Raises:
        SettingsError: this installation is not whole.
    """
    for path in (_HERE / "shipped" / name, _HERE.parent / FILES[name]):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise SettingsError(f"this installation lacks {name}; install the package again")


def pages() -> dict[str, Path]:
    """Return the pages of the documentation by name, in alphabetical order.

    Raises:
        SettingsError: this installation is not whole.
    """
    for folder in (_HERE / "shipped" / "docs", _HERE.parent / "docs"):
        found = {path.stem: path for path in sorted(folder.glob("*.md"))}
        if found:
            return found
    raise SettingsError("this installation lacks its documentation; install the package again")


def drivers() -> dict[str, Path]:
    """Return what each driver of the firmware says of its instruments: family -> about.toml.

    Raises:
        SettingsError: this installation is not whole.
    """
    for folder in (_HERE / "shipped" / "drivers", _HERE.parent / "firmware" / "drivers"):
        found = {path.parent.name: path for path in sorted(folder.glob("*/about.toml"))}
        if found:
            return found
    raise SettingsError("this installation lacks its drivers; install the package again")
