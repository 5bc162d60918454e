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
    "reread",
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
        "read it again",
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
        "relisez",
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
        "أعد القراءة",
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
        "lea de nuevo",
    ),
}


# What U+00C0 to U+00FF are without their accents. By bytes: MicroPython keeps every single letter
# that is looked at as a name for ever.
_BARE = b"AAAAAAACEEEEIIIIDNOOOOOxOUUUUYPsaaaaaaaceeeeiiiidnooooo/ouuuuypy"
_LATIN = 0xC3  # begins their two bytes in UTF-8; the second is 0x80 to 0xBF


def plain(name: str, language: str) -> str:
    """Return the word in ASCII, for a display whose letters are no others.

    French and Spanish lose their accents. Arabic cannot be written so: it becomes English.
    """
    bare, is_latin = bytearray(), False
    for byte in word(name, language).encode():
        if is_latin:
            byte = _BARE[byte - 0x80]  # noqa: PLW2901 - another name would cost memory
        is_latin = byte == _LATIN
        if byte < 0x80:
            bare.append(byte)
        elif not is_latin:
            return word(name, "en")
    return bare.decode()


def word(name: str, language: str) -> str:
    """Return the word for a signal; English where the language is not known."""
    return WORDS.get(language, WORDS["en"])[NAMES.index(name)]
