"""Why the broker cannot use one of its own files, from the lines of its log. Pure.

mosquitto names the file in one line, and OpenSSL's reason stands in the next ones, the first of
which is enough. In between it may say what `errno` happens to be, which is of something else.
"""

import re
from typing import Final

_FILE: Final = re.compile(
    r"Error: Unable to load (?P<what>server key file|server certificate|certificate revocation file"
    r"|CA certificates)[^\"]*\"(?P<path>.*)\""
)
_REASON: Final = re.compile(r"OpenSSL Error\[0\]: error:[0-9A-Fa-f]*:[^:]*:[^:]*:(?P<reason>.*)")
_SETTINGS: Final = {
    "server key file": "key_file",
    "server certificate": "certificate_file",
    "certificate revocation file": "crl_file",
    "CA certificates": "ca_file",
}
_ANEW: Final = {
    "key_file": "`harmattan keys DIR --post POST --renew` makes it and its certificate anew",
    "certificate_file": "`harmattan keys DIR --post POST --renew` makes it anew",
    "crl_file": "`harmattan nodes crl` writes it anew",
    "ca_file": "a lost authority means new keys for every node",
}
_MISMATCH: Final = (
    "it is not the key of the certificate beside it; put back the pair that was made together, or"
    " make both anew with `harmattan keys DIR --post POST --renew`"
)
_BARRED: Final = (
    "this user may not read it; give it to the gateway's user, who owns the post's folder"
)
_LOCKED: Final = "it has a password, which nobody is there to give; write it without one"


class Unread:
    """Remembers the file until its reason comes."""

    def __init__(self) -> None:
        self._file: re.Match[str] | None = None

    def take(self, line: str) -> str | None:
        """Take a line.

        Returns:
            What to tell: which file, why, and what to do; empty while the reason is still to come;
            None where the line has nothing to do with it.
        """
        file, self._file = self._file, _FILE.match(line)
        if self._file is not None:
            return ""
        if file is None:
            return None
        if reason := _REASON.match(line):
            return _text(_SETTINGS[file["what"]], file["path"], reason["reason"])
        if line.startswith("Error: "):
            self._file = file
            return ""
        return None


def _text(setting: str, path: str, reason: str) -> str:
    known, anew = reason.casefold(), _ANEW[setting]
    if "key values mismatch" in known:
        told = _MISMATCH
    elif "permission denied" in known:
        told = _BARRED
    elif "processing error" in known or "password" in known:
        told = _LOCKED
    elif "no such file" in known:
        told = f"it is not there; put it back, or correct its name in the settings; {anew}"
    else:
        told = f"it is damaged, or another file ({reason}); put it back from a copy; {anew}"
    return f"the broker cannot use {path} (broker.nodes.{setting}): {told}"
