"""The sentences in the officers' languages: gettext catalogues read from their .po files.

The compiled form is made in memory, so that the text a translator edits is the text in use. Stands
below screening, alerts and the command line and imports none of them.
"""

from __future__ import annotations

import gettext
import io
from functools import lru_cache
from importlib.resources import files

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = ("en", "fr", "ar", "es")
DOMAIN = "harmattan"

SIGNALS = (
    *("starting", "ready", "measuring", "stored", "published", "sent", "verdict", "fault"),
    *("identify", "safe", "stopped", "drill", "alarm", "inconclusive", "clear"),
    "reread",
)
"""Words a node says about itself; their msgids are these words."""


class CatalogueError(ValueError):
    """A catalogue is missing or cannot be read."""


@lru_cache(maxsize=len(LANGUAGES))
def translations(language: str) -> gettext.GNUTranslations:
    """Load the catalogue of one language.

    Raises:
        CatalogueError: the language is not one of LANGUAGES, or its file is missing or broken.
    """
    if language not in LANGUAGES:
        raise CatalogueError(f"no language {language!r}; choose one of {', '.join(LANGUAGES)}")
    path = files("gateway").joinpath("locale", language, "LC_MESSAGES", f"{DOMAIN}.po")
    if not path.is_file():
        raise CatalogueError(
            f"catalogue {language}/{DOMAIN}.po is missing; install the package again"
        )
    with path.open("rb") as source:
        catalogue = read_po(source, locale=language, domain=DOMAIN, abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def translate(message: str, language: str) -> str:
    """The text of a msgid in a language; the msgid itself when the catalogue lacks it."""
    return translations(language).gettext(message)
