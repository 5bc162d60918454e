"""What is left of an address when people see it: the host, never what may be a token. Pure.

What lies behind the host is hidden whole, and piece by piece: an authority that refuses a token
repeats it alone. A piece that is made of words, as `alerts` is, is not hidden everywhere: it would
take the names out of a support bundle and help nobody. In what the authority itself says it is
hidden too, unless it is one of the words that every such address has.
"""

import re
import urllib.parse
from typing import Final

MASK: Final = "..."
TAIL_CHARS_MIN: Final = 4  # "/" or "en" is in every sentence and hides nothing

WORD_CHARS_MAX: Final = 15  # letters in a row; words are rarely longer, keys without a digit are
EVERYDAY: Final = frozenset(
    """
    alert alerts alarm alarms alerte alertes alertas api authority border cap event events gateway
    harmattan hook hooks inbox ingest incoming json message messages notify post posts public
    receive report reports service services submit webhook webhooks
    """.split()
)

_PIECES: Final = re.compile(r"[/?#&=;,:@+]+")
# Words, numbers, and both: `border-post-12`, `v1`, `hut07`. A number that was hidden everywhere
# would be missing from tables.
_PLAIN: Final = re.compile(
    rf"(?:[a-z]{{1,{WORD_CHARS_MAX}}}|[A-Z]?[a-z]{{1,{WORD_CHARS_MAX}}}|[A-Z]{{1,{WORD_CHARS_MAX}}}"
    r"|\d+|[A-Za-z][a-z]{0,3}\d{1,3})"
)
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
    """Return a text of ours, such as a report, without what it repeats of the address."""
    if url:
        text = text.replace(url, mask_url(url))
    for tail in _tails(url):
        text = re.sub(re.escape(tail), MASK, text, flags=re.IGNORECASE)
    return text


def mask_said(text: str, url: str) -> str:
    """Return words of somebody who knows the address, such as its authority, likewise.

    They are about the address, so that a piece of it is hidden even where it looks like a word.
    """
    text = mask_in(text, url)
    for piece in sorted(_pieces(url), key=len, reverse=True):
        if piece.casefold() not in EVERYDAY:
            alone = rf"(?<!\w){re.escape(piece)}(?!\w)"
            text = re.sub(alone, MASK, text, flags=re.IGNORECASE)
    return text


def _tails(url: str) -> list[str]:
    """Return what is hidden wherever it stands, also decoded; the longest first."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return []
    whole = urllib.parse.urlunsplit(("", "", parts.path, parts.query, parts.fragment))
    values = [value for _, value in urllib.parse.parse_qsl(parts.query)]
    found = {whole, parts.path, parts.query, parts.fragment, *values}
    found |= {urllib.parse.unquote(tail) for tail in found}
    found |= {piece for piece in _pieces(url) if not _is_plain(piece)}
    return sorted((tail for tail in found if len(tail) >= TAIL_CHARS_MIN), key=len, reverse=True)


def _pieces(url: str) -> set[str]:
    """Return the single pieces of what lies behind the host, as written and decoded."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return set()
    found = set()
    fields = [field.partition("=") for field in parts.query.split("&")]
    values = [value if sign else name for name, sign, value in fields]  # a name is no secret
    for part in (parts.path, parts.fragment, *values):
        for piece in (*part.split("/"), *_PIECES.split(part)):
            found |= {piece, urllib.parse.unquote(piece)}
    found |= {piece for each in found for piece in _PIECES.split(each)}  # `bot12%3Ak3y`
    return {piece for piece in found if len(piece) >= TAIL_CHARS_MIN}


def _is_plain(piece: str) -> bool:
    """Say whether a piece is made of words and numbers, which nobody takes for a key."""
    return all(_PLAIN.fullmatch(part) for part in re.split(r"[-_. ]+", piece) if part)
