"""The words a node shows to the officer, in the languages of the posts.

They are those of the gateway's catalogue (gateway/locale); a test compares them. Sentences are the
gateway's business.
"""

LANGUAGES = ("en", "fr", "ar", "es")
NAMES = (
    "starting",
    "ready",
    "measuring",
    "stored",
    "published",
    "sent",
    "verdict",
    "fault",
    "identify",
    "safe",
    "stopped",
    "drill",
    "alarm",
    "inconclusive",
    "clear",
)

WORDS = {
    "en": (
        "starting",
        "ready",
        "measuring",
        "stored",
        "sent",
        "stored at the post",
        "verdict",
        "fault",
        "here it is",
        "safe mode",
        "stopped",
        "drill",
        "alarm",
        "inconclusive",
        "clear",
    ),
    "fr": (
        "démarrage",
        "prêt",
        "mesure en cours",
        "enregistré",
        "envoyé",
        "enregistré au poste",
        "verdict",
        "panne",
        "c'est ici",
        "mode sans échec",
        "arrêté",
        "exercice",
        "alarme",
        "non concluant",
        "rien à signaler",
    ),
    "ar": (
        "جارٍ بدء التشغيل",
        "جاهز",
        "جارٍ القياس",
        "محفوظ",
        "أُرسل",
        "محفوظ في المركز",
        "الحكم",
        "عطل",
        "هنا",
        "الوضع الآمن",
        "متوقف",
        "تمرين",
        "إنذار",
        "غير حاسم",
        "لا شيء",
    ),
    "es": (
        "iniciando",
        "listo",
        "midiendo",
        "guardado",
        "enviado",
        "guardado en el puesto",
        "veredicto",
        "avería",
        "es este",
        "modo seguro",
        "detenido",
        "simulacro",
        "alarma",
        "no concluyente",
        "sin hallazgos",
    ),
}


_BARE = {
    "à": "a", "á": "a", "â": "a", "ç": "c", "è": "e", "é": "e", "ê": "e", "ë": "e", "í": "i",
    "î": "i", "ï": "i", "ñ": "n", "ó": "o", "ô": "o", "ù": "u", "ú": "u", "û": "u", "ü": "u",
}  # fmt: skip


def plain(name: str, language: str) -> str:
    """Return the word in ASCII, for a display whose letters are no others.

    French and Spanish lose their accents. Arabic cannot be written so: it becomes English.
    """
    bare = "".join([_BARE.get(letter, letter) for letter in word(name, language)])
    return bare if all(ord(letter) < 0x80 for letter in bare) else word(name, "en")


def word(name: str, language: str) -> str:
    """Return the word for a signal; English where the language is not known."""
    return WORDS.get(language, WORDS["en"])[NAMES.index(name)]
