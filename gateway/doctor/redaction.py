"""What must not stand in a report: the way behind the authority's host, and control characters.

The address of an authority may hold a key in its path or query; a node's own words may hold what a
terminal takes for an order.
"""

import re
import urllib.parse

from gateway.settings import Settings

TEXT_CHARS_MAX = 600  # of one sentence of a finding
VALUE_CHARS_MIN = 4  # a shorter value would be found everywhere
_WORD = re.compile(r"[a-z_-]{0,16}")  # a part of a path that is a word, such as `alerts`


class Redaction:
    """Takes secrets out of texts.

    Args:
        settings: name what is secret.
    """

    def __init__(self, settings: Settings) -> None:
        self._replaced = _replacements(settings.authority.url)

    def __call__(self, text: str) -> str:
        """Return the text without secrets, in one line of bounded length."""
        for secret, shown in self._replaced:
            text = text.replace(secret, shown)
        plain = "".join(letter if letter.isprintable() else " " for letter in text)
        return plain if len(plain) <= TEXT_CHARS_MAX else plain[: TEXT_CHARS_MAX - 3] + "..."


def _replacements(url: str) -> list[tuple[str, str]]:
    """Return what to replace by what, the longest first."""
    if not url:
        return []
    parts = urllib.parse.urlsplit(url)
    shown = f"{parts.scheme}://{parts.netloc}/..."
    found = {url: shown} if parts.path not in {"", "/"} or parts.query else {}
    pieces = [each for each in parts.path.split("/") if not _WORD.fullmatch(each)]
    pieces += [parts.query, *(value for _, value in urllib.parse.parse_qsl(parts.query))]
    for piece in pieces:
        for form in (piece, urllib.parse.unquote(piece)):
            if len(form) >= VALUE_CHARS_MIN:
                found.setdefault(form, "...")
    return sorted(found.items(), key=lambda pair: -len(pair[0]))
