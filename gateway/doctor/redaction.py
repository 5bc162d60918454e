"""What must not stand in a report: the way behind the authority's host, and control characters.

The address of an authority may hold a key in its path or query; a node's own words may hold what a
terminal takes for an order.
"""

from typing import Final

from gateway.masking import mask_in
from gateway.settings import Settings

TEXT_CHARS_MAX: Final = 600  # of one sentence of a finding


class Redaction:
    """Takes secrets out of texts.

    Args:
        settings: name what is secret.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.authority.url

    def __call__(self, text: str) -> str:
        """Return the text without secrets, in one line of bounded length."""
        masked = mask_in(text, self._url)
        plain = "".join(letter if letter.isprintable() else " " for letter in masked)
        return plain if len(plain) <= TEXT_CHARS_MAX else plain[: TEXT_CHARS_MAX - 3] + "..."
