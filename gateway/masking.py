"""What is left of an address when people see it: the host, never what may be a token. Pure."""

import re
import urllib.parse
from typing import Final

MASK: Final = "..."
TAIL_CHARS_MIN: Final = 4  # "/" or "en" is in every sentence and hides nothing

_ANY: Final = re.compile(
    r"(?s)(?P<scheme>[^/?#]*//|)(?P<user>[^/?#]*@)?(?P<host>[^/?#]*)(?P<tail>.*)"
)


def mask_url(url: str) -> str:
    """Return the address without path, query, fragment and user, such as `https://host:8443/...`."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return MASK
    if not host:
        return MASK if url else ""
    named = f"[{host}]" if ":" in host else host
    tail = f"/{MASK}" if _tails(url) else ""
    return f"{parts.scheme}://{named}" + (f":{port}" if port else "") + tail


def mask_any(text: str) -> str:
    """Return the same of what may be no address at all, such as a wrong setting."""
    parts = _ANY.fullmatch(text)
    if parts is None:
        return MASK
    user = f"{MASK}@" if parts["user"] else ""
    tail = f"/{MASK}" if len(parts["tail"]) > 1 else parts["tail"]
    return f"{parts['scheme']}{user}{parts['host']}{tail}"


def mask_in(text: str, url: str) -> str:
    """Return a text of somebody else, such as an error, without what it repeats of the address."""
    if url:
        text = text.replace(url, mask_url(url))
    for tail in _tails(url):
        text = text.replace(tail, MASK)
    return text


def _tails(url: str) -> list[str]:
    """Return what lies behind the host, whole and in parts, also decoded; the longest first."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return []
    whole = urllib.parse.urlunsplit(("", "", parts.path, parts.query, parts.fragment))
    values = [value for _, value in urllib.parse.parse_qsl(parts.query)]
    found = {whole, parts.path, parts.query, parts.fragment, *values}
    found |= {urllib.parse.unquote(tail) for tail in found}
    return sorted((tail for tail in found if len(tail) >= TAIL_CHARS_MIN), key=len, reverse=True)
