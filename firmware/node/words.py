"""The words a node shows to the officer, in the languages of the posts.

They are those of the gateway's catalogue (gateway/locale); a test compares them. Sentences are the
gateway's business.
"""

LANGUAGES = ("en", "fr", "ar", "es")
NAMES = ("starting", "ready", "measuring", "stored", "sent", "fault", "stopped")

WORDS = {
    "en": (
        "starting",
        "ready",
        "measuring",
        "stored",
        "stored at the post",
        "fault",
        "stopped",
    ),
    "fr": (
        "démarrage",
        "prêt",
        "mesure en cours",
        "enregistré",
        "enregistré au poste",
        "panne",
        "arrêté",
    ),
    "ar": (
        "جارٍ بدء التشغيل",
        "جاهز",
        "جارٍ القياس",
        "محفوظ",
        "محفوظ في المركز",
        "عطل",
        "متوقف",
    ),
    "es": (
        "iniciando",
        "listo",
        "midiendo",
        "guardado",
        "guardado en el puesto",
        "avería",
        "detenido",
    ),
}


def word(name: str, language: str) -> str:
    """Return the word for a signal; English where the language is not known."""
    return WORDS.get(language, WORDS["en"])[NAMES.index(name)]
