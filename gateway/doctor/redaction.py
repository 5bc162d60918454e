"""What must not stand in a report: the way behind the authority's host, and control characters.

The address of an authority may hold a key in its path or query; a node's own words may hold what a
terminal takes for an order.
"""

import urllib.parse

from gateway.settings import Settings

TEXT_CHARS_MAX = 600  # of one sentence of a finding
PART_CHARS_MIN = 4  # a shorter path would be found everywhere


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
    pieces = [parts.path, parts.query, *parts.path.split("/")]
    pieces += [value for _, value in urllib.parse.parse_qsl(parts.query)]
    for piece in pieces:
        if len(piece) >= PART_CHARS_MIN:
            found.setdefault(piece, "...")
            found.setdefault(urllib.parse.unquote(piece), "...")
    return sorted(found.items(), key=lambda pair: -len(pair[0]))
